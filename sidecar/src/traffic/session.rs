//! A connection under a parser: moves bytes between two sockets and a driver.
//!
//! Bytes are read into one buffer that all connections of a thread share, so
//! that an idle connection holds none. What waits to be written is bounded:
//! nothing is read that could make more of it than that.

use std::{cell::RefCell, io, mem, time::Duration};

use remora_parsers::{Blame, Direction, Driver};
use tokio::{
    io::{AsyncWriteExt as _, Interest, Ready},
    net::TcpStream,
    task::coop::consume_budget,
    time::timeout,
};

use super::{
    Stop,
    judge::Court,
    sandbox,
    socket::{end_writing, reset},
};
use crate::errors::Error;

/// While so many bytes wait to be written, no more are read that would join them.
const MAX_UNWRITTEN: usize = 64 << 10;

/// The most bytes of one read.
const READ_BYTES: usize = 64 << 10;

/// A drained output buffer of more than this is given back.
const KEPT_BYTES: usize = 4 << 10;

/// How long the peers of a broken connection may take for what was decided
/// before it broke.
const DELIVER: Duration = Duration::from_secs(1);

thread_local! {
    static SCRATCH: RefCell<Box<[u8]>> = RefCell::new(vec![0; READ_BYTES].into());
}

/// One connection under a parser.
pub(super) struct Session<'s> {
    client: Peer,
    server: Peer,
    driver: Driver,
    court: Court<'s>,
}

/// One of the two sockets.
struct Peer {
    stream: TcpStream,
    /// It has said that it will send no more.
    ended: bool,
    /// It was told that nothing more will come.
    told: bool,
}

impl<'s> Session<'s> {
    pub(super) fn new(
        client: TcpStream,
        server: TcpStream,
        driver: Driver,
        court: Court<'s>,
    ) -> Self {
        let peer = |stream| Peer { stream, ended: false, told: false };
        Self { client: peer(client), server: peer(server), driver, court }
    }

    /// Moves bytes until both directions have ended and were passed on.
    ///
    /// # Errors
    /// Why the connection has to be closed before that.
    pub(super) async fn run(&mut self, mut stop: Stop) -> Result<(), Error> {
        loop {
            self.pass_on_end(Direction::Request);
            self.pass_on_end(Direction::Reply);
            if self.client.told && self.server.told {
                return Ok(());
            }
            let (client, server) = (self.client_interest(), self.server_interest());
            if client.is_none() && server.is_none() {
                // Both have ended, all is written, and the parser still waits.
                return Err(Error::Unanswered);
            }
            // A connection that always has something to do lets others run.
            consume_budget().await;
            tokio::select! {
                ready = ready(&self.client, client) => self.client_ready(ready)?,
                ready = ready(&self.server, server) => self.server_ready(ready)?,
                () = stop.asked() => return Err(Error::Stopped),
            }
        }
    }

    /// Ends it without another byte.
    pub(super) fn reset(self) {
        reset(self.client.stream);
        reset(self.server.stream);
    }

    /// Delivers what was decided before the error, then ends it. The last
    /// bytes are not to be lost to a reset, which a socket that is closed with
    /// unread bytes sends: so those are read and dropped.
    pub(super) async fn deliver(mut self) {
        let to_client = mem::take(self.driver.output(Direction::Reply));
        let to_server = mem::take(self.driver.output(Direction::Request));
        let both = async {
            tokio::join!(
                farewell(&mut self.client.stream, &to_client),
                farewell(&mut self.server.stream, &to_server),
            )
        };
        // Whoever takes longer, or is gone already, misses the rest.
        let _ = timeout(DELIVER, both).await;
    }

    /// Requests are answered to the client too, so both outputs count.
    fn client_interest(&mut self) -> Option<Interest> {
        let to_client = self.driver.output(Direction::Reply).len();
        let to_server = self.driver.output(Direction::Request).len();
        let room = to_client.max(to_server) < MAX_UNWRITTEN;
        interest(self.driver.wants(Direction::Request) && room, to_client > 0)
    }

    fn server_interest(&mut self) -> Option<Interest> {
        let to_client = self.driver.output(Direction::Reply).len();
        let to_server = self.driver.output(Direction::Request).len();
        let room = to_client < MAX_UNWRITTEN;
        interest(self.driver.wants(Direction::Reply) && room, to_server > 0)
    }

    fn client_ready(&mut self, ready: io::Result<Ready>) -> Result<(), Error> {
        let ready = ready.map_err(Error::ClientGone)?;
        if ready.is_writable() {
            self.write(Direction::Reply)?;
        }
        if ready.is_readable() && self.client_interest().is_some_and(Interest::is_readable) {
            self.read(Direction::Request)?;
        }
        Ok(())
    }

    fn server_ready(&mut self, ready: io::Result<Ready>) -> Result<(), Error> {
        let ready = ready.map_err(Error::ServerGone)?;
        if ready.is_writable() {
            self.write(Direction::Request)?;
        }
        if ready.is_readable() && self.server_interest().is_some_and(Interest::is_readable) {
            self.read(Direction::Reply)?;
        }
        Ok(())
    }

    /// Takes what the speaker of `direction` has sent.
    fn read(&mut self, direction: Direction) -> Result<(), Error> {
        let Self { client, server, driver, court } = self;
        let speaker = match direction {
            Direction::Request => client,
            Direction::Reply => server,
        };
        SCRATCH.with_borrow_mut(|scratch| match speaker.stream.try_read(scratch) {
            Ok(0) => {
                speaker.ended = true;
                sandbox::run(|| driver.end(direction, court))
            }
            Ok(n) => {
                let bytes = scratch.get(..n).unwrap_or_default();
                sandbox::run(|| driver.data(direction, bytes, court))
            }
            Err(error) if retry(&error) => Ok(()),
            Err(error) => Err(Error::gone(Blame::speaker(direction), error)),
        })
    }

    /// Sends on what may leave in `direction`.
    fn write(&mut self, direction: Direction) -> Result<(), Error> {
        let listener = match direction {
            Direction::Request => &self.server,
            Direction::Reply => &self.client,
        };
        let output = self.driver.output(direction);
        if output.is_empty() {
            return Ok(());
        }
        match listener.stream.try_write(output) {
            Ok(n) => {
                output.drain(..n);
                if output.is_empty() && output.capacity() > KEPT_BYTES {
                    *output = Vec::new();
                }
                Ok(())
            }
            Err(error) if retry(&error) => Ok(()),
            Err(error) => Err(Error::gone(Blame::speaker(direction.opposite()), error)),
        }
    }

    /// Tells a direction's listener that it has ended, once all of it is there.
    fn pass_on_end(&mut self, direction: Direction) {
        let (speaker, listener) = match direction {
            Direction::Request => (&self.client, &mut self.server),
            Direction::Reply => (&self.server, &mut self.client),
        };
        let finished = speaker.ended && self.driver.finished(direction);
        if finished && !listener.told && self.driver.output(direction).is_empty() {
            end_writing(&listener.stream);
            listener.told = true;
        }
    }
}

fn interest(read: bool, write: bool) -> Option<Interest> {
    match (read, write) {
        (false, false) => None,
        (true, false) => Some(Interest::READABLE),
        (false, true) => Some(Interest::WRITABLE),
        (true, true) => Some(Interest::READABLE | Interest::WRITABLE),
    }
}

/// Waits until a socket is ready for anything of interest.
async fn ready(peer: &Peer, interest: Option<Interest>) -> io::Result<Ready> {
    match interest {
        Some(interest) => peer.stream.ready(interest).await,
        None => std::future::pending().await,
    }
}

fn retry(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted)
}

/// Writes the last bytes and the end, then reads until the peer has ended too.
async fn farewell(stream: &mut TcpStream, last: &[u8]) -> io::Result<()> {
    stream.write_all(last).await?;
    stream.shutdown().await?;
    loop {
        stream.readable().await?;
        match SCRATCH.with_borrow_mut(|scratch| stream.try_read(scratch)) {
            Ok(0) => return Ok(()),
            Ok(_) => {}
            Err(error) if retry(&error) => {}
            Err(error) => return Err(error),
        }
    }
}
