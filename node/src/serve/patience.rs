//! How long a request's body is waited for.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::{Instant, Sleep};

/// Whose body it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// gRPC of a client or an operator, of one message. Nobody sees it before its sender has ended the request, so until
    /// then all of it counts, and the end must come, too.
    Call,
    /// The same of many messages.
    Stream,
    /// gRPC of another node, whose links may be slow and whose streams silent.
    Peer,
    /// No gRPC.
    Plain,
}

/// A message of which nothing more came for so long will not be whole.
pub(super) const STALL_MAX: Duration = Duration::from_secs(10);
/// Nor one that took so long, nor a call of which nothing came at all: nobody waits for its answer any more.
pub(super) const MESSAGE_MAX: Duration = Duration::from_secs(60);
/// A stream whose first message has not begun by then is none; it waits longer than this for nothing.
const FIRST_MAX: Duration = Duration::from_secs(130);

/// With one body.
pub(super) struct Patience {
    kind: Kind,
    /// Something came.
    spoken: bool,
    /// When the message that is being received began; of a call, when it was waited for.
    begun: Option<Instant>,
    /// Until when more must come. Kept for the next wait: most calls wait once or twice.
    until: Option<Pin<Box<Sleep>>>,
    /// Nothing came since it was set.
    waits: bool,
}

impl Patience {
    /// With a body of which nothing has come.
    pub fn new(kind: Kind) -> Self {
        Self { kind, spoken: false, begun: None, until: None, waits: false }
    }

    /// Something came; it `ended` a message, or did not. Afterwards one is `partial`, or none is: which is another than before,
    /// if one ended, though frames need not end where messages do.
    pub fn came(&mut self, ended: bool, partial: bool) {
        (self.spoken, self.waits) = (true, false);
        if self.kind == Kind::Stream && (ended || !partial) {
            self.begun = None;
        }
    }

    /// Nothing has come. Ready: it took too long.
    pub fn poll(&mut self, partial: bool, context: &mut Context<'_>) -> Poll<()> {
        let now = Instant::now();
        let mut left = || (*self.begun.get_or_insert(now) + MESSAGE_MAX).saturating_duration_since(now);
        let limit = match (self.kind, partial, self.spoken) {
            (Kind::Peer, _, _) | (Kind::Stream, false, true) => return Poll::Pending,
            (Kind::Stream, false, false) => FIRST_MAX,
            (Kind::Call, _, false) => left(),
            (Kind::Call | Kind::Stream | Kind::Plain, _, _) => STALL_MAX.min(left()),
        };
        let until = now + limit;
        let waits = std::mem::replace(&mut self.waits, true);
        let sleep = match &mut self.until {
            Some(sleep) => {
                if !waits {
                    sleep.as_mut().reset(until);
                }
                sleep
            }
            none => none.insert(Box::pin(tokio::time::sleep_until(until))),
        };
        sleep.as_mut().poll(context)
    }
}
