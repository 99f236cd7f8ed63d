//! `httpGet`, as a kubelet makes it: any status from 200 to 399 is well,
//! redirects within the pod are followed, certificates are not looked at.

use std::sync::Arc;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Empty};
use hyper::{
    HeaderMap, Request, StatusCode,
    body::Incoming,
    client::conn::http1,
    header::{ACCEPT, CONNECTION, HOST, HeaderValue, LOCATION, USER_AGENT},
};
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    task::JoinSet,
};
use tokio_rustls::{TlsConnector, rustls::pki_types::ServerName};

use super::{
    call::{Verdict, connect},
    insecure,
    url::{Next, Url},
};
use crate::{config::HttpGet, network::Network};

/// A kubelet stops after so many requests.
const MAX_REQUESTS: usize = 10;

/// A kubelet reads no more of an answer's body.
const MAX_BODY: usize = 10 << 10;

/// The most bytes of an answer's head.
const MAX_HEAD: usize = 64 << 10;

/// Makes the call, and those that the app sends us on to.
pub(super) async fn make(get: &HttpGet, network: &Network, agent: &HeaderValue) -> Verdict {
    let mut url = Url::of(get);
    let mut headers = headers(get, agent);
    for _ in 0..MAX_REQUESTS {
        let (status, location) = request(&url, network, &headers).await?;
        if !(200..400).contains(&status.as_u16()) {
            return Err(format!("HTTP status {}", status.as_u16()));
        }
        match url.next(status, location.as_ref()) {
            Next::Done => return Ok(()),
            Next::Here(next) => url = next,
            Next::There(next) => {
                // Another authority: the name that was given is not its.
                headers.remove(HOST);
                url = next;
            }
        }
    }
    Err(format!("stopped after {MAX_REQUESTS} redirects"))
}

/// The manifest's headers, and those that a kubelet adds: an empty `Accept`
/// means none.
fn headers(get: &HttpGet, agent: &HeaderValue) -> HeaderMap {
    let mut headers: HeaderMap = HeaderMap::new();
    for (name, value) in &get.headers {
        headers.append(name, value.clone());
    }
    headers.entry(USER_AGENT).or_insert_with(|| agent.clone());
    if headers.get(ACCEPT).is_some_and(HeaderValue::is_empty) {
        headers.remove(ACCEPT);
    } else {
        headers.entry(ACCEPT).or_insert(HeaderValue::from_static("*/*"));
    }
    headers.insert(CONNECTION, HeaderValue::from_static("close"));
    headers
}

/// One request: the answer's status, and where it sends us.
async fn request(
    url: &Url,
    network: &Network,
    headers: &HeaderMap,
) -> Result<(StatusCode, Option<HeaderValue>), String> {
    let stream = connect(network, url.address).await?;
    let request = url.request(headers)?;
    if !url.tls {
        return exchange(stream, request).await;
    }
    let config = insecure::client_config().map_err(|error| format!("TLS: {error}"))?;
    let name = ServerName::IpAddress(url.address.ip().into());
    let secured = TlsConnector::from(Arc::new(config)).connect(name, stream).await;
    exchange(secured.map_err(|error| format!("TLS: {error}"))?, request).await
}

async fn exchange(
    stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
    request: Request<Empty<Bytes>>,
) -> Result<(StatusCode, Option<HeaderValue>), String> {
    let broken = |error: hyper::Error| format!("the answer is broken: {error}");
    let (mut sender, connection) = http1::Builder::new()
        .max_buf_size(MAX_HEAD)
        .handshake(TokioIo::new(stream))
        .await
        .map_err(broken)?;
    // Ends with this call, however it ends.
    let mut driving = JoinSet::new();
    driving.spawn(connection);
    let answer = sender.send_request(request).await.map_err(broken)?;
    let (status, location) = (answer.status(), answer.headers().get(LOCATION).cloned());
    drain(answer.into_body()).await.map_err(broken)?;
    Ok((status, location))
}

/// Reads a body: one that breaks off, or never ends, is no good answer.
async fn drain(mut body: Incoming) -> Result<(), hyper::Error> {
    let mut read = 0_usize;
    while let Some(frame) = body.frame().await.transpose()? {
        read = read.saturating_add(frame.data_ref().map_or(0, Bytes::len));
        if read >= MAX_BODY {
            break;
        }
    }
    Ok(())
}
