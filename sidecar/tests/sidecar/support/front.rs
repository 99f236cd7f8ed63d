//! TLS before a scripted agent: ends it and passes on what was inside.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, SystemTime},
};

use remora_certs::{Ca, Serving, server_config};
use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream, UnixStream},
    sync::watch,
};
use tokio_rustls::TlsAcceptor;

const DAY: Duration = Duration::from_secs(86_400);

/// A CA that vouches for agents.
pub(crate) struct Authority(Ca);

impl Authority {
    pub(crate) fn new() -> Self {
        Self(Ca::generate(SystemTime::now(), DAY).unwrap())
    }

    /// Its certificate in PEM.
    pub(crate) fn pem(&self) -> &str {
        self.0.certificate()
    }

    /// Puts its certificate where a sidecar looks for it.
    pub(crate) fn publish(&self, path: &Path) {
        std::fs::write(path, self.pem()).unwrap();
    }
}

/// What the agent's clients reach.
pub(crate) struct Front {
    pub(crate) address: SocketAddr,
    serving: Arc<Serving>,
    seen: Arc<Seen>,
    freezes: watch::Sender<usize>,
}

#[derive(Default)]
struct Seen {
    /// Handshakes that were begun, and those that went well.
    begun: AtomicUsize,
    finished: AtomicUsize,
}

impl Front {
    /// Shows a certificate of `authority` for `name`, and passes on to `socket`.
    pub(crate) fn start(
        listener: TcpListener,
        socket: PathBuf,
        authority: &Authority,
        name: &str,
    ) -> Self {
        let front = Self {
            address: listener.local_addr().unwrap(),
            serving: Arc::default(),
            seen: Arc::default(),
            freezes: watch::Sender::new(0),
        };
        front.show(authority, name);
        let acceptor = TlsAcceptor::from(server_config(Arc::clone(&front.serving)).unwrap());
        let (seen, freezes) = (Arc::clone(&front.seen), front.freezes.subscribe());
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let serve = serve(
                    acceptor.clone(),
                    stream,
                    socket.clone(),
                    Arc::clone(&seen),
                    freezes.clone(),
                );
                tokio::spawn(serve);
            }
        });
        front
    }

    /// Shows another certificate from here on.
    pub(crate) fn show(&self, authority: &Authority, name: &str) {
        let leaf = authority.0.issue(&[name.to_owned()], SystemTime::now(), DAY / 2).unwrap();
        self.serving.set(leaf.certified());
    }

    /// Lets the connections that there are go silent, for good.
    pub(crate) fn freeze(&self) {
        self.freezes.send_modify(|freezes| *freezes += 1);
    }

    /// Handshakes that clients began.
    pub(crate) fn begun(&self) -> usize {
        self.seen.begun.load(Ordering::Relaxed)
    }

    /// Handshakes that clients were content with.
    pub(crate) fn finished(&self) -> usize {
        self.seen.finished.load(Ordering::Relaxed)
    }
}

async fn serve(
    acceptor: TlsAcceptor,
    stream: TcpStream,
    socket: PathBuf,
    seen: Arc<Seen>,
    mut freezes: watch::Receiver<usize>,
) {
    freezes.mark_unchanged();
    seen.begun.fetch_add(1, Ordering::Relaxed);
    // The client's own part of the handshake is its last: it has looked at the
    // certificate by then.
    let Ok(mut client) = acceptor.accept(stream).await else { return };
    seen.finished.fetch_add(1, Ordering::Relaxed);
    let Ok(mut agent) = UnixStream::connect(socket).await else { return };
    tokio::select! {
        _ = copy_bidirectional(&mut client, &mut agent) => {}
        _ = freezes.changed() => std::future::pending().await,
    }
}
