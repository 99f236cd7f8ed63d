//! Remora's proxy with a parser that panics when it is asked to: what a bug in
//! one would cost. All else is the program that is measured everywhere.

use std::process::ExitCode;

use clap::Parser as _;
use remora_parsers::{Direction, Judge, Op, Parser, Protocol, Registry, memcache};
use remora_sidecar::command;

/// The program's name when it is this proxy.
pub(crate) const PROGRAM: &str = "remora-sidecar";

/// What makes it panic, anywhere in what a client sends.
pub(crate) const MAGIC: &[u8] = b"bench:panic";

static MEMCACHE: Protocol =
    Protocol { parser: || Box::new(Fragile((memcache::PROTOCOL.parser)())), ..memcache::PROTOCOL };

static PROTOCOLS: [&Protocol; 1] = [&MEMCACHE];

struct Fragile(Box<dyn Parser>);

impl Parser for Fragile {
    fn on_data(
        &mut self,
        direction: Direction,
        data: &[u8],
        end: bool,
        judge: &mut dyn Judge,
    ) -> Op {
        assert!(!data.windows(MAGIC.len()).any(|part| part == MAGIC), "asked to");
        self.0.on_data(direction, data, end, judge)
    }

    fn held(&self) -> usize {
        self.0.held()
    }

    fn is_idle(&self) -> bool {
        self.0.is_idle()
    }
}

/// Runs as that proxy.
pub(crate) fn run() -> ExitCode {
    command::run(&command::Arguments::parse(), Registry::new(&PROTOCOLS))
}
