use super::*;

/// A server that takes no time, but for one stall: whatever is asked between `from` and `to` is answered at `to`.
struct Stalling {
    from: Instant,
    to: Instant,
    /// Calls at once; the others wait for it, as on one connection.
    busy: tokio::sync::Mutex<()>,
    left: AtomicU64,
}

impl Stalling {
    fn new(warm_up: Duration) -> Self {
        let from = Instant::now() + warm_up + Duration::from_millis(500);
        let to = from + Duration::from_secs(1);
        Self { from, to, busy: tokio::sync::Mutex::default(), left: AtomicU64::new(u64::MAX) }
    }
}

impl Connection for Stalling {
    async fn call(&self) -> Result<Done, String> {
        let _busy = self.busy.lock().await;
        if (self.from..self.to).contains(&Instant::now()) {
            tokio::time::sleep_until(self.to.into()).await;
        }
        let left = self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1));
        Ok(left.map_or(Done::Exhausted, |_| Done::Records(1)))
    }
}

fn plan(pace: Pace) -> Plan {
    let (warm_up, duration) = (Duration::from_millis(200), Duration::from_secs(2));
    Plan { pace, lanes: 1, warm_up, duration, backlog_max: BACKLOG_MAX }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_open_loop_sees_a_stall_in_every_call_that_was_due_meanwhile() {
    let plan = plan(Pace::Open { per_s: 200.0 });
    let measured = run(vec![Stalling::new(plan.warm_up)], &plan, &[]).await.expect("a load");
    let all = &measured.tally.latencies;
    assert_eq!(measured.backlog.expect("an open loop").arrived, all.len(), "each call has a latency");
    assert!((399..=401).contains(&all.len()), "{}", all.len());
    // 200 calls were due in the stall, the first waited all of it and the last next to nothing: a third waited 333 ms or more
    let waited = |ms: u64| {
        all.iter_recorded()
            .filter(|one| one.value_iterated_to() >= ms * 1000)
            .map(|one| one.count_at_value())
            .sum::<u64>()
    };
    assert!(waited(950) >= 5, "{}", waited(950));
    assert!((120..=160).contains(&waited(333)), "{}", waited(333));
    // the time of the calls themselves hides it: one call took the second, as a closed loop would have it
    let service = measured.tally.service.as_ref().expect("an open loop");
    assert!(service.value_at_quantile(0.95) < 200_000, "{}", service.value_at_quantile(0.95));
    let longest = measured.backlog.expect("an open loop").longest;
    assert!((150..=201).contains(&longest), "the backlog of the stall: {longest}");
    assert_eq!((measured.unfinished, measured.tally.errors), (0, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_closed_loop_has_one_slow_call_for_the_same_stall() {
    let plan = plan(Pace::Closed);
    let measured = run(vec![Stalling::new(plan.warm_up)], &plan, &[]).await.expect("a load");
    let all = &measured.tally.latencies;
    let slow: u64 =
        all.iter_recorded().filter(|one| one.value_iterated_to() >= 333_000).map(|one| one.count_at_value()).sum();
    assert_eq!(slow, 1);
    assert!(measured.backlog.is_none() && measured.tally.service.is_none());
    // the time line shows the hole
    let empty = measured.tally.pieces.iter().filter(|piece| piece.records == 0).count();
    assert!((8..=11).contains(&empty), "{empty} pieces of {:?} without a record", measured.piece);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stall_that_began_before_the_measurement_and_outlasts_it_is_told() {
    let plan = Plan { duration: Duration::from_millis(300), ..plan(Pace::Closed) };
    let mut answering = Stalling::new(plan.warm_up);
    answering.from = Instant::now();
    let measured = run(vec![answering], &plan, &[]).await.expect("a load");
    let longest = Duration::from_micros(measured.tally.latencies.max());
    assert_eq!((measured.tally.records, measured.tally.latencies.len()), (0, 1), "one call waited, none ended in time");
    assert!(longest >= Duration::from_secs(1), "{longest:?}");

    let measured = run(vec![Silent], &plan, &[]).await.expect("a load");
    assert_eq!((measured.unfinished, measured.tally.latencies.len()), (1, 1));

    let refusing = Refusing(Duration::from_secs(1));
    let measured = run(vec![refusing], &plan, &[]).await.expect("a load");
    assert_eq!((measured.tally.errors, measured.tally.error.as_deref()), (1, Some("no")));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backlog_is_bounded_and_told() {
    let plan = Plan { backlog_max: 10, ..plan(Pace::Open { per_s: 200.0 }) };
    let measured = run(vec![Stalling::new(plan.warm_up)], &plan, &[]).await.expect("a load");
    let backlog = measured.backlog.expect("an open loop");
    assert_eq!(backlog.longest, 10);
    assert!((170..=200).contains(&backlog.overflowed), "{backlog:?}");
    assert_eq!(measured.tally.latencies.len() + backlog.overflowed, backlog.arrived);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn records_that_run_out_end_the_measurement() {
    for pace in [Pace::Closed, Pace::Open { per_s: 1_000.0 }] {
        let plan = plan(pace);
        let mut connection = Stalling::new(plan.warm_up);
        connection.left = AtomicU64::new(300);
        let measured = run(vec![connection], &plan, &[]).await.expect("a load");
        assert!(measured.elapsed < Duration::from_secs(1), "{pace:?} {:?}", measured.elapsed);
        assert!(measured.tally.records <= 300, "{pace:?}");
    }
}

/// The first call takes its time, and when it ends the records have run out long ago.
struct Late(AtomicU64);

impl Connection for Late {
    async fn call(&self) -> Result<Done, String> {
        if self.0.fetch_add(1, Ordering::Relaxed) > 0 {
            return Ok(Done::Exhausted);
        }
        tokio::time::sleep(Duration::from_millis(400)).await;
        Ok(Done::Records(1_000))
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_ends_after_the_records_ran_out_does_not_count() {
    let plan = Plan { warm_up: Duration::ZERO, duration: Duration::from_secs(2), lanes: 2, ..plan(Pace::Closed) };
    let measured = run(vec![Late(AtomicU64::new(0))], &plan, &[]).await.expect("a load");
    assert!(measured.elapsed < Duration::from_millis(400), "{:?}", measured.elapsed);
    assert_eq!(measured.tally.records, 0, "its time is not in the rate, nor are its records");
}

/// Never answers.
struct Silent;

impl Connection for Silent {
    async fn call(&self) -> Result<Done, String> {
        std::future::pending().await
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_without_an_end_count_with_their_age() {
    let plan =
        Plan { warm_up: Duration::ZERO, duration: Duration::from_millis(300), ..plan(Pace::Open { per_s: 100.0 }) };
    let measured = run(vec![Silent], &plan, &[]).await.expect("a load");
    assert_eq!(measured.tally.records, 0);
    let arrived = measured.backlog.expect("an open loop").arrived;
    assert_eq!((measured.unfinished, measured.tally.latencies.len()), (arrived, arrived));
    assert!(Duration::from_micros(measured.tally.latencies.min()) >= GRACE);
}

/// Refuses everything, after a time.
struct Refusing(Duration);

impl Connection for Refusing {
    async fn call(&self) -> Result<Done, String> {
        tokio::time::sleep(self.0).await;
        Err("no".to_owned())
    }
}

#[tokio::test]
async fn errors_are_counted_and_quoted() {
    let plan = Plan { warm_up: Duration::ZERO, duration: Duration::from_millis(200), ..plan(Pace::Closed) };
    let measured = run(vec![Refusing(Duration::ZERO), Refusing(Duration::ZERO)], &plan, &[]).await.expect("a load");
    assert!((2..=82).contains(&measured.tally.errors), "{}", measured.tally.errors);
    assert_eq!(measured.tally.error.as_deref(), Some("no"));
    assert_eq!((measured.tally.records, measured.tally.latencies.len()), (0, 0));
}
