//! The app behind the sidecar.

use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    sync::watch,
};

/// A server that answers `ok WORD` to every line. It greets whoever comes when
/// it was told to.
pub(crate) struct LineServer {
    pub(crate) address: SocketAddr,
    seen: Arc<Seen>,
}

struct Seen {
    connections: AtomicUsize,
    ended: AtomicUsize,
    received: Mutex<Vec<u8>>,
    /// No reply leaves while this is true.
    held: watch::Sender<bool>,
}

impl LineServer {
    pub(crate) async fn start() -> Self {
        Self::greeting(b"").await
    }

    /// One that speaks first.
    pub(crate) async fn greeting(greeting: &'static [u8]) -> Self {
        Self::listen("127.0.0.1:0", greeting).await
    }

    /// One at an address of its own.
    pub(crate) async fn at(address: &str) -> Self {
        Self::listen(address, b"").await
    }

    async fn listen(address: &str, greeting: &'static [u8]) -> Self {
        let listener = TcpListener::bind(address).await.unwrap();
        let address = listener.local_addr().unwrap();
        let seen = Arc::new(Seen {
            connections: AtomicUsize::new(0),
            ended: AtomicUsize::new(0),
            received: Mutex::default(),
            held: watch::Sender::new(false),
        });
        let by = Arc::clone(&seen);
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                by.connections.fetch_add(1, Ordering::Relaxed);
                tokio::spawn(serve(stream, greeting, Arc::clone(&by)));
            }
        });
        Self { address, seen }
    }

    /// Keeps replies back from now on, or lets them go.
    pub(crate) fn hold(&self, hold: bool) {
        self.seen.held.send_replace(hold);
    }

    /// Connections that ever came.
    pub(crate) fn connections(&self) -> usize {
        self.seen.connections.load(Ordering::Relaxed)
    }

    /// Connections whose client has said that it is done.
    pub(crate) fn ended(&self) -> usize {
        self.seen.ended.load(Ordering::Relaxed)
    }

    /// Every byte that ever came.
    pub(crate) fn received(&self) -> String {
        String::from_utf8(self.seen.received.lock().unwrap().clone()).unwrap()
    }
}

async fn serve(mut stream: TcpStream, greeting: &[u8], seen: Arc<Seen>) {
    let mut line = Vec::new();
    let mut buffer = [0; 4096];
    // Without it each second reply waits for the acknowledgement of the first.
    stream.set_nodelay(true).unwrap();
    let _ = stream.write_all(greeting).await;
    loop {
        let Ok(n) = stream.read(&mut buffer).await else { return };
        if n == 0 {
            seen.ended.fetch_add(1, Ordering::Relaxed);
            return;
        }
        seen.received.lock().unwrap().extend_from_slice(&buffer[..n]);
        for byte in &buffer[..n] {
            line.push(*byte);
            if *byte == b'\n' {
                let reply = [b"ok ".as_slice(), &line].concat();
                line.clear();
                seen.held.subscribe().wait_for(|held| !held).await.unwrap();
                if stream.write_all(&reply).await.is_err() {
                    return;
                }
            }
        }
    }
}

/// An address on which nobody listens, and nobody will.
pub(crate) fn silent_port() -> (SocketAddr, std::net::TcpListener) {
    // Bound in another family's place: the port stays taken, and closed on IPv4.
    let holder = std::net::TcpListener::bind("127.0.0.2:0").unwrap();
    let port = holder.local_addr().unwrap().port();
    (SocketAddr::new("127.0.0.1".parse().unwrap(), port), holder)
}
