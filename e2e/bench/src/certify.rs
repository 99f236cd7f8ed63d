//! The identity service of linkerd2-proxy's control plane, as far as one proxy
//! needs it to start: whoever asks gets the certificate that its adapter made.

use std::{
    convert::Infallible,
    fs,
    net::Ipv4Addr,
    path::Path,
    process::ExitCode,
    task::{Context, Poll},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use anyhow::{Context as _, Result};
use prost_types::Timestamp;
use tokio::{net::TcpListener, sync::mpsc};
use tokio_stream::wrappers::TcpListenerStream;
use tonic::{
    Request, Response, Status,
    body::Body,
    codegen::{BoxFuture, Service, http},
    server::{Grpc, UnaryService},
    transport::Server,
};
use tonic_prost::ProstCodec;

/// How long the certificate is said to count: longer than a benchmark takes.
const VALID: Duration = Duration::from_secs(24 * 3600);

/// `io.linkerd.proxy.identity.CertifyRequest`, of which nothing is asked.
#[derive(Clone, PartialEq, prost::Message)]
struct CertifyRequest {}

/// `io.linkerd.proxy.identity.CertifyResponse`.
#[derive(Clone, PartialEq, prost::Message)]
struct CertifyResponse {
    #[prost(bytes = "vec", tag = "1")]
    leaf_certificate: Vec<u8>,
    #[prost(bytes = "vec", repeated, tag = "2")]
    intermediate_certificates: Vec<Vec<u8>>,
    #[prost(message, optional, tag = "3")]
    valid_until: Option<Timestamp>,
}

/// Answers with the certificate of this file until the first answer was sent.
pub(crate) fn run(port: u16, certificate: &Path) -> Result<ExitCode> {
    let leaf = fs::read(certificate).with_context(|| format!("{}", certificate.display()))?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port))
            .await
            .with_context(|| format!("listening on port {port}"))?;
        let (answered, mut answers) = mpsc::channel(1);
        let first = async {
            let _ = answers.recv().await;
        };
        Server::builder()
            .serve_with_incoming_shutdown(
                Identity { leaf, answered },
                TcpListenerStream::new(listener),
                first,
            )
            .await?;
        Ok(ExitCode::SUCCESS)
    })
}

#[derive(Clone)]
struct Identity {
    leaf: Vec<u8>,
    answered: mpsc::Sender<()>,
}

impl Service<http::Request<Body>> for Identity {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<Self::Response, Self::Error>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let own = self.clone();
        Box::pin(async move { Ok(Grpc::new(ProstCodec::default()).unary(own, request).await) })
    }
}

impl UnaryService<CertifyRequest> for Identity {
    type Response = CertifyResponse;
    type Future = BoxFuture<Response<CertifyResponse>, Status>;

    fn call(&mut self, _: Request<CertifyRequest>) -> Self::Future {
        let until = (SystemTime::now() + VALID).duration_since(UNIX_EPOCH).unwrap_or_default();
        let response = CertifyResponse {
            leaf_certificate: self.leaf.clone(),
            intermediate_certificates: Vec::new(),
            valid_until: Some(Timestamp {
                seconds: i64::try_from(until.as_secs()).unwrap_or(i64::MAX),
                nanos: 0,
            }),
        };
        // The server ends once what is under way is done.
        let _ = self.answered.try_send(());
        Box::pin(async move { Ok(Response::new(response)) })
    }
}
