//! What policies mean, from their text to the decision at the other end of the
//! wire.

mod algebra;
mod audit;
mod common;
mod documents;
mod egress;
mod evaluator;
mod generate;
mod meaning;
mod peers;
mod properties;
mod random;
mod reference;
mod refusals;
mod seeds;
mod semantics;
mod standing;
