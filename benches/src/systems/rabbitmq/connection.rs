//! A publisher that waits for the confirm of each message.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use amqprs::channel::{BasicPublishArguments, Channel, ConfirmSelectArguments};
use amqprs::connection::{Connection as Amqp, OpenConnectionArguments};
use amqprs::{Ack, BasicProperties, Cancel, CloseChannel, Nack, Return};
use anyhow::{Context, Result};
use async_trait::async_trait;
use kho::bench::{Connection, Done};
use tokio::sync::{Mutex, oneshot};

use crate::system::Bodies;

const TIMEOUT: Duration = Duration::from_secs(2);

type Waiting = Arc<parking_lot::Mutex<BTreeMap<u64, oneshot::Sender<bool>>>>;

/// Hands confirms to those who wait for them.
struct Confirms(Waiting);

impl Confirms {
    fn settle(&self, tag: u64, upto: bool, taken: bool) {
        let mut waiting = self.0.lock();
        let settled = if upto {
            let later = waiting.split_off(&(tag + 1));
            std::mem::replace(&mut *waiting, later)
        } else {
            waiting.remove_entry(&tag).into_iter().collect()
        };
        drop(waiting);
        for waiter in settled.into_values() {
            // one that gave up waiting is not there any more
            let _ = waiter.send(taken);
        }
    }
}

#[async_trait]
impl amqprs::callbacks::ChannelCallback for Confirms {
    async fn close(&mut self, _: &Channel, _: CloseChannel) -> Result<(), amqprs::error::Error> {
        self.0.lock().clear();
        Ok(())
    }

    async fn cancel(&mut self, _: &Channel, _: Cancel) -> Result<(), amqprs::error::Error> {
        Ok(())
    }

    async fn flow(&mut self, _: &Channel, active: bool) -> Result<bool, amqprs::error::Error> {
        Ok(active)
    }

    async fn publish_ack(&mut self, _: &Channel, ack: Ack) {
        self.settle(ack.delivery_tag(), ack.mutiple(), true);
    }

    async fn publish_nack(&mut self, _: &Channel, nack: Nack) {
        self.settle(nack.delivery_tag(), nack.multiple(), false);
    }

    async fn publish_return(&mut self, _: &Channel, _: Return, _: BasicProperties, _: Vec<u8>) {}
}

/// An open connection; dropping it closes it.
struct Open {
    connection: Amqp,
    channel: Channel,
    /// Number of the last message on this channel.
    last: u64,
    waiting: Waiting,
}

/// A connection to a node; made when it is first used, and again after it failed.
pub struct RabbitConnection {
    port: u16,
    queue: String,
    open: Mutex<Option<Open>>,
    next: Arc<AtomicU64>,
    bodies: Bodies,
}

/// Opens a connection and a channel on it.
pub(super) async fn open(port: u16) -> Result<(Amqp, Channel)> {
    let arguments = OpenConnectionArguments::new("127.0.0.1", port, "guest", "guest");
    let connection = tokio::time::timeout(TIMEOUT, Amqp::open(&arguments)).await??;
    let channel = connection.open_channel(None).await?;
    Ok((connection, channel))
}

impl RabbitConnection {
    /// Publishes to `queue` at the node behind `port`.
    pub(super) fn new(port: u16, queue: String, next: Arc<AtomicU64>, bodies: Bodies) -> Self {
        Self { port, queue, open: Mutex::default(), next, bodies }
    }

    /// Opens it, unless it is open.
    pub(super) async fn ready(&self) -> Result<()> {
        let mut place = self.open.lock().await;
        if place.as_ref().is_none_or(|open| !open.connection.is_open() || !open.channel.is_open()) {
            *place = None;
            let (connection, channel) = open(self.port).await?;
            let waiting = Waiting::default();
            channel.register_callback(Confirms(waiting.clone())).await?;
            channel.confirm_select(ConfirmSelectArguments::default()).await?;
            *place = Some(Open { connection, channel, last: 0, waiting });
        }
        Ok(())
    }

    async fn publish(&self) -> Result<oneshot::Receiver<bool>> {
        self.ready().await?;
        let body = self.bodies.body(self.next.fetch_add(1, Ordering::Relaxed)).to_vec();
        let (confirmed, waiter) = oneshot::channel();
        // held until it is sent: confirms come by the number of the message on its channel
        let mut place = self.open.lock().await;
        let open = place.as_mut().context("closed meanwhile")?;
        open.last += 1;
        open.waiting.lock().insert(open.last, confirmed);
        let properties = BasicProperties::default().with_persistence(true).finish();
        open.channel.basic_publish(properties, body, BasicPublishArguments::new("", &self.queue)).await?;
        Ok(waiter)
    }
}

impl Connection for RabbitConnection {
    async fn call(&self) -> Result<Done, String> {
        let confirmed = match self.publish().await {
            Ok(waiter) => waiter.await.context("the channel ended"),
            Err(error) => Err(error),
        };
        match confirmed {
            Ok(true) => Ok(Done::Records(1)),
            Ok(false) => Err("the broker refused the message".to_owned()),
            Err(error) => {
                self.open.lock().await.take();
                Err(format!("{error:#}"))
            }
        }
    }
}
