//! The binary protocol: frames with a header of 24 bytes
//! (protocol-binary.txt, "Packet Structure").

mod header;
mod opcode;
mod parser;

pub(super) use parser::BinaryParser;
