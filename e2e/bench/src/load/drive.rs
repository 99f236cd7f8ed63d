//! The loop that keeps a load going.

use std::{
    collections::VecDeque,
    net::SocketAddr,
    os::fd::OwnedFd,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use rustix::{
    buffer::spare_capacity,
    event::epoll::{self, CreateFlags, Event, EventData, EventFlags},
    fs::Timespec,
    io::{Errno, read},
    time::{
        Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, timerfd_create,
        timerfd_settime,
    },
};

use super::{Meter, Outcome, PATIENCE, Pace, Plan, connection::Connection};

/// How much is read at once, in bytes.
const CHUNK: usize = 256 << 10;

/// The timer's number among the events; connections count from 0.
const TIMER: u64 = u64::MAX;

/// Runs a load, and measures its window.
///
/// # Errors
/// A connection broke, an answer was not the expected one, or nothing moved
/// for a while: what is not served right has no speed.
pub(crate) fn drive(plan: &Plan<'_>, meter: Meter<'_>) -> Result<Outcome> {
    ensure!(plan.connections > 0 && !plan.addresses.is_empty(), "a load without connections");
    let mut driver = Driver::new(plan)?;
    driver.open_all()?;
    driver.run(meter)
}

struct Driver<'p> {
    plan: &'p Plan<'p>,
    epoll: OwnedFd,
    timer: OwnedFd,
    connections: Vec<Connection>,
    chunk: Vec<u8>,
    /// Of all connections, those that were replaced included.
    answered: u64,
    schedule: Option<Schedule>,
    last_answer: Instant,
}

/// A fixed rate.
struct Schedule {
    begin: Instant,
    interval: Duration,
    /// How many requests were sent.
    sent: u32,
    /// No request is due from here on.
    end: Instant,
    /// Whose turn it is; the one that waited longest first.
    idle: VecDeque<usize>,
    /// When what each connection waits for was due.
    due: Vec<Option<Instant>>,
    /// When it was due, and how long it took from then.
    done: Vec<(Instant, Duration)>,
}

impl<'p> Driver<'p> {
    fn new(plan: &'p Plan<'p>) -> Result<Self> {
        let epoll = epoll::create(CreateFlags::CLOEXEC).context("making an epoll")?;
        let timer = timerfd_create(TimerfdClockId::Monotonic, TimerfdFlags::NONBLOCK)
            .context("making a timer")?;
        epoll::add(&epoll, &timer, EventData::new_u64(TIMER), EventFlags::IN)
            .context("watching the timer")?;
        let now = Instant::now();
        let schedule = match plan.pace {
            Pace::Fixed { per_second } => Some(Schedule::new(plan, per_second, now)),
            Pace::Closed { .. } | Pace::Reconnect => None,
        };
        Ok(Self {
            plan,
            epoll,
            timer,
            connections: Vec::with_capacity(plan.connections),
            chunk: vec![0; CHUNK],
            answered: 0,
            schedule,
            last_answer: now,
        })
    }

    fn open_all(&mut self) -> Result<()> {
        for index in 0..self.plan.connections {
            let connection = self.open(index)?;
            self.connections.push(connection);
        }
        Ok(())
    }

    /// A connection with as many requests under way as the pace wants.
    fn open(&self, index: usize) -> Result<Connection> {
        let mut connection = Connection::open(self.address(index))?;
        connection.issued = match self.plan.pace {
            Pace::Closed { depth } => u64::from(depth),
            Pace::Reconnect => 1,
            Pace::Fixed { .. } => 0,
        };
        let flags = EventFlags::IN | EventFlags::OUT | EventFlags::RDHUP | EventFlags::ET;
        epoll::add(&self.epoll, &connection.stream, EventData::new_u64(index as u64), flags)
            .context("watching a connection")?;
        Ok(connection)
    }

    fn address(&self, index: usize) -> SocketAddr {
        self.plan.addresses[index % self.plan.addresses.len()]
    }

    fn run(&mut self, meter: Meter<'_>) -> Result<Outcome> {
        let begin = self.until(Instant::now() + self.plan.window.warm_up, meter)?;
        let mut end = self.until(begin.at + self.plan.window.measured, meter)?;
        while end.answered == begin.answered {
            // Slow, or starved by others: wait for one, or for our patience to end.
            end = self.until(end.at + self.plan.window.measured, meter)?;
        }
        let mut outcome = Outcome {
            amount: end.answered - begin.answered,
            elapsed: end.at - begin.at,
            cpu: end.cpu.saturating_sub(begin.cpu),
            latencies: Vec::new(),
        };
        while self.schedule.as_ref().is_some_and(Schedule::is_under_way) {
            self.step(self.last_answer + PATIENCE)?;
        }
        if let Some(schedule) = &self.schedule {
            outcome.latencies = schedule.latencies(self.plan.window.warm_up);
        }
        Ok(outcome)
    }

    fn until(&mut self, deadline: Instant, meter: Meter<'_>) -> Result<Mark> {
        while Instant::now() < deadline {
            self.step(deadline)?;
        }
        Ok(Mark { at: Instant::now(), answered: self.answered, cpu: meter()? })
    }

    /// Waits for something to happen, until `deadline`, and sees to it.
    fn step(&mut self, deadline: Instant) -> Result<()> {
        self.send_what_is_due()?;
        let mut events: Vec<Event> = Vec::with_capacity(64);
        let wait = deadline.saturating_duration_since(Instant::now()).min(PATIENCE);
        match epoll::wait(&self.epoll, spare_capacity(&mut events), Some(&timespec(wait))) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(error).context("waiting for events"),
        }
        for event in events {
            // Copied out: the structure is packed.
            let (data, flags) = (event.data, event.flags);
            match usize::try_from(data.u64()) {
                Ok(index) if data.u64() != TIMER => self.serve(index, flags)?,
                _ => drop(read(&self.timer, &mut [0_u8; 8])),
            }
        }
        ensure!(
            self.last_answer.elapsed() < PATIENCE,
            "no answer for {} s: the load has stalled",
            PATIENCE.as_secs()
        );
        Ok(())
    }

    fn serve(&mut self, index: usize, flags: EventFlags) -> Result<()> {
        let (plan, connection) = (self.plan, &mut self.connections[index]);
        if flags.contains(EventFlags::OUT) {
            connection.flush(plan.script)?;
        }
        if !flags.intersects(EventFlags::IN | EventFlags::RDHUP | EventFlags::ERR | EventFlags::HUP)
        {
            return Ok(());
        }
        let answers = connection.take(plan.script, &mut self.chunk)?;
        if answers == 0 {
            return Ok(());
        }
        self.answered += answers;
        self.last_answer = Instant::now();
        match plan.pace {
            Pace::Closed { .. } => {
                connection.issued += answers;
                connection.flush(plan.script)?;
            }
            Pace::Reconnect => self.connections[index] = self.open(index)?,
            Pace::Fixed { .. } => self.finish(index)?,
        }
        Ok(())
    }

    fn finish(&mut self, index: usize) -> Result<()> {
        if let Some(schedule) = &mut self.schedule {
            schedule.finish(index, self.last_answer);
        }
        self.send_what_is_due()
    }

    /// Sends what is due where a connection is free, and sets the timer to
    /// when the next will be.
    fn send_what_is_due(&mut self) -> Result<()> {
        let Some(schedule) = &mut self.schedule else { return Ok(()) };
        while let Some(index) = schedule.take_due(Instant::now()) {
            let connection = &mut self.connections[index];
            connection.issued += 1;
            connection.flush(self.plan.script)?;
        }
        if let Some(next) = schedule.next().filter(|_| !schedule.idle.is_empty()) {
            // A timer of zero would be none.
            let wait = next.saturating_duration_since(Instant::now()).max(Duration::from_nanos(1));
            let once =
                Itimerspec { it_interval: timespec(Duration::ZERO), it_value: timespec(wait) };
            timerfd_settime(&self.timer, TimerfdTimerFlags::empty(), &once)
                .context("setting the timer")?;
        }
        Ok(())
    }
}

/// Where a window begins or ends.
struct Mark {
    at: Instant,
    answered: u64,
    cpu: Duration,
}

impl Schedule {
    fn new(plan: &Plan<'_>, per_second: u32, begin: Instant) -> Self {
        Self {
            begin,
            interval: Duration::from_secs(1) / per_second.max(1),
            sent: 0,
            end: begin + plan.window.warm_up + plan.window.measured,
            idle: (0..plan.connections).collect(),
            due: vec![None; plan.connections],
            done: Vec::new(),
        }
    }

    /// When the next request is due.
    fn next(&self) -> Option<Instant> {
        let next = self.begin + self.interval * self.sent;
        (next < self.end).then_some(next)
    }

    /// A free connection, for a request that is due.
    fn take_due(&mut self, now: Instant) -> Option<usize> {
        let due = self.next().filter(|due| *due <= now)?;
        let index = self.idle.pop_front()?;
        self.due[index] = Some(due);
        self.sent += 1;
        Some(index)
    }

    fn finish(&mut self, index: usize, now: Instant) {
        if let Some(due) = self.due[index].take() {
            self.done.push((due, now - due));
            self.idle.push_back(index);
        }
    }

    /// Of all requests that were due after the warm-up, ascending.
    fn latencies(&self, warm_up: Duration) -> Vec<Duration> {
        let first = self.begin + warm_up;
        let counted = self.done.iter().filter(|(due, _)| *due >= first);
        let mut latencies: Vec<_> = counted.map(|(_, latency)| *latency).collect();
        latencies.sort_unstable();
        latencies
    }

    /// Whether something is still to be sent or to be answered.
    fn is_under_way(&self) -> bool {
        self.next().is_some() || self.due.iter().any(Option::is_some)
    }
}

fn timespec(duration: Duration) -> Timespec {
    Timespec {
        tv_sec: i64::try_from(duration.as_secs()).unwrap_or(i64::MAX),
        tv_nsec: duration.subsec_nanos().into(),
    }
}
