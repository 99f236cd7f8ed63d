//! One connection of a load, and loads that are only connections.

use std::{
    io::{ErrorKind, Read, Write},
    net::{SocketAddr, TcpStream},
    os::fd::OwnedFd,
};

use anyhow::{Context as _, Result, ensure};
use rustix::{
    io::Errno,
    net::{AddressFamily, SocketFlags, SocketType, connect, socket_with, sockopt},
};

use super::{PATIENCE, Script};

/// A connection that sends a script's requests one after the other and checks
/// every byte that comes back.
#[derive(Debug)]
pub(super) struct Connection {
    pub(super) stream: TcpStream,
    /// Requests that may have been sent by now.
    pub(super) issued: u64,
    /// Requests that were answered whole.
    pub(super) answered: u64,
    sent: u64,
    received: u64,
}

impl Connection {
    /// Starts to connect. What is sent before that is done waits.
    pub(super) fn open(address: SocketAddr) -> Result<Self> {
        let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
        let socket: OwnedFd = socket_with(AddressFamily::INET, SocketType::STREAM, flags, None)
            .context("making a socket")?;
        sockopt::set_tcp_nodelay(&socket, true).context("setting TCP_NODELAY")?;
        match connect(&socket, &address) {
            Ok(()) | Err(Errno::INPROGRESS) => {}
            Err(error) => return Err(error).with_context(|| format!("connecting to {address}")),
        }
        let stream = socket.into();
        Ok(Self { stream, issued: 0, answered: 0, sent: 0, received: 0 })
    }

    /// Sends what was issued, as far as the socket takes it.
    pub(super) fn flush(&mut self, script: &Script) -> Result<()> {
        let wanted = self.issued * script.request as u64;
        while self.sent < wanted {
            let pending = cut(&script.requests, self.sent, wanted - self.sent);
            match (&self.stream).write(pending) {
                Ok(written) => self.sent += written as u64,
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error).context("sending"),
            }
        }
        Ok(())
    }

    /// Takes what has come; returns how many answers that completed.
    pub(super) fn take(&mut self, script: &Script, chunk: &mut [u8]) -> Result<u64> {
        let before = self.answered;
        loop {
            match (&self.stream).read(chunk) {
                Ok(0) => anyhow::bail!("the connection was closed"),
                Ok(read) => {
                    self.check(script, &chunk[..read])?;
                    // Less than there was room for is all that there was.
                    if read < chunk.len() {
                        break;
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error).context("receiving"),
            }
        }
        self.answered = self.received / script.reply as u64;
        ensure!(self.answered <= self.issued, "more was answered than was asked");
        Ok(self.answered - before)
    }

    fn check(&mut self, script: &Script, mut got: &[u8]) -> Result<()> {
        while !got.is_empty() {
            let expected = cut(&script.replies, self.received, got.len() as u64);
            let (now, rest) = got.split_at(expected.len());
            if now != expected {
                let text = String::from_utf8_lossy(&now[..now.len().min(80)]);
                anyhow::bail!("answered {text:?}, which is not what was stored");
            }
            self.received += now.len() as u64;
            got = rest;
        }
        Ok(())
    }
}

/// What follows `position` in a text that repeats, up to its end and to `most` bytes.
fn cut(text: &[u8], position: u64, most: u64) -> &[u8] {
    let length = text.len() as u64;
    let start = position % length;
    let end = (start + most).min(length);
    let index = |at: u64| usize::try_from(at).unwrap_or(text.len());
    &text[index(start)..index(end)]
}

/// One request and its answer, on a connection of its own, which it returns.
pub(crate) fn ask(address: SocketAddr, script: &Script) -> Result<TcpStream> {
    let stream = TcpStream::connect_timeout(&address, PATIENCE)
        .with_context(|| format!("connecting to {address}"))?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    exchange(&stream, script, 0)?;
    Ok(stream)
}

/// Sends every request of a script to `address`, one after the other.
pub(crate) fn play(address: SocketAddr, script: &Script) -> Result<()> {
    let stream = ask(address, script)?;
    (1..script.len()).try_for_each(|index| exchange(&stream, script, index))
}

fn exchange(mut stream: &TcpStream, script: &Script, index: usize) -> Result<()> {
    let part = |all: &[u8], length: usize| all[index * length..(index + 1) * length].to_vec();
    stream.write_all(&part(&script.requests, script.request)).context("sending")?;
    let mut reply = vec![0; script.reply];
    stream.read_exact(&mut reply).context("waiting for an answer")?;
    let text = String::from_utf8_lossy(&reply[..reply.len().min(80)]).into_owned();
    ensure!(reply == part(&script.replies, script.reply), "answered {text:?}");
    Ok(())
}

/// Opens connections, asks once on each, and leaves them open.
pub(crate) fn hold(address: SocketAddr, script: &Script, count: usize) -> Result<Vec<TcpStream>> {
    (0..count)
        .map(|index| ask(address, script).with_context(|| format!("connection {index}")))
        .collect()
}
