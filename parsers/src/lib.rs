//! Sans-IO L7 protocol parsers and the contract that they share.
//!
//! A parser sees bytes and answers with [`Op`]s; it owns no socket, clock or
//! logger. The [`Driver`] holds it to the contract's laws and keeps the bytes.
//! What a request may do is asked of a [`Judge`], which the `policy` crate
//! implements; which rule keys a protocol has is data in its [`Protocol`].
//!
//! One folder per protocol; [`Registry::BUILT_IN`] lists them.

// A peer controls every byte in here: nothing may index, cast or unwrap.
#![cfg_attr(
    not(test),
    deny(
        clippy::indexing_slicing,
        clippy::as_conversions,
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::arithmetic_side_effects
    )
)]

pub mod cassandra;
pub mod codec;
mod contract;
pub mod fuzz;
mod line;
pub mod memcache;
pub mod r2d2;
mod reply_queue;
pub mod transcript;

pub use contract::{
    Blame, Condition, Direction, Driver, Fault, Field, Host, Judge, KeyKind, MAX_HELD_BYTES,
    MAX_IDLE_INJECTS, Op, Parser, Protocol, Request, RuleError, RuleKey, Value, Verdict, Word,
    Words, nearest,
};

/// The protocols that a policy may name in `l7proto`.
#[derive(Debug, Clone, Copy)]
pub struct Registry(&'static [&'static Protocol]);

impl Registry {
    /// Every protocol that Remora speaks.
    pub const BUILT_IN: Self = Self(&[&cassandra::PROTOCOL, &memcache::PROTOCOL, &r2d2::PROTOCOL]);

    /// A registry of one's own: tests bring toy parsers this way.
    #[must_use]
    pub const fn new(protocols: &'static [&'static Protocol]) -> Self {
        Self(protocols)
    }

    /// The protocol with this exact name.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<&'static Protocol> {
        self.0.iter().copied().find(|protocol| protocol.name == name)
    }

    /// Each protocol.
    pub fn protocols(&self) -> impl Iterator<Item = &'static Protocol> + use<> {
        self.0.iter().copied()
    }

    /// All names, for messages that help.
    pub fn names(&self) -> impl Iterator<Item = &'static str> + use<> {
        self.0.iter().map(|protocol| protocol.name)
    }
}

/// Compiles and runs the code of the guide.
#[cfg(doctest)]
#[doc = include_str!("../../docs/writing-a-parser.md")]
pub struct Guide;
