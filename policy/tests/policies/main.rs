//! What policies mean, from their text to the decision at the other end of the
//! wire.

mod algebra;
mod common;
mod documents;
mod generate;
mod peers;
mod reference;
mod refusals;
mod seeds;
mod semantics;
mod standing;
