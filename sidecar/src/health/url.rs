//! Where an `httpGet` goes, and where the app's redirects send it.
//!
//! A kubelet follows a redirect to the same host, by whatever port or scheme,
//! and takes one to another host for a good answer.

use std::net::{IpAddr, SocketAddr};

use bytes::Bytes;
use http_body_util::Empty;
use hyper::{
    HeaderMap, Request, StatusCode, Uri,
    header::{HOST, HeaderValue},
};

use crate::config::HttpGet;

/// What a request is made to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Url {
    pub(super) tls: bool,
    pub(super) address: SocketAddr,
    /// Path and query.
    target: String,
}

/// What follows an answer.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// Nothing: it is the last.
    Done,
    /// Another path of the same authority.
    Here(Url),
    /// An authority that the app has named.
    There(Url),
}

impl Url {
    pub(super) fn of(get: &HttpGet) -> Self {
        Self { tls: get.tls, address: get.address, target: target(&get.path) }
    }

    /// The request itself, with a `Host` unless the manifest has one.
    ///
    /// # Errors
    /// HTTP has no such target: a bug.
    pub(super) fn request(&self, headers: &HeaderMap) -> Result<Request<Empty<Bytes>>, String> {
        let mut request = Request::get(&self.target)
            .body(Empty::new())
            .map_err(|error| format!("{}: {error}", self.target))?;
        *request.headers_mut() = headers.clone();
        if !headers.contains_key(HOST) {
            let host = HeaderValue::try_from(self.address.to_string());
            request.headers_mut().insert(HOST, host.map_err(|error| error.to_string())?);
        }
        Ok(request)
    }

    /// Where an answer sends us.
    pub(super) fn next(&self, status: StatusCode, location: Option<&HeaderValue>) -> Next {
        let location = location.map(|value| String::from_utf8_lossy(value.as_bytes()));
        match (status.as_u16(), location) {
            (301 | 302 | 303 | 307 | 308, Some(location)) if !location.is_empty() => {
                self.join(&location)
            }
            _ => Next::Done,
        }
    }

    fn join(&self, location: &str) -> Next {
        if let Some(rest) = location.strip_prefix("//") {
            let scheme = if self.tls { "https" } else { "http" };
            return self.absolute(&format!("{scheme}://{rest}"));
        }
        if location.split(['/', '?', '#']).next().is_some_and(|first| first.contains(':')) {
            return self.absolute(location);
        }
        let path = self.target.split('?').next().unwrap_or_default();
        let joined = match location.chars().next() {
            Some('/') => location.to_owned(),
            Some('?') => format!("{path}{location}"),
            Some('#') => self.target.clone(),
            _ => {
                let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
                format!("{folder}/{location}")
            }
        };
        Next::Here(Self { target: target(&joined), ..self.clone() })
    }

    /// A location with scheme and authority. One that cannot be read is
    /// nobody's we know.
    fn absolute(&self, location: &str) -> Next {
        let Some((scheme, rest)) = location.split_once("://") else { return Next::Done };
        let (authority, path) = match rest.find(['/', '?', '#']) {
            Some(at) => rest.split_at(at),
            None => (rest, ""),
        };
        let (tls, usual) = match scheme.to_ascii_lowercase().as_str() {
            "http" => (false, 80),
            "https" => (true, 443),
            _ => return Next::Done,
        };
        let Ok(authority) = authority.parse::<Uri>() else { return Next::Done };
        let host = authority.host().unwrap_or_default();
        let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        let here = bare.parse::<IpAddr>().is_ok_and(|ip| ip.to_canonical() == self.address.ip());
        if !here {
            return Next::Done;
        }
        let port = authority.port_u16().unwrap_or(usual);
        let address = SocketAddr::new(self.address.ip(), port);
        Next::There(Self { tls, address, target: target(path) })
    }
}

/// A manifest's or a location's path as a request's target: what follows `#`
/// stays at home, and what cannot stand in a target is escaped.
fn target(path: &str) -> String {
    let path = path.split('#').next().unwrap_or_default();
    let mut target = String::with_capacity(path.len().saturating_add(1));
    if !path.starts_with('/') {
        target.push('/');
    }
    for byte in path.bytes() {
        let plain = byte.is_ascii_graphic() && !b"\"<>\\^`{|}".contains(&byte);
        if plain {
            target.push(byte.into());
        } else {
            target.push_str(&format!("%{byte:02X}"));
        }
    }
    target
}

#[cfg(test)]
mod tests;
