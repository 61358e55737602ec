//! A way to a node that can be shut and opened again, at one address: an outage, and its end.

use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};

/// Shut at first.
pub struct Door {
    pub address: String,
    to: String,
    open: Option<JoinHandle<()>>,
}

impl Door {
    /// To whoever listens at an address.
    pub async fn to(address: &str) -> Self {
        let door = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
        Self { address: door.to_string(), to: address.to_owned(), open: None }
    }

    /// Lets everybody through.
    pub async fn open(&mut self) {
        let listener = TcpListener::bind(&self.address).await.unwrap();
        let to = self.to.clone();
        self.open = Some(tokio::spawn(async move {
            let mut through = JoinSet::new();
            loop {
                let (mut one, _) = listener.accept().await.unwrap();
                let to = to.clone();
                through.spawn(async move {
                    let mut other = TcpStream::connect(to).await.unwrap();
                    let _ = tokio::io::copy_bidirectional(&mut one, &mut other).await;
                });
            }
        }));
    }

    /// Nobody listens any more, and who came through is cut off.
    pub async fn shut(&mut self) {
        if let Some(open) = self.open.take() {
            open.abort();
            let _ = open.await;
        }
    }
}
