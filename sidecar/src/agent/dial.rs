//! The way to the agent: a unix socket, or TLS over TCP.
//!
//! Over TCP the agent proves itself first. Only to one whose certificate is
//! right is the pod's token shown, and both the CAs and the token are read anew
//! for each connection: they change under a running pod.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use hyper_util::rt::TokioIo;
use remora_api::POD_HEADER;
use remora_certs::Bundle;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpStream, UnixStream},
    time::timeout,
};
use tokio_rustls::{
    TlsConnector,
    client::TlsStream,
    rustls::{self, pki_types::ServerName},
};
use tonic::{
    Request,
    metadata::{Ascii, MetadataValue},
    transport::{Channel, Endpoint, Uri},
};

use super::{chain, resolve, token};
use crate::config::{Agent, Pod, Tls};

/// How long it may take to reach an agent over TCP: to look up its name, to
/// connect, and to shake hands.
const DIAL: Duration = Duration::from_secs(10);

/// A connection to the agent.
pub(super) struct Link {
    pub(super) channel: Channel,
    /// What tells the agent who asks; a unix socket needs none.
    pub(super) token: Option<token::Token>,
    /// The pod that it is about, which tells the agent something where the token
    /// is a node's.
    pod: Option<MetadataValue<Ascii>>,
}

impl Link {
    /// A request with the token.
    pub(super) fn request<T>(&self, message: T) -> Request<T> {
        let mut request = Request::new(message);
        if let Some(token) = &self.token {
            request.metadata_mut().insert("authorization", MetadataValue::clone(token));
        }
        if let Some(pod) = &self.pod {
            request.metadata_mut().insert(POD_HEADER, pod.clone());
        }
        request
    }
}

/// Makes a connection. `keepalive` is how often an agent behind TCP is asked
/// whether it is still there, and how long it may take to answer; `pod` is whom it
/// is about, if it is about one.
///
/// # Errors
/// Why there is none, in words for `kubectl describe`.
pub(super) async fn dial(
    agent: &Agent,
    keepalive: Duration,
    pod: Option<&Pod>,
) -> Result<Link, String> {
    match agent {
        Agent::Unix(path) => {
            let stream = UnixStream::connect(path).await.map_err(|error| error.to_string())?;
            let channel = over(stream, endpoint()).await?;
            Ok(Link { channel, token: None, pod: None })
        }
        Agent::Tls(tls) => {
            let dialled = timeout(DIAL, secured(tls)).await;
            let stream = dialled
                .unwrap_or_else(|_| Err(format!("no answer within {} s", DIAL.as_secs())))?;
            let token = token::read(&tls.token)?;
            let endpoint = endpoint()
                .http2_keep_alive_interval(keepalive)
                .keep_alive_timeout(keepalive)
                .keep_alive_while_idle(true);
            // A name that no header holds is no pod's.
            let pod = pod
                .and_then(|pod| format!("{}/{}/{}", pod.namespace, pod.name, pod.uid).parse().ok());
            Ok(Link { channel: over(stream, endpoint).await?, token: Some(token), pod })
        }
    }
}

/// The agent's stream, once it has proved itself.
async fn secured(tls: &Tls) -> Result<TlsStream<TcpStream>, String> {
    let bundle = Bundle::read(&tls.ca).map_err(|error| error.to_string())?;
    let config = remora_certs::client_config(&bundle).map_err(|error| error.to_string())?;
    let stream = connect(&tls.server, tls.port).await?;
    let connector = TlsConnector::from(Arc::clone(&config));
    connector
        .connect(tls.server.clone(), stream)
        .await
        .map_err(|error| match certificate_error(&error) {
            Some(error) => format!(
                "its certificate is not to be trusted by {}: {error}; this pod's token was not sent",
                tls.ca.display()
            ),
            None => format!("no TLS with it: {error}"),
        })
}

/// What is wrong with the server's certificate, if that is what is wrong.
fn certificate_error(error: &io::Error) -> Option<&rustls::Error> {
    let error = error.get_ref()?.downcast_ref::<rustls::Error>()?;
    matches!(error, rustls::Error::InvalidCertificate(_)).then_some(error)
}

/// The first of the server's addresses that accepts.
async fn connect(server: &ServerName<'_>, port: u16) -> Result<TcpStream, String> {
    let ips = match server {
        ServerName::IpAddress(ip) => vec![(*ip).into()],
        name => resolve::addresses(&name.to_str()).await?,
    };
    let mut why = String::new();
    for ip in ips {
        let address = SocketAddr::new(ip, port);
        match TcpStream::connect(address).await {
            Ok(stream) => {
                // One that refuses works all the same.
                let _ = stream.set_nodelay(true);
                return Ok(stream);
            }
            Err(error) => why = format!("{address}: {error}"),
        }
    }
    Err(why)
}

/// The name is for show: the connection is there before it is looked at.
fn endpoint() -> Endpoint {
    Endpoint::from_static("http://agent")
}

/// A channel over exactly one connection: were it made anew under our feet,
/// one stream's numbering could meet the other's of an earlier agent.
async fn over(
    stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
    endpoint: Endpoint,
) -> Result<Channel, String> {
    let mut once = Some(TokioIo::new(stream));
    let connector = tower::service_fn(move |_: Uri| {
        let stream = once.take().ok_or_else(|| io::Error::other("the connection has ended"));
        async move { stream }
    });
    endpoint.connect_with_connector(connector).await.map_err(|error| chain(&error))
}
