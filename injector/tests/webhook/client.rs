//! HTTP/1.1 over TLS by hand: what is sent is what a test says.

use std::net::SocketAddr;
use std::sync::Arc;

use remora_certs::Bundle;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, ServerName};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::NAME;

/// A connection to a webhook that this bundle vouches for.
pub(crate) async fn connect(
    address: SocketAddr,
    bundle: &str,
) -> std::io::Result<TlsStream<TcpStream>> {
    Bundle::parse(bundle.as_bytes(), "a test").expect("a bundle");
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(bundle.as_bytes()) {
        roots.add(certificate.expect("PEM")).expect("a root");
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .expect("TLS 1.3")
        .with_root_certificates(roots)
        .with_no_client_auth();
    // As an API server offers them.
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    let name = ServerName::try_from(NAME).expect("a name");
    TlsConnector::from(Arc::new(config)).connect(name, stream).await
}

/// What a request is answered: status and body.
pub(crate) async fn ask(
    stream: &mut TlsStream<TcpStream>,
    head: &str,
    body: &[u8],
) -> (u16, String) {
    let head = format!("{head}\r\nHost: {NAME}\r\nContent-Length: {}\r\n\r\n", body.len());
    stream.write_all(head.as_bytes()).await.expect("sent");
    // A server that has refused already need not read on.
    let _ = stream.write_all(body).await;
    answer(stream).await
}

/// The next answer.
pub(crate) async fn answer(stream: &mut TlsStream<TcpStream>) -> (u16, String) {
    let mut bytes = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&bytes);
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
            let length: usize = length.expect("a length").parse().expect("a number");
            if body.len() >= length {
                let status = head.split(' ').nth(1).expect("a status").parse().expect("a number");
                return (status, body.to_owned());
            }
        }
        let mut chunk = [0; 16 << 10];
        let count = stream.read(&mut chunk).await.expect("an answer");
        assert!(count > 0, "the connection ended after {:?}", String::from_utf8_lossy(&bytes));
        bytes.extend_from_slice(&chunk[..count]);
    }
}

pub(crate) const POST: &str =
    "POST /inject/enabled?timeout=3s HTTP/1.1\r\nContent-Type: application/json";
