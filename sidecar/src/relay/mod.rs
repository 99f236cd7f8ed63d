//! Bytes that nobody looks at, from one socket to the other.
//!
//! Little is read into the buffer that all connections of a thread share and
//! written from there. As soon as there is much, a pipe is borrowed, through
//! which the kernel moves it without copying it to us, and given back when
//! there is no more. So an idle connection holds neither buffer nor pipe.

mod pipe;

use std::{cell::RefCell, io};

use socket2::SockRef;
use tokio::{
    io::{Interest, Ready},
    net::TcpStream,
    task::coop::consume_budget,
};

pub(crate) use self::pipe::{Borrowed, PIPE_BYTES, Pipes};
use crate::limits::{
    Full, Ticket,
    deadline::{Deadline, Late},
};

/// The most bytes of one read.
pub(crate) const READ_BYTES: usize = 64 << 10;

/// Who sends so much at once sends more: that is what pipes are for.
pub(crate) const MUCH_BYTES: usize = 16 << 10;

thread_local! {
    static SCRATCH: RefCell<Box<[u8]>> = RefCell::new(vec![0; READ_BYTES].into());
}

/// Runs `work` on the buffer that all connections of this thread share.
pub(crate) fn with_scratch<T>(work: impl FnOnce(&mut [u8]) -> T) -> T {
    SCRATCH.with_borrow_mut(|scratch| work(scratch))
}

/// Why bytes are no longer relayed.
#[derive(Debug)]
pub(crate) enum Broken {
    Io(io::Error),
    Late(Late),
    Full(Full),
}

/// One direction.
#[derive(Debug, Default)]
struct Half {
    /// What was read and could not be written at once.
    rest: Vec<u8>,
    pipe: Option<Borrowed>,
    /// The speaker has said that it will send no more.
    ended: bool,
    /// The listener was told so.
    told: bool,
}

impl Half {
    /// Bytes on their way.
    fn held(&self) -> usize {
        self.rest.len().saturating_add(self.pipe.as_ref().map_or(0, Borrowed::held))
    }

    fn reads(&self) -> bool {
        !self.ended && self.held() == 0
    }

    /// Takes what there is from `from` and hands on what can be of it. Returns
    /// whether there was anything.
    fn pull(&mut self, from: &TcpStream, to: &TcpStream, pipes: &Pipes) -> io::Result<bool> {
        let taken = match &mut self.pipe {
            Some(pipe) => pipe.fill(from, PIPE_BYTES),
            None => self.read(from, to),
        };
        match taken {
            Ok(0) => self.ended = true,
            Ok(n) if n >= MUCH_BYTES && self.pipe.is_none() && self.rest.is_empty() => {
                self.pipe = pipes.borrow();
            }
            Ok(_) => {}
            Err(error) if retry(&error) => {
                self.pipe = None;
                return Ok(false);
            }
            Err(error) => return Err(error),
        }
        self.push(to)?;
        Ok(true)
    }

    fn read(&mut self, from: &TcpStream, to: &TcpStream) -> io::Result<usize> {
        with_scratch(|scratch| {
            let n = from.try_read(scratch)?;
            let bytes = scratch.get(..n).unwrap_or_default();
            let written = match to.try_write(bytes) {
                Err(error) if retry(&error) => 0,
                written => written?,
            };
            self.rest.extend_from_slice(bytes.get(written..).unwrap_or_default());
            Ok(n)
        })
    }

    /// Hands on what waits, and the end after it.
    fn push(&mut self, to: &TcpStream) -> io::Result<()> {
        if !self.rest.is_empty() {
            match to.try_write(&self.rest) {
                Err(error) if retry(&error) => return Ok(()),
                Ok(n) if n < self.rest.len() => drop(self.rest.drain(..n)),
                Ok(_) => self.rest = Vec::new(),
                Err(error) => return Err(error),
            }
        }
        if let Some(pipe) = &mut self.pipe {
            pipe.drain(to)?;
        }
        if self.ended && !self.told && self.held() == 0 {
            self.told = true;
            self.pipe = None;
            end_writing(to);
        }
        Ok(())
    }
}

/// Moves bytes both ways until both directions have ended and were passed on.
///
/// # Errors
/// Why it had to stop before that.
pub(crate) async fn relay(
    client: &TcpStream,
    server: &TcpStream,
    pipes: &Pipes,
    deadline: &mut Deadline,
    ticket: &mut Ticket,
) -> Result<(), Broken> {
    let (mut request, mut reply) = (Half::default(), Half::default());
    while !(request.told && reply.told) {
        let at_client = interest(request.reads(), reply.held() > 0);
        let at_server = interest(reply.reads(), request.held() > 0);
        // A connection that always has something to do lets others run.
        consume_budget().await;
        let (ready, is_client) = tokio::select! {
            ready = ready(client, at_client) => (ready, true),
            ready = ready(server, at_server) => (ready, false),
            late = deadline.passed() => return Err(Broken::Late(late)),
        };
        let ready = ready.map_err(Broken::Io)?;
        let (here, there) = if is_client { (client, server) } else { (server, client) };
        let (out, back) =
            if is_client { (&mut request, &mut reply) } else { (&mut reply, &mut request) };
        if ready.is_writable() {
            back.push(here).map_err(Broken::Io)?;
        }
        let reads = ready.is_readable() && out.reads();
        let moved = reads && out.pull(here, there, pipes).map_err(Broken::Io)?;
        if moved {
            deadline.heard(is_client);
        }
        ticket.hold(request.held().saturating_add(reply.held())).map_err(Broken::Full)?;
    }
    Ok(())
}

/// What a socket is to be waited for.
pub(crate) fn interest(read: bool, write: bool) -> Option<Interest> {
    match (read, write) {
        (false, false) => None,
        (true, false) => Some(Interest::READABLE),
        (false, true) => Some(Interest::WRITABLE),
        (true, true) => Some(Interest::READABLE | Interest::WRITABLE),
    }
}

/// Waits until a socket is ready for anything of interest.
pub(crate) async fn ready(stream: &TcpStream, interest: Option<Interest>) -> io::Result<Ready> {
    match interest {
        Some(interest) => stream.ready(interest).await,
        None => std::future::pending().await,
    }
}

pub(crate) fn retry(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted)
}

/// Tells the peer that nothing more will come; it may go on sending.
pub(crate) fn end_writing(stream: &TcpStream) {
    // Failing means that the connection is gone, which reading tells.
    let _ = SockRef::from(stream).shutdown(std::net::Shutdown::Write);
}

#[cfg(test)]
mod tests;
