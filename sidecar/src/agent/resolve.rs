//! Looks up the agent's name. Not by the C library: in a static binary its
//! resolver does not work. A resolver library would be a third of the sidecar's
//! crates, for one name that is asked for once a connection.
//!
//! Answers are not trusted: whoever is reached by them has to prove itself with
//! a certificate for the very name that was asked.

mod conf;
mod message;

use std::{
    fs,
    hash::{BuildHasher as _, RandomState},
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    time::Duration,
};

use tokio::{net::UdpSocket, time::timeout};

use self::{
    conf::Conf,
    message::{Family, Reply},
};

/// How long a server may take for one question.
const PATIENCE: Duration = Duration::from_secs(2);

/// How often a question is put to all servers.
const ROUNDS: usize = 2;

/// A server's answer over UDP has no more bytes, unless it was asked for more.
const MAX_ANSWER: usize = 512;

/// The addresses of `name`, by what `/etc/resolv.conf` says just now.
///
/// # Errors
/// Why there are none.
pub(super) async fn addresses(name: &str) -> Result<Vec<IpAddr>, String> {
    let file = "/etc/resolv.conf";
    let text = fs::read_to_string(file);
    let text = text.map_err(|error| format!("{name} cannot be looked up: {file}: {error}"))?;
    ask(&Conf::read(&text), name).await
}

async fn ask(conf: &Conf, name: &str) -> Result<Vec<IpAddr>, String> {
    let mut why = "/etc/resolv.conf names no server".to_owned();
    for candidate in conf.candidates(name) {
        for family in [Family::V4, Family::V6] {
            match put(conf, &candidate, family).await {
                Ok(found) if found.is_empty() => why = "there is no such name".into(),
                Ok(found) => return Ok(found),
                Err(problem) => {
                    return Err(format!("{name} cannot be looked up: {candidate}: {problem}"));
                }
            }
        }
    }
    Err(format!("{name} cannot be looked up: {why}"))
}

/// Puts one question to one server after the other. An empty list is an
/// answer, too.
async fn put(conf: &Conf, name: &str, family: Family) -> Result<Vec<IpAddr>, String> {
    let mut why = "no server is named".to_owned();
    for _ in 0..ROUNDS {
        for server in &conf.servers {
            match timeout(PATIENCE, put_to(*server, name, family)).await {
                Ok(Ok(Reply::Found(found))) => return Ok(found),
                Ok(Ok(Reply::Refused(code))) => why = format!("{server} answers code {code}"),
                Ok(Err(error)) => why = format!("{server}: {error}"),
                Err(_) => why = format!("{server}: no answer within {} s", PATIENCE.as_secs()),
            }
        }
    }
    Err(why)
}

async fn put_to(server: SocketAddr, name: &str, family: Family) -> io::Result<Reply> {
    // A hasher's keys are random, as an identifier has to be.
    let [first, second, ..] = RandomState::new().hash_one(()).to_ne_bytes();
    let id = u16::from_ne_bytes([first, second]);
    let question = message::question(id, name, family)
        .ok_or_else(|| io::Error::other("it is no name that can be asked for"))?;
    let any: IpAddr = match server {
        SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let socket = UdpSocket::bind((any, 0)).await?;
    socket.connect(server).await?;
    socket.send(&question).await?;
    let mut buffer = [0; MAX_ANSWER];
    loop {
        let length = socket.recv(&mut buffer).await?;
        let answer = buffer.get(..length).unwrap_or_default();
        // What answers something else is another's, or stale.
        if let Some(reply) = message::reply(answer, &question) {
            return Ok(reply);
        }
    }
}

#[cfg(test)]
mod tests;
