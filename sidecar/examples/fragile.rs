//! A proxy with a parser of one's own: memcached's, but that it panics when a
//! client says so. The benchmark shows with it what a parser's bug would cost.

use std::process::ExitCode;

use clap::Parser as _;
use remora_parsers::{Direction, Judge, Op, Parser, Protocol, Registry, memcache};
use remora_sidecar::command::{self, Arguments};

/// What makes it panic, anywhere in what a client sends.
const MAGIC: &[u8] = b"bench:panic";

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
        assert!(!data.windows(MAGIC.len()).any(|part| part == MAGIC), "a client said so");
        self.0.on_data(direction, data, end, judge)
    }

    fn held(&self) -> usize {
        self.0.held()
    }

    fn is_idle(&self) -> bool {
        self.0.is_idle()
    }
}

fn main() -> ExitCode {
    command::run(&Arguments::parse(), Registry::new(&PROTOCOLS))
}
