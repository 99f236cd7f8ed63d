//! Bytes that nobody looks at, from one socket to the other.
//!
//! Little is read into the buffer that all connections of a thread share and
//! written from there. As soon as there is much, a pipe is borrowed, through
//! which the kernel moves it without copying it to us, and given back when
//! there is no more. So an idle connection holds neither buffer nor pipe.

mod pipe;
mod turn;

use std::{cell::RefCell, io};

use socket2::SockRef;
use tokio::net::TcpStream;

pub(crate) use self::{
    pipe::{Borrowed, PIPE_BYTES, Pipes},
    turn::{Turn, ready, take},
};
use crate::limits::{
    Full, Quantum, Ticket,
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
    /// how much there was, if there was anything; the end is zero.
    fn pull(
        &mut self,
        from: &TcpStream,
        to: &TcpStream,
        pipes: &Pipes,
    ) -> io::Result<Option<usize>> {
        let taken = match &mut self.pipe {
            Some(pipe) => pipe.fill(from, PIPE_BYTES),
            None => self.read(from, to),
        };
        let n = match taken {
            Err(error) if retry(&error) => {
                self.pipe = None;
                return Ok(None);
            }
            taken => taken?,
        };
        if n == 0 {
            self.ended = true;
        } else if n >= MUCH_BYTES && self.pipe.is_none() && self.rest.is_empty() {
            self.pipe = pipes.borrow();
        }
        self.push(to)?;
        Ok(Some(n))
    }

    fn read(&mut self, from: &TcpStream, to: &TcpStream) -> io::Result<usize> {
        with_scratch(|scratch| {
            let n = take(from, scratch)?;
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
    let mut quantum = Quantum::default();
    while !(request.told && reply.told) {
        let at_client = Turn { read: request.reads(), write: reply.held() > 0 };
        let at_server = Turn { read: reply.reads(), write: request.held() > 0 };
        let ready = tokio::select! {
            // While the peers are busy nothing is late.
            biased;
            ready = ready([(client, at_client), (server, at_server)], &mut quantum) => ready,
            late = deadline.passed() => return Err(Broken::Late(late)),
        };
        let [at_client, at_server] = ready.map_err(Broken::Io)?;
        if at_client.write {
            reply.push(client).map_err(Broken::Io)?;
        }
        if at_server.write {
            request.push(server).map_err(Broken::Io)?;
        }
        for (is_ready, half, [from, to], is_client) in [
            (at_client.read, &mut request, [client, server], true),
            (at_server.read, &mut reply, [server, client], false),
        ] {
            if is_ready && let Some(n) = half.pull(from, to, pipes).map_err(Broken::Io)? {
                deadline.heard(is_client);
                quantum.moved(n);
            }
        }
        ticket.hold(request.held().saturating_add(reply.held())).map_err(Broken::Full)?;
    }
    Ok(())
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
