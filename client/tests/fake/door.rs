//! A way to a node that can be shut and opened again, at one address: an outage, and its end.

use std::net::SocketAddr;

use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::task::{JoinHandle, JoinSet};

/// Who waits to be let in, at most.
const BACKLOG: u32 = 128;

/// Shut at first.
pub struct Door {
    pub address: String,
    to: String,
    open: Option<JoinHandle<()>>,
    /// Has the address while nobody listens, so that no other test is given it: whoever knocks is refused.
    _place: TcpSocket,
}

/// At an address that several sockets of this process may have.
fn socket(address: SocketAddr) -> TcpSocket {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_reuseaddr(true).unwrap();
    socket.set_reuseport(true).unwrap();
    socket.bind(address).unwrap();
    socket
}

impl Door {
    /// To whoever listens at an address.
    pub async fn to(address: &str) -> Self {
        let place = socket("127.0.0.1:0".parse().unwrap());
        let door = place.local_addr().unwrap();
        Self { address: door.to_string(), to: address.to_owned(), open: None, _place: place }
    }

    /// Lets everybody through.
    pub async fn open(&mut self) {
        let listener: TcpListener = socket(self.address.parse().unwrap()).listen(BACKLOG).unwrap();
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
