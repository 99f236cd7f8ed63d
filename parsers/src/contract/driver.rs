//! Keeps a connection's bytes and holds its parser to the laws of progress.

use std::mem;

use super::{
    op::{Blame, Direction, Fault, Op, Parser},
    request::Judge,
};

/// The most bytes of one direction that are held for a parser. Parsers have
/// lower caps of their own for lines and frames; this one stands behind them.
pub const MAX_HELD_BYTES: usize = 1 << 20;

/// How many INJECTs may follow each other without a byte being consumed. A
/// parser may queue that many denials behind one slow reply, no more.
pub const MAX_IDLE_INJECTS: usize = 4096;

/// Whoever drives: judges requests, and may watch the ops go by.
pub trait Host: Judge {
    /// An op that the parser answered for bytes of `direction`. A NOP about no
    /// bytes is not worth telling.
    fn op(&mut self, direction: Direction, op: &Op) {
        let _ = (direction, op);
    }
}

/// One connection under a parser, without its sockets.
///
/// Bytes go in with [`data`](Self::data), the end of a direction with
/// [`end`](Self::end); what may leave waits in [`output`](Self::output). After
/// an error nothing moves any more and every call returns that error.
pub struct Driver {
    parser: Box<dyn Parser>,
    request: Stream,
    reply: Stream,
    dead: Option<Fault>,
}

/// One direction of a connection.
#[derive(Default)]
struct Stream {
    /// Bytes that the parser has not consumed.
    held: Vec<u8>,
    /// How many bytes must be held before the parser is asked again.
    need: usize,
    /// What becomes of bytes that were consumed before they came.
    ahead: Ahead,
    /// Injected bytes that wait for the message under way to end.
    deferred: Vec<u8>,
    /// Bytes on their way out.
    out: Vec<u8>,
    ended: bool,
    /// The parser answered NOP and will be asked again when the other moves.
    paused: bool,
}

#[derive(Default, Clone, Copy)]
enum Ahead {
    #[default]
    Nothing,
    Pass(u64),
    Drop(u64),
}

impl Driver {
    /// A connection of which nothing has been seen yet.
    #[must_use]
    pub fn new(parser: Box<dyn Parser>) -> Self {
        Self { parser, request: Stream::default(), reply: Stream::default(), dead: None }
    }

    /// Takes bytes that arrived from `direction`'s speaker.
    ///
    /// # Errors
    /// The fault for which the connection must be closed, now and ever after.
    /// Output from before it is still to be delivered.
    pub fn data(
        &mut self,
        direction: Direction,
        bytes: &[u8],
        host: &mut dyn Host,
    ) -> Result<(), Fault> {
        self.alive()?;
        let result = self.take(direction, bytes, host);
        self.bury(result)
    }

    /// Says that `direction` has ended.
    ///
    /// # Errors
    /// As for [`data`](Self::data); an end inside a message is one.
    pub fn end(&mut self, direction: Direction, host: &mut dyn Host) -> Result<(), Fault> {
        self.alive()?;
        let stream = self.stream(direction);
        stream.ended = true;
        let result = if matches!(stream.ahead, Ahead::Nothing) {
            self.advance(direction, &[], host)
        } else {
            Err(cut_short(direction))
        };
        self.bury(result)
    }

    /// Bytes that may leave in `direction`. Whoever sends them drains them.
    pub fn output(&mut self, direction: Direction) -> &mut Vec<u8> {
        &mut self.stream(direction).out
    }

    /// Whether more bytes of `direction` are of use now. A driver of sockets
    /// does not read a direction that the parser has pushed back.
    #[must_use]
    pub fn wants(&self, direction: Direction) -> bool {
        let stream = self.peek(direction);
        self.dead.is_none() && !stream.ended && !stream.paused
    }

    /// Whether `direction` has ended and all of it has been judged, so that
    /// its end can be passed on once its output has left.
    #[must_use]
    pub fn finished(&self, direction: Direction) -> bool {
        let stream = self.peek(direction);
        stream.ended && stream.held.is_empty() && matches!(stream.ahead, Ahead::Nothing)
    }

    /// How many bytes of `direction` pass next without being shown to anybody,
    /// so that whoever drives may send them on by other ways: none where output
    /// that must go before them still waits.
    #[must_use]
    pub fn passing(&self, direction: Direction) -> u64 {
        let stream = self.peek(direction);
        match stream.ahead {
            Ahead::Pass(n) if self.dead.is_none() && stream.out.is_empty() => n,
            _ => 0,
        }
    }

    /// Notes that so many of the [`passing`](Self::passing) bytes were sent on.
    ///
    /// # Errors
    /// As for [`data`](Self::data); more bytes than were passing are the
    /// driver's own fault.
    pub fn passed(
        &mut self,
        direction: Direction,
        bytes: u64,
        host: &mut dyn Host,
    ) -> Result<(), Fault> {
        self.alive()?;
        let stream = self.stream(direction);
        let Ahead::Pass(left) = stream.ahead else {
            return self.bury(Err(Fault::parser("bytes were passed that nobody let pass")));
        };
        let Some(left) = left.checked_sub(bytes) else {
            return self.bury(Err(Fault::parser("more bytes were passed than may")));
        };
        stream.go_on(left, true);
        if left > 0 {
            return Ok(());
        }
        let result = self.advance(direction, &[], host);
        self.bury(result)
    }

    /// Whether the connection is between requests: nothing is held, under way
    /// or waiting to be sent, and no reply is to come.
    #[must_use]
    pub fn at_rest(&self) -> bool {
        let rests = |stream: &Stream| {
            stream.held.is_empty()
                && stream.out.is_empty()
                && stream.deferred.is_empty()
                && matches!(stream.ahead, Ahead::Nothing)
        };
        rests(&self.request) && rests(&self.reply) && self.parser.is_idle()
    }

    /// Bytes held for the parser, in both directions.
    #[must_use]
    pub fn held(&self) -> usize {
        let held = self.request.held.len().saturating_add(self.reply.held.len());
        held.saturating_add(self.parser.held())
    }

    fn take(
        &mut self,
        direction: Direction,
        bytes: &[u8],
        host: &mut dyn Host,
    ) -> Result<(), Fault> {
        let stream = self.stream(direction);
        let was_ahead = !matches!(stream.ahead, Ahead::Nothing);
        let rest = stream.go_ahead(bytes);
        if was_ahead && !matches!(stream.ahead, Ahead::Nothing) {
            return Ok(());
        }
        self.advance(direction, rest, host)
    }

    /// Lets the parser work on `fresh` bytes, and on the other direction where
    /// that waited for this one to move.
    fn advance(
        &mut self,
        direction: Direction,
        fresh: &[u8],
        host: &mut dyn Host,
    ) -> Result<(), Fault> {
        let mut turn = direction;
        let mut moved = self.round(turn, fresh, host)?;
        while moved && self.peek(turn.opposite()).paused {
            turn = turn.opposite();
            moved = self.round(turn, &[], host)?;
        }
        Ok(())
    }

    /// Asks the parser about one direction until it has no more to say.
    /// Returns whether anything moved.
    fn round(
        &mut self,
        direction: Direction,
        fresh: &[u8],
        host: &mut dyn Host,
    ) -> Result<bool, Fault> {
        let stream = self.stream(direction);
        stream.paused = false;
        let total = stream.held.len().saturating_add(fresh.len());
        if total < stream.need && !stream.ended {
            stream.held.extend_from_slice(fresh);
            return Ok(false);
        }
        // Bytes that nothing was held before are judged where they lie.
        let mut held = mem::take(&mut stream.held);
        let moved = if held.is_empty() {
            let outcome = self.ask(direction, fresh, host)?;
            held.extend_from_slice(fresh.get(outcome.consumed..).unwrap_or_default());
            outcome.moved
        } else {
            held.extend_from_slice(fresh);
            let outcome = self.ask(direction, &held, host)?;
            held.drain(..outcome.consumed);
            outcome.moved
        };
        if held.len() > MAX_HELD_BYTES {
            let reason = format!("more than {MAX_HELD_BYTES} bytes without an end of message");
            return Err(Fault { blame: Blame::speaker(direction), reason: reason.into() });
        }
        if held.is_empty() {
            // A burst's buffer is not kept for an idle connection.
            held = Vec::new();
        }
        self.stream(direction).held = held;
        Ok(moved)
    }

    fn ask(
        &mut self,
        direction: Direction,
        bytes: &[u8],
        host: &mut dyn Host,
    ) -> Result<Outcome, Fault> {
        let mut shown = bytes;
        let mut injects = 0usize;
        let mut moved = false;
        loop {
            let ended = self.stream(direction).ended;
            let op = self.parser.on_data(direction, shown, ended, host);
            if !(op == Op::Nop && shown.is_empty()) {
                host.op(direction, &op);
            }
            match op {
                Op::Pass(n) | Op::Drop(n) => {
                    let whole = Ahead::of(&op, n.get());
                    let stream = self.stream(direction);
                    stream.ahead = whole;
                    shown = stream.go_ahead(shown);
                    (moved, injects) = (true, 0);
                    if !matches!(stream.ahead, Ahead::Nothing) {
                        if stream.ended {
                            return Err(cut_short(direction));
                        }
                        stream.need = 0;
                        break;
                    }
                }
                Op::Inject { into, data } => {
                    injects = injects.saturating_add(1);
                    if data.is_empty() || injects > MAX_IDLE_INJECTS {
                        return Err(Fault::parser("INJECT without progress"));
                    }
                    self.stream(into).inject(&data)?;
                    moved = true;
                }
                Op::More(n) => {
                    if ended && !shown.is_empty() {
                        return Err(cut_short(direction));
                    }
                    let more = usize::try_from(n.get()).unwrap_or(usize::MAX);
                    let need = shown.len().saturating_add(more);
                    if need > MAX_HELD_BYTES {
                        return Err(Fault::parser("MORE than is ever held"));
                    }
                    self.stream(direction).need = need;
                    break;
                }
                Op::Error(fault) => return Err(fault),
                Op::Nop => {
                    let stream = self.stream(direction);
                    stream.need = 0;
                    stream.paused = !shown.is_empty();
                    break;
                }
            }
        }
        Ok(Outcome { consumed: bytes.len().saturating_sub(shown.len()), moved })
    }

    fn alive(&self) -> Result<(), Fault> {
        self.dead.clone().map_or(Ok(()), Err)
    }

    fn bury(&mut self, result: Result<(), Fault>) -> Result<(), Fault> {
        if let Err(fault) = &result {
            self.dead = Some(fault.clone());
        }
        result
    }

    fn stream(&mut self, direction: Direction) -> &mut Stream {
        match direction {
            Direction::Request => &mut self.request,
            Direction::Reply => &mut self.reply,
        }
    }

    fn peek(&self, direction: Direction) -> &Stream {
        match direction {
            Direction::Request => &self.request,
            Direction::Reply => &self.reply,
        }
    }
}

struct Outcome {
    consumed: usize,
    moved: bool,
}

impl Ahead {
    fn of(op: &Op, n: u64) -> Self {
        if matches!(op, Op::Drop(_)) { Self::Drop(n) } else { Self::Pass(n) }
    }
}

impl Stream {
    /// Forwards or discards what was decided ahead, and returns the rest.
    fn go_ahead<'b>(&mut self, bytes: &'b [u8]) -> &'b [u8] {
        let (n, pass) = match self.ahead {
            Ahead::Nothing => return bytes,
            Ahead::Pass(n) => (n, true),
            Ahead::Drop(n) => (n, false),
        };
        let take = usize::try_from(n).unwrap_or(usize::MAX).min(bytes.len());
        let (now, rest) = bytes.split_at_checked(take).unwrap_or((bytes, &[]));
        if pass {
            self.out.extend_from_slice(now);
        }
        self.go_on(n.saturating_sub(u64::try_from(take).unwrap_or(u64::MAX)), pass);
        rest
    }

    /// So much of what was decided ahead is still to come.
    fn go_on(&mut self, left: u64, pass: bool) {
        self.ahead = match (left, pass) {
            (0, _) => Ahead::Nothing,
            (left, true) => Ahead::Pass(left),
            (left, false) => Ahead::Drop(left),
        };
        if left == 0 {
            self.out.append(&mut self.deferred);
        }
    }

    /// Writes at the place that the stream has reached: after the message
    /// under way, where there is one.
    fn inject(&mut self, data: &[u8]) -> Result<(), Fault> {
        if matches!(self.ahead, Ahead::Nothing) {
            self.out.extend_from_slice(data);
            return Ok(());
        }
        if self.deferred.len().saturating_add(data.len()) > MAX_HELD_BYTES {
            return Err(Fault::client("more denials wait behind a reply than are kept"));
        }
        self.deferred.extend_from_slice(data);
        Ok(())
    }
}

fn cut_short(direction: Direction) -> Fault {
    Fault { blame: Blame::speaker(direction), reason: "the stream ends inside a message".into() }
}
