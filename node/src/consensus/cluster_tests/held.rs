//! Connections that stand still, and what a leader makes of answers that come late.

use std::collections::BTreeMap;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use kho_proto::id::NodeId;
use openraft::async_runtime::watch::WatchReceiver;
use openraft::raft::TransferLeaderRequest;
use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::ProposeError;
use super::rig::{Cluster, PATIENCE, genesis, keys};
use crate::seams::BoxIo;

/// Who dialled, and whom.
type Way = (NodeId, NodeId);

#[derive(Default)]
struct Door {
    /// What comes waits outside.
    deaf: bool,
    /// What goes is lost.
    silent: bool,
    waiting: Vec<Waker>,
}

/// Of all ways.
#[derive(Clone, Default)]
pub(super) struct Doors(Arc<Mutex<BTreeMap<Way, Door>>>);

impl Doors {
    pub(super) fn through(&self, way: Way, io: BoxIo) -> BoxIo {
        Box::new(Through { io, way, doors: self.clone() })
    }

    fn deafen(&self, way: Way) {
        self.0.lock().entry(way).or_default().deaf = true;
    }

    fn silence(&self, way: Way) {
        self.0.lock().entry(way).or_default().silent = true;
    }

    fn hear(&self, way: Way) {
        let mut doors = self.0.lock();
        let door = doors.entry(way).or_default();
        door.deaf = false;
        door.waiting.drain(..).for_each(Waker::wake);
    }

    fn silent(&self, way: Way) -> bool {
        self.0.lock().get(&way).is_some_and(|door| door.silent)
    }
}

struct Through {
    io: BoxIo,
    way: Way,
    doors: Doors,
}

impl AsyncRead for Through {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        {
            let mut doors = self.doors.0.lock();
            let door = doors.entry(self.way).or_default();
            if door.deaf {
                door.waiting.push(cx.waker().clone());
                return Poll::Pending;
            }
        }
        Pin::new(&mut self.io).poll_read(cx, buf)
    }
}

impl AsyncWrite for Through {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        if self.doors.silent(self.way) {
            return Poll::Ready(Ok(buf.len()));
        }
        Pin::new(&mut self.io).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}

async fn wait(what: &str, mut until: impl FnMut() -> bool) {
    let started = Instant::now();
    while !until() {
        assert!(started.elapsed() < PATIENCE, "{what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// A leader that stood still wakes among answers to what it had sent before. One lets it commit and tell so; the other, to
/// an append that ends at the same entry, must not pass for an answer to that (docs/postmortems/0003).
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_late_answer_confirms_no_read() {
    let cluster = Cluster::formed().await;
    let formed = cluster.propose(genesis()).await;
    cluster.agree_at(formed.index).await;
    let old = cluster.leader().await;
    let others: Vec<_> = cluster.nodes.keys().copied().filter(|id| *id != old).collect();
    let [new, third] = others[..] else { panic!("three nodes: {others:?}") };
    let node = |id: NodeId| &cluster.nodes[&id].consensus;

    // an entry that both have written, and whose answers wait outside
    others.iter().for_each(|to| cluster.doors.deafen((old, *to)));
    let proposing = {
        let old = node(old).clone();
        tokio::spawn(async move { old.propose(keys(1, 1)).await })
    };
    let written = formed.index.0 + 1;
    wait("both followers write", || others.iter().all(|id| node(*id).status().last_log.0 == written)).await;
    tokio::time::sleep(Duration::from_millis(20)).await;

    // nothing more between the old leader and the others, who elect a new one and go on
    for other in [new, third] {
        cluster.doors.silence((old, other));
        cluster.doors.silence((other, old));
    }
    let raft = &node(new).inner.raft;
    let vote = raft.metrics().borrow_watched().vote;
    let last = node(new).inner.log.bounds().1;
    raft.handle_transfer_leader(TransferLeaderRequest::new(vote, new.0, last)).await.unwrap().unwrap();
    wait("a new leader", || node(new).is_leader()).await;
    let acknowledged = loop {
        match node(new).propose(keys(2, 1)).await {
            Ok(acknowledged) => break acknowledged,
            // it leads before all of it has heard so
            Err(ProposeError::NotLeader { .. }) => tokio::time::sleep(Duration::from_millis(5)).await,
            Err(error) => panic!("{error}"),
        }
    };

    // the old one, which knows nothing of it, is asked to read
    assert!(node(old).is_leader(), "it stepped down too early: nothing is tested");
    let reading = {
        let old = node(old).clone();
        tokio::spawn(async move { old.read_index().await })
    };
    tokio::time::sleep(Duration::from_millis(20)).await;
    cluster.doors.hear((old, third));
    wait("the old leader commits", || node(old).status().committed.0 >= written).await;
    tokio::time::sleep(Duration::from_millis(20)).await;
    cluster.doors.hear((old, new));
    let read = reading.await.unwrap();
    assert!(read.is_err(), "read at {read:?}, and {:?} was acknowledged before", acknowledged.index);
    drop(proposing);
}
