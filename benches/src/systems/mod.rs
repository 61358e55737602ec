//! The systems, each in its own way of being durable on a majority.

mod etcd;
mod kho;
mod postgres;
mod rabbitmq;

pub use etcd::Etcd;
pub use kho::Kho;
pub use postgres::Postgres;
pub use rabbitmq::RabbitMq;
