//! A real Cassandra 5.0: what it did, against what policy allows; and ordinary
//! clients of it, which notice nothing of a sidecar that allows their work.

mod clients;
mod effects;
#[path = "../../../parsers/tests/support/native.rs"]
mod native;
mod server;
#[path = "../support/slice.rs"]
mod slice;
