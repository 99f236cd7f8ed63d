//! A connection under a parser: moves bytes between two sockets and a driver.
//!
//! Bytes are read into one buffer that all connections of a thread share, and
//! judged into others, so that an idle connection holds none. What waits to be written is bounded:
//! nothing is read that could make more of it than that. Long stretches that
//! the parser lets pass unseen go through a pipe, without coming here.

use std::{mem, pin::pin, time::Duration};

use remora_parsers::{Blame, Direction, Driver};
use tokio::{net::TcpStream, time::timeout};

use super::{Stage, Stop, farewell::farewell, judge::Court, sandbox, socket::reset, spare};
use crate::{
    errors::Error,
    limits::{Quantum, Ticket, deadline::Deadline},
    relay::{
        Borrowed, MUCH_BYTES, PIPE_BYTES, Pipes, Turn, end_writing, ready, retry, take,
        with_scratch,
    },
};

/// While so many bytes wait to be written, no more are read that would join them.
const MAX_UNWRITTEN: usize = 64 << 10;

/// How long the peers of a broken connection may take for what was decided
/// before it broke.
const DELIVER: Duration = Duration::from_secs(1);

/// One connection under a parser.
pub(super) struct Session<'s> {
    client: Peer,
    server: Peer,
    driver: Driver,
    court: Court<'s>,
    pipes: &'s Pipes,
    deadline: Deadline,
    ticket: Ticket,
    quantum: Quantum,
}

/// One of the two sockets.
struct Peer {
    stream: TcpStream,
    /// It has said that it will send no more.
    ended: bool,
    /// It was told that nothing more will come.
    told: bool,
    /// What it has sent to pass unseen. It goes before the driver's output.
    pipe: Option<Borrowed>,
}

impl Peer {
    fn new(stream: TcpStream) -> Self {
        Self { stream, ended: false, told: false, pipe: None }
    }

    /// Bytes of its that lie in the pipe.
    fn piped(&self) -> usize {
        self.pipe.as_ref().map_or(0, Borrowed::held)
    }
}

impl<'s> Session<'s> {
    pub(super) fn new(
        client: TcpStream,
        server: TcpStream,
        driver: Driver,
        court: Court<'s>,
        ticket: Ticket,
    ) -> Self {
        let shared = court.shared();
        Self {
            client: Peer::new(client),
            server: Peer::new(server),
            driver,
            pipes: &shared.pipes,
            deadline: Deadline::for_requests(&shared.config.limits),
            court,
            ticket,
            quantum: Quantum::default(),
        }
    }

    /// Moves bytes until both directions have ended and were passed on.
    ///
    /// # Errors
    /// Why the connection has to be closed before that.
    pub(super) async fn run(&mut self, stop: Stop) -> Result<(), Error> {
        let mut stopped = pin!(stop.clone().beyond(Stage::Serve));
        loop {
            self.pass_on_end(Direction::Request);
            self.pass_on_end(Direction::Reply);
            if self.client.told && self.server.told {
                return Ok(());
            }
            let (client, server) = (self.client_turn(), self.server_turn());
            if client.is_idle() && server.is_idle() {
                // Both have ended, all is written, and the parser still waits.
                return Err(Error::Unanswered);
            }
            if self.is_over(stop.stage())? {
                return Ok(());
            }
            let sockets = [(&self.client.stream, client), (&self.server.stream, server)];
            let ready = tokio::select! {
                // While the peers are busy, a stop is seen above and what is late below.
                biased;
                ready = ready(sockets, &mut self.quantum) => ready,
                late = self.deadline.passed() => return Err(Error::Late(late)),
                stage = &mut stopped => {
                    stopped.set(stop.clone().beyond(stage));
                    continue;
                }
            };
            let [client, server] = ready.map_err(Error::ClientGone)?;
            self.turn(client, Direction::Request)?;
            self.turn(server, Direction::Reply)?;
            self.account()?;
        }
    }

    /// Notes what is held and whether it is whole, and holds it to its limits.
    fn account(&mut self) -> Result<(), Error> {
        let begun = self.driver.held() > 0 && self.driver.wants(Direction::Request);
        self.deadline.incomplete(begun);
        if let Some(late) = self.deadline.overdue() {
            return Err(Error::Late(late));
        }
        let held =
            self.driver.held().saturating_add(self.for_client()).saturating_add(self.for_server());
        self.ticket.hold(held).map_err(Error::Full)?;
        self.court.flood().map_or(Ok(()), |most| Err(Error::Flood(most)))
    }

    /// Whether a stop ends it here.
    fn is_over(&mut self, stage: Stage) -> Result<bool, Error> {
        match stage {
            Stage::Serve => Ok(false),
            Stage::Drain => self.at_rest(),
            Stage::End => Err(Error::Stopped),
        }
    }

    /// Whether it is between two requests, so that nobody misses anything when
    /// it ends here: a request that has come already counts.
    fn at_rest(&mut self) -> Result<bool, Error> {
        let rests = |session: &Self| {
            session.driver.at_rest() && session.client.piped() == 0 && session.server.piped() == 0
        };
        if !rests(self) {
            return Ok(false);
        }
        if self.driver.wants(Direction::Request) {
            self.read(Direction::Request)?;
        }
        Ok(rests(self))
    }

    /// Bytes on their way to the client.
    fn for_client(&mut self) -> usize {
        self.driver.output(Direction::Reply).len().saturating_add(self.server.piped())
    }

    /// Likewise to the server.
    fn for_server(&mut self) -> usize {
        self.driver.output(Direction::Request).len().saturating_add(self.client.piped())
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
                farewell(&mut self.client.stream, self.server.pipe, &to_client),
                farewell(&mut self.server.stream, self.client.pipe, &to_server),
            )
        };
        // Whoever takes longer, or is gone already, misses the rest.
        let _ = timeout(DELIVER, both).await;
    }

    /// Requests are answered to the client too, so both outputs count.
    fn client_turn(&mut self) -> Turn {
        let (to_client, to_server) = (self.for_client(), self.for_server());
        let room = to_client.max(to_server) < MAX_UNWRITTEN && self.client.piped() == 0;
        Turn { read: self.driver.wants(Direction::Request) && room, write: to_client > 0 }
    }

    fn server_turn(&mut self) -> Turn {
        let (to_client, to_server) = (self.for_client(), self.for_server());
        let room = to_client < MAX_UNWRITTEN && self.server.piped() == 0;
        Turn { read: self.driver.wants(Direction::Reply) && room, write: to_server > 0 }
    }

    /// Does what the speaker of `direction` is ready for, and sends on at once
    /// what that has made.
    fn turn(&mut self, ready: Turn, direction: Direction) -> Result<(), Error> {
        if ready.write {
            self.write(direction.opposite())?;
        }
        let turn = match direction {
            Direction::Request => self.client_turn(),
            Direction::Reply => self.server_turn(),
        };
        if ready.read && turn.read {
            spare::lend(&mut self.driver);
            self.read(direction)?;
            self.write(Direction::Request)?;
            self.write(Direction::Reply)?;
        }
        if ready.read || ready.write {
            spare::reclaim(&mut self.driver);
        }
        Ok(())
    }

    /// Takes what the speaker of `direction` has sent.
    fn read(&mut self, direction: Direction) -> Result<(), Error> {
        let passing = usize::try_from(self.driver.passing(direction)).unwrap_or(usize::MAX);
        if passing >= MUCH_BYTES && self.read_unseen(direction, passing)? {
            return Ok(());
        }
        let Self { client, server, driver, court, deadline, quantum, .. } = self;
        let speaker = match direction {
            Direction::Request => client,
            Direction::Reply => server,
        };
        with_scratch(|scratch| {
            let most = passing.saturating_add(Quantum::of(direction)).min(scratch.len());
            let scratch = scratch.get_mut(..most).unwrap_or_default();
            match take(&speaker.stream, scratch) {
                Ok(0) => {
                    speaker.ended = true;
                    sandbox::run(|| driver.end(direction, court))
                }
                Ok(n) => {
                    deadline.heard(direction == Direction::Request);
                    quantum.moved(n.min(passing));
                    quantum.looked_at(direction, n.saturating_sub(passing));
                    let bytes = scratch.get(..n).unwrap_or_default();
                    sandbox::run(|| driver.data(direction, bytes, court))
                }
                Err(error) if retry(&error) => Ok(()),
                Err(error) => Err(Error::gone(Blame::speaker(direction), error)),
            }
        })
    }

    /// Likewise, where the next `passing` bytes are nobody's business; false
    /// where there is no pipe for them.
    fn read_unseen(&mut self, direction: Direction, passing: usize) -> Result<bool, Error> {
        let Self { client, server, driver, court, pipes, deadline, quantum, .. } = self;
        let speaker = match direction {
            Direction::Request => client,
            Direction::Reply => server,
        };
        if speaker.pipe.is_none() {
            speaker.pipe = pipes.borrow();
        }
        let Some(pipe) = &mut speaker.pipe else { return Ok(false) };
        match pipe.fill(&speaker.stream, passing.min(PIPE_BYTES)) {
            Ok(0) => {
                speaker.pipe = None;
                speaker.ended = true;
                sandbox::run(|| driver.end(direction, court))?;
            }
            Ok(n) => {
                deadline.heard(direction == Direction::Request);
                quantum.moved(n);
                let n = u64::try_from(n).unwrap_or(u64::MAX);
                sandbox::run(|| driver.passed(direction, n, court))?;
                self.write(direction)?;
            }
            Err(error) if retry(&error) => speaker.pipe = None,
            Err(error) => return Err(Error::gone(Blame::speaker(direction), error)),
        }
        Ok(true)
    }

    /// Sends on what may leave in `direction`: what is in the pipe, then what
    /// the driver has made of it.
    fn write(&mut self, direction: Direction) -> Result<(), Error> {
        let (speaker, listener) = match direction {
            Direction::Request => (&mut self.client, &self.server),
            Direction::Reply => (&mut self.server, &self.client),
        };
        let gone = |error| Error::gone(Blame::speaker(direction.opposite()), error);
        if let Some(pipe) = &mut speaker.pipe {
            pipe.drain(&listener.stream).map_err(gone)?;
            if pipe.held() > 0 {
                return Ok(());
            }
            if self.driver.passing(direction) == 0 {
                speaker.pipe = None;
            }
        }
        let output = self.driver.output(direction);
        if output.is_empty() {
            return Ok(());
        }
        match listener.stream.try_write(output) {
            Ok(n) => {
                output.drain(..n);
                Ok(())
            }
            Err(error) if retry(&error) => Ok(()),
            Err(error) => Err(gone(error)),
        }
    }

    /// Tells a direction's listener that it has ended, once all of it is there.
    fn pass_on_end(&mut self, direction: Direction) {
        let (speaker, listener) = match direction {
            Direction::Request => (&self.client, &mut self.server),
            Direction::Reply => (&self.server, &mut self.client),
        };
        let finished = speaker.ended && self.driver.finished(direction);
        let sent = self.driver.output(direction).is_empty() && speaker.piped() == 0;
        if finished && !listener.told && sent {
            end_writing(&listener.stream);
            listener.told = true;
        }
    }
}
