//! Plays a transcript through parser and policy, without a network.

use std::num::NonZeroU64;

use remora_parsers::{
    Blame, Direction, Driver, Fault, Field, Host, Judge, Op, Request,
    transcript::{Arrival, Step, Transcript},
};
use remora_policy::{Admission, Decision, Slice, TrafficDirection};

/// Between whom a transcript is spoken.
#[derive(Debug, Clone, Copy)]
pub struct Scene<'a> {
    /// The slice of the endpoint whose policy is tried.
    pub slice: &'a Slice,
    /// Whether the connection comes in there or goes out.
    pub direction: TrafficDirection,
    /// The server's port.
    pub port: u16,
    /// The identity of the other side.
    pub peer: Option<u32>,
}

/// What became of a transcript.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Played {
    /// One for each arrival up to the one that closed the connection.
    pub steps: Vec<PlayedStep>,
    /// All that the server was sent.
    pub to_server: Vec<u8>,
    /// All that the client was sent.
    pub to_client: Vec<u8>,
    /// The step that closed the connection and why; 0 is before any byte.
    pub closed: Option<(usize, String)>,
    /// The access log, in request order.
    pub log: Vec<LogEntry>,
}

/// What one arrival led to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlayedStep {
    /// Who spoke.
    pub from: Direction,
    /// How many bytes.
    pub bytes: usize,
    /// The ops, each with the stream that it is about.
    pub ops: Vec<(Direction, Op)>,
    /// All bytes that the server has been sent so far.
    pub to_server: usize,
    /// All bytes that the client has been sent so far.
    pub to_client: usize,
}

/// One entry of the access log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogEntry {
    /// `FORWARDED`, `DROPPED`, `AUDIT` or `ERROR`.
    pub verdict: String,
    /// The protocol; none where nothing parses the connection.
    pub l7proto: Option<&'static str>,
    /// The request's fields, in order, each with its values.
    pub fields: Vec<(&'static str, Vec<String>)>,
    /// The rule that decided.
    pub rule: Option<String>,
    /// Why.
    pub reason: String,
}

/// Plays `transcript` in `scene`.
#[must_use]
pub fn play(transcript: &Transcript, scene: Scene<'_>) -> Played {
    let mut played = Played::default();
    match scene.slice.connection(scene.direction, scene.port, scene.peer) {
        Admission::Deny(decision) => {
            played.closed = Some((0, decision.reason.to_string()));
            played.log.push(LogEntry::of_decision(None, Vec::new(), &decision));
        }
        Admission::Opaque(decision) => {
            played.log.push(LogEntry::of_decision(None, Vec::new(), &decision));
            play_opaque(transcript, &mut played);
        }
        Admission::Parse(protocol) => {
            let driver = Driver::new((protocol.parser)());
            let host = Recorder {
                scene,
                l7proto: protocol.name,
                ops: Vec::new(),
                log: Vec::new(),
                policy: None,
            };
            play_parsed(transcript, driver, host, &mut played);
        }
    }
    played
}

/// Nothing judges the connection: its bytes go as they come.
fn play_opaque(transcript: &Transcript, played: &mut Played) {
    for step in &transcript.steps {
        let bytes = step_bytes(step);
        let out = match step.from {
            Direction::Request => &mut played.to_server,
            Direction::Reply => &mut played.to_client,
        };
        out.extend_from_slice(bytes);
        let length = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        let pass = NonZeroU64::new(length).map(|n| (step.from, Op::Pass(n)));
        played.end_step(step.from, bytes.len(), pass.into_iter().collect());
    }
}

fn play_parsed(
    transcript: &Transcript,
    mut driver: Driver,
    mut host: Recorder<'_>,
    played: &mut Played,
) {
    for (index, step) in transcript.steps.iter().enumerate() {
        let result = match &step.arrival {
            Arrival::Data(bytes) => driver.data(step.from, bytes, &mut host),
            Arrival::End => driver.end(step.from, &mut host),
        };
        played.to_server.append(driver.output(Direction::Request));
        played.to_client.append(driver.output(Direction::Reply));
        let ops = std::mem::take(&mut host.ops);
        played.end_step(step.from, step_bytes(step).len(), ops);
        if let Err(fault) = result {
            host.log.push(LogEntry::of_fault(host.l7proto, &fault));
            played.closed = Some((index.saturating_add(1), fault.to_string()));
            break;
        }
    }
    played.log = host.log;
}

fn step_bytes(step: &Step) -> &[u8] {
    match &step.arrival {
        Arrival::Data(bytes) => bytes,
        Arrival::End => &[],
    }
}

impl Played {
    fn end_step(&mut self, from: Direction, bytes: usize, ops: Vec<(Direction, Op)>) {
        let (to_server, to_client) = (self.to_server.len(), self.to_client.len());
        self.steps.push(PlayedStep { from, bytes, ops, to_server, to_client });
    }
}

/// Judges by the scene's slice, and keeps what it saw.
struct Recorder<'a> {
    scene: Scene<'a>,
    l7proto: &'static str,
    ops: Vec<(Direction, Op)>,
    log: Vec<LogEntry>,
    /// The policy behind the last denial.
    policy: Option<String>,
}

fn fields(request: &Request<'_>) -> Vec<(&'static str, Vec<String>)> {
    let of = |field: &Field<'_>| {
        let values = field.value.iter().map(|value| String::from_utf8_lossy(value).into_owned());
        (field.name, values.collect())
    };
    request.fields.iter().map(of).collect()
}

impl Judge for Recorder<'_> {
    fn judge(&mut self, request: &Request<'_>) -> remora_parsers::Verdict {
        let Scene { slice, direction, port, peer } = self.scene;
        let decision = slice.request(direction, port, peer, self.l7proto, request);
        self.log.push(LogEntry::of_decision(Some(self.l7proto), fields(request), &decision));
        if decision.is_forwarded() {
            remora_parsers::Verdict::Allow
        } else {
            self.policy = decision.policy().map(str::to_owned);
            remora_parsers::Verdict::Deny
        }
    }

    fn judge_together(&mut self, requests: &[Request<'_>]) -> Option<usize> {
        let Scene { slice, direction, port, peer } = self.scene;
        let (decisions, denied) = slice.requests(direction, port, peer, self.l7proto, requests);
        for (request, decision) in requests.iter().zip(&decisions) {
            self.log.push(LogEntry::of_decision(Some(self.l7proto), fields(request), decision));
        }
        let first = denied.and_then(|denied| decisions.get(denied));
        self.policy = first.and_then(Decision::policy).map(str::to_owned);
        denied
    }

    fn policy(&self) -> Option<&str> {
        self.policy.as_deref()
    }

    fn refused(&mut self, request: &Request<'_>, reason: &'static str) {
        let fields = fields(request);
        let (verdict, reason) = ("ERROR".to_owned(), reason.to_owned());
        self.log.push(LogEntry {
            verdict,
            l7proto: Some(self.l7proto),
            fields,
            rule: None,
            reason,
        });
    }
}

impl Host for Recorder<'_> {
    fn op(&mut self, direction: Direction, op: &Op) {
        let about = match op {
            Op::Inject { into, .. } => *into,
            _ => direction,
        };
        self.ops.push((about, op.clone()));
    }
}

impl LogEntry {
    fn of_decision(
        l7proto: Option<&'static str>,
        fields: Vec<(&'static str, Vec<String>)>,
        decision: &Decision,
    ) -> Self {
        Self {
            verdict: decision.verdict.to_string(),
            l7proto,
            fields,
            rule: decision.rule.as_deref().map(str::to_owned),
            reason: decision.reason.to_string(),
        }
    }

    fn of_fault(l7proto: &'static str, fault: &Fault) -> Self {
        let who = match fault.blame {
            Blame::Client => "client",
            Blame::Server => "server",
            Blame::Parser => "parser",
        };
        Self {
            verdict: "ERROR".to_owned(),
            l7proto: Some(l7proto),
            fields: Vec::new(),
            rule: None,
            reason: format!("{who}: {fault}"),
        }
    }
}
