use super::*;

const ID: RecordId = RecordId([1; 16]);

fn key(text: &str) -> Key {
    (Digest::of(text.as_bytes()), 0)
}

fn open(path: &Path) -> State {
    State::open(path, Kind::Submit).unwrap_or_else(|failure| panic!("{failure:?}"))
}

#[test]
fn a_report_keeps_its_id_over_runs_and_torn_lines() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("below/state");
    let mut state = open(&path);
    assert_eq!(state.id(key("a"), ID), ID);
    assert!(matches!(State::open(&path, Kind::Submit), Err(OpenError::Held { .. })), "one run at a time");
    state.sync().unwrap_or_else(|failure| panic!("{failure:?}"));
    state.id(key("not synced"), RecordId([2; 16]));
    drop(state);
    let mut torn = std::fs::read(&path).unwrap();
    torn.extend(b"0123/0 0192f0c1");
    std::fs::write(&path, torn).unwrap();
    for fresh in [3, 4] {
        let mut state = open(&path);
        let fresh = RecordId([fresh; 16]);
        assert_eq!(state.id(key("a"), fresh), ID);
        assert_eq!(state.id((key("a").0, 1), fresh), fresh, "the same once more is another report");
        assert_eq!(state.id(key("not synced"), fresh), fresh);
    }
}

#[tokio::test]
async fn whoever_waits_gets_it_when_it_is_free_and_no_later_than_the_limit() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("state");
    let held = open(&path);
    let within = |limit| State::open_within(&path, Kind::Submit, limit);
    assert!(matches!(within(Duration::from_millis(30)).await, Err(OpenError::Held { .. })));
    let freed = async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        drop(held);
    };
    // on one thread: whoever waits leaves it to others
    let (opened, ()) = tokio::join!(within(Duration::from_secs(30)), freed);
    assert!(opened.is_ok());
}

#[test]
fn what_is_done_with_stays_so_until_it_is_taken_back() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("state");
    let open = || State::open(&path, Kind::Outbox).unwrap_or_else(|error| panic!("{error}"));
    let of = |state: &mut State| [key("a"), key("b")].map(|key| (state.id(key, RecordId([9; 16])), state.is_done(key)));
    let mut state = open();
    for (text, id) in [("a", 1), ("b", 2)] {
        state.id(key(text), RecordId([id; 16]));
        state.done(key(text));
    }
    state.reopen(&[RecordId([2; 16]), RecordId([3; 16])]);
    for _ in 0..2 {
        assert_eq!(of(&mut state), [(RecordId([1; 16]), true), (RecordId([2; 16]), false)]);
        state.sync().unwrap_or_else(|failure| panic!("{failure:?}"));
        drop(state);
        state = open();
    }
    drop(state);
    assert!(matches!(State::open(&path, Kind::Submit), Err(OpenError::Other { .. })), "one is not the other's");
}

#[test]
fn another_file_is_left_as_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("state");
    for other in [&b"something"[..], b"some\nthing\n", b"\xff\n", b"kho submit state 1\nnonsense\n"] {
        std::fs::write(&path, other).unwrap();
        let error = State::open(&path, Kind::Submit).err().unwrap();
        assert!(matches!(error, OpenError::Other { .. } | OpenError::Line { line: 2, .. }), "{error}");
        assert_eq!(std::fs::read(&path).unwrap(), other);
    }
}

#[test]
fn a_state_that_others_hold_is_looked_at() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("state");
    let look = |path: &Path| State::look(path, Kind::Submit).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(look(&path), HashMap::new(), "there is none");
    assert_eq!(look(dir.path()), HashMap::new(), "it is no file");
    let mut held = open(&path);
    assert_eq!(look(&path), HashMap::new());
    held.id(key("a"), ID);
    held.sync().unwrap_or_else(|failure| panic!("{failure:?}"));
    assert_eq!(look(&path), HashMap::from([(key("a"), ID)]));
    drop(held);
    let link = dir.path().join("link");
    std::os::unix::fs::symlink("nowhere", &link).unwrap();
    std::fs::write(&path, "something\n").unwrap();
    for path in [link, path] {
        assert!(State::look(&path, Kind::Submit).is_err(), "{}", path.display());
    }
}
