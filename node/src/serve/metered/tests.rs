use futures::StreamExt;
use http_body_util::{BodyExt, Full, StreamBody};
use kho_proto::status::from_status;
use tokio::time::Instant;

use super::super::patience::{MESSAGE_MAX, STALL_MAX};
use super::*;

fn body(bytes: usize, budget: &Budget) -> Metered<Full<Bytes>> {
    Metered::new(Full::new(Bytes::from(vec![0; bytes])), budget.clone(), Kind::Plain, Unread::default())
}

/// Messages of these lengths, in pieces of so many bytes.
fn stream(lengths: &[usize], piece: usize) -> impl Body<Data = Bytes, Error = Status> + Unpin {
    let mut bytes = Vec::new();
    for length in lengths {
        bytes.extend([0; 1]);
        bytes.extend(u32::try_from(*length).unwrap().to_be_bytes());
        bytes.extend(std::iter::repeat_n(7, *length));
    }
    let pieces: Vec<_> = bytes.chunks(piece).map(|piece| Ok(Frame::data(Bytes::copy_from_slice(piece)))).collect();
    StreamBody::new(futures::stream::iter(pieces))
}

#[tokio::test]
async fn bytes_count_while_the_body_is_there() {
    let budget = Budget::new(1000);
    let mut first = body(600, &budget);
    first.frame().await.unwrap().unwrap();
    let status = body(600, &budget).frame().await.unwrap().unwrap_err();
    assert_eq!(from_status(&status).unwrap().code, Code::Overloaded);
    drop(first);
    body(600, &budget).frame().await.unwrap().unwrap();
}

#[tokio::test]
async fn a_stream_counts_the_messages_that_were_not_read() {
    for piece in [1, 3, 64, 300, 5000] {
        let budget = Budget::new(1000);
        let mut body = Metered::new(
            stream(&[300, 0, 300, 300, 1, 300, 0], piece),
            budget.clone(),
            Kind::Stream,
            Unread::default(),
        );
        // far more in all than the budget, and never more than it at once, unless it comes in one piece
        let mut overloaded = false;
        while let Some(frame) = body.frame().await {
            overloaded |= frame.is_err();
        }
        assert_eq!(overloaded, piece == 5000, "pieces of {piece}");
        assert_eq!(budget.0.available_permits(), 1000, "the end gives back what is left");
    }
}

/// Whether a body that stops after these bytes is cut, in so long.
async fn cut(bytes: &'static [u8], kind: Kind, wait: Duration) -> bool {
    let begun =
        futures::stream::iter((!bytes.is_empty()).then(|| Ok::<_, Status>(Frame::data(Bytes::from_static(bytes)))));
    let body = StreamBody::new(begun.chain(futures::stream::pending()));
    let mut body = Metered::new(body, Budget::new(1000), kind, Unread::default());
    let ended = async {
        loop {
            match body.frame().await {
                Some(Ok(_)) => {}
                Some(Err(status)) => break from_status(&status).unwrap().code == Code::StreamIdle,
                None => break false,
            }
        }
    };
    tokio::time::timeout(wait, ended).await.unwrap_or(false)
}

#[tokio::test]
async fn a_client_that_stops_in_the_middle_is_cut_and_a_silent_stream_is_not() {
    let wait = STALL_MAX + Duration::from_secs(2);
    let (half, whole) = (b"\0\0\0\0\x05ab", b"\0\0\0\0\x02ab");
    let found = futures::join!(
        cut(half, Kind::Stream, wait),
        cut(whole, Kind::Stream, wait),
        cut(b"", Kind::Stream, wait),
        cut(half, Kind::Peer, wait),
        cut(b"", Kind::Plain, wait),
    );
    assert_eq!(found, (true, false, false, false, true));
}

/// Of a call nothing is seen before its end: what has come and does not end is held for nobody.
#[tokio::test]
async fn a_call_that_does_not_end_is_cut() {
    let wait = STALL_MAX + Duration::from_secs(2);
    let found = futures::join!(
        cut(b"\0\0\0\0\x05ab", Kind::Call, wait),
        cut(b"\0\0\0\0\x02ab", Kind::Call, wait),
        cut(b"\0\0\0\0\0", Kind::Call, wait),
    );
    assert_eq!(found, (true, true, true));
}

#[tokio::test(start_paused = true)]
async fn a_call_of_which_a_byte_comes_now_and_then_is_cut() {
    let drip = futures::stream::unfold((), |()| async {
        tokio::time::sleep(STALL_MAX - Duration::from_secs(1)).await;
        Some((Ok::<_, Status>(Frame::data(Bytes::from_static(b"\x01"))), ()))
    });
    let silent = futures::stream::pending::<Result<Frame<Bytes>, Status>>();
    let start = Instant::now();
    for body in [StreamBody::new(drip.boxed()), StreamBody::new(silent.boxed())] {
        let begun = start.elapsed();
        let mut body = Metered::new(body, Budget::new(1000), Kind::Call, Unread::default());
        let status = loop {
            if let Err(status) = body.frame().await.unwrap() {
                break status;
            }
        };
        assert_eq!(from_status(&status).unwrap().code, Code::StreamIdle);
        assert!((start.elapsed() - begun).abs_diff(MESSAGE_MAX) < Duration::from_millis(10));
    }
}

/// On a slow link each frame ends a message and begins the next: what is slow is not what stands still.
#[tokio::test(start_paused = true)]
async fn a_slow_stream_whose_frames_end_elsewhere_than_its_messages_goes_on() {
    // a message is a byte longer than a frame: the first end that both share is the last
    let bytes = [&b"\0\0\0\0\x60"[..], &[7; 96]].concat().repeat(99);
    let pieces: Vec<_> = bytes.chunks(100).map(Bytes::copy_from_slice).collect();
    let slow = futures::stream::iter(pieces).then(|piece| async move {
        tokio::time::sleep(Duration::from_secs(1)).await;
        Ok::<_, Status>(Frame::data(piece))
    });
    let start = Instant::now();
    let mut body = Metered::new(StreamBody::new(slow.boxed()), Budget::new(1000), Kind::Stream, Unread::default());
    while let Some(frame) = body.frame().await {
        assert!(frame.is_ok(), "cut after {:?}", start.elapsed());
    }
    assert!(start.elapsed() > MESSAGE_MAX + STALL_MAX, "{:?}", start.elapsed());
}

#[tokio::test]
async fn a_call_counts_until_it_is_dropped_and_has_one_message() {
    let budget = Budget::new(1000);
    let whole = stream(&[300], 100);
    let mut body = Metered::new(whole, budget.clone(), Kind::Call, Unread::default());
    while let Some(frame) = body.frame().await {
        frame.unwrap();
    }
    assert_eq!(budget.0.available_permits(), 1000 - 305, "whole, and not answered for");
    drop(body);
    assert_eq!(budget.0.available_permits(), 1000);
    for piece in [1, 7, 1000] {
        let mut two = Metered::new(stream(&[20, 0], piece), budget.clone(), Kind::Call, Unread::default());
        let status = loop {
            if let Err(status) = two.frame().await.unwrap() {
                break status;
            }
        };
        assert_eq!(from_status(&status).unwrap().code, Code::RequestMalformed);
    }
    assert_eq!(budget.0.available_permits(), 1000);
}

/// A stream that waits for room has its last message where that is counted, not here.
#[tokio::test]
async fn what_was_read_does_not_count_even_if_no_more_is_asked_for() {
    let (budget, unread) = (Budget::new(1000), Unread::default());
    let mut body = Metered::new(stream(&[300, 200, 400], 2000), budget.clone(), Kind::Stream, unread.clone());
    body.frame().await.unwrap().unwrap();
    for (length, free) in [(300, 390), (200, 595), (400, 1000), (400, 1000)] {
        unread.read(length);
        assert_eq!(budget.0.available_permits(), free);
    }
}

#[tokio::test]
async fn a_message_that_is_not_whole_counts() {
    let budget = Budget::new(1000);
    let mut body = Metered::new(stream(&[2000], 100), budget.clone(), Kind::Stream, Unread::default());
    for _ in 0..10 {
        body.frame().await.unwrap().unwrap();
    }
    let status = body.frame().await.unwrap().unwrap_err();
    assert_eq!(from_status(&status).unwrap().code, Code::Overloaded);
}
