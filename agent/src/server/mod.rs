//! The agent API towards sidecars: each pod's own slice and no other.
//!
//! Who asks is known in one of two ways: by the socket that lies in the pod's own
//! volume, or, over TLS in [`tcp`], by a token that the API server vouches for.
//! What follows is the same: `feed` holds what a pod is to know, each
//! `stream` tells it, and `exchange` keeps the books of one stream.

mod bucket;
mod connection;
mod counters;
mod exchange;
mod feed;
mod folder;
mod service;
mod sockets;
mod stream;
pub mod tcp;

pub use self::counters::Counters;
pub(crate) use self::sockets::Server;
pub use crate::world::Slices;
