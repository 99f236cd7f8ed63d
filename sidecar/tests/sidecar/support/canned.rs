//! An app that is probed, with answers from a can.

use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, SystemTime},
};

use remora_certs::{Ca, Serving};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    net::TcpListener,
};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{ServerConfig, SupportedProtocolVersion, crypto::ring},
};

/// An HTTP/1.1 server that answers by path.
pub(crate) struct Canned {
    pub(crate) address: SocketAddr,
    seen: Arc<Seen>,
}

#[derive(Default)]
struct Seen {
    heads: Mutex<Vec<String>>,
    given_up: AtomicUsize,
}

/// From a request's target to an answer's status line and headers; an empty
/// answer is none at all.
type Answers = fn(&str) -> &'static str;

impl Canned {
    pub(crate) async fn start(answers: Answers) -> Self {
        Self::behind(answers, None).await
    }

    /// One with a certificate that nobody vouches for, in one version of TLS.
    pub(crate) async fn tls(answers: Answers, version: &'static SupportedProtocolVersion) -> Self {
        let (now, day) = (SystemTime::now(), Duration::from_secs(86_400));
        let ca = Ca::generate(now, day).unwrap();
        let serving = Arc::new(Serving::default());
        serving.set(ca.issue(&["somebody.else".into()], now, day).unwrap().certified());
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_protocol_versions(&[version])
            .unwrap()
            .with_no_client_auth()
            .with_cert_resolver(serving);
        Self::behind(answers, Some(TlsAcceptor::from(Arc::new(config)))).await
    }

    async fn behind(answers: Answers, tls: Option<TlsAcceptor>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let told = Arc::new(Seen::default());
        let seen = Arc::clone(&told);
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let (tls, seen) = (tls.clone(), Arc::clone(&seen));
                tokio::spawn(async move {
                    match tls {
                        None => serve(stream, answers, &seen).await,
                        Some(tls) => {
                            let Ok(stream) = tls.accept(stream).await else { return };
                            serve(stream, answers, &seen).await;
                        }
                    }
                });
            }
        });
        Self { address, seen: told }
    }

    /// The head of every request so far, in small letters.
    pub(crate) fn heads(&self) -> Vec<String> {
        self.seen.heads.lock().unwrap().clone()
    }

    /// Those who left without the answer that they never got.
    pub(crate) fn given_up(&self) -> usize {
        self.seen.given_up.load(Ordering::Relaxed)
    }
}

async fn serve(mut stream: impl AsyncRead + AsyncWrite + Unpin, answers: Answers, seen: &Seen) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let Ok(byte) = stream.read_u8().await else { return };
        head.push(byte);
    }
    let head = String::from_utf8(head).unwrap().to_lowercase();
    let target = head.split(' ').nth(1).unwrap().to_owned();
    seen.heads.lock().unwrap().push(head);
    let answer = answers(&target);
    if answer.is_empty() {
        // Whoever asks says nothing more, so that is their end.
        let _ = stream.read_u8().await;
        seen.given_up.fetch_add(1, Ordering::Relaxed);
        return;
    }
    let answer = format!("HTTP/1.1 {answer}\r\nContent-Length: 2\r\n\r\nhi");
    // The prober may have gone.
    let _ = stream.write_all(answer.as_bytes()).await;
    let _ = stream.shutdown().await;
}
