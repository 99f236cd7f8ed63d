//! A walk over raw protobuf bytes that finds what a decoder would drop.
//!
//! prost skips fields it has no place for. In a policy that turns a condition,
//! or a deny, into nothing. So each resource is walked against a table made
//! from our `.proto` files before it is decoded, and an unknown field refuses
//! it by name. Encoding: <https://protobuf.dev/programming-guides/encoding/>.

use prost::Message;

use crate::generated::fields;

/// How deep messages may nest: our own schema needs five.
pub const MAX_DEPTH: usize = 16;

/// One message type as the table knows it.
#[derive(Debug)]
pub(crate) struct Schema {
    pub(crate) name: &'static str,
    pub(crate) fields: &'static [Field],
}

#[derive(Debug)]
pub(crate) struct Field {
    pub(crate) number: u32,
    pub(crate) name: &'static str,
    pub(crate) kind: Kind,
}

#[derive(Debug)]
pub(crate) enum Kind {
    Varint,
    /// Repeated: packed, or one at a time.
    Varints,
    String,
    Message(&'static Schema),
}

/// Why bytes are no message of ours.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    /// A field that our table lacks: it would be dropped in decoding.
    #[error(
        "{message} has an unknown field {number}: it may restrict what it stands in, so the resource is refused"
    )]
    UnknownField {
        /// The message type that holds it.
        message: &'static str,
        /// Its field number.
        number: u32,
    },
    /// A known field in an encoding that is not its own.
    #[error("{message}.{field} has wire type {found}, which is not its own")]
    WireType {
        /// The message type that holds it.
        message: &'static str,
        /// Its name.
        field: &'static str,
        /// The wire type found.
        found: u8,
    },
    /// The bytes end inside a field, or a length points past their end.
    #[error("{message} is cut short")]
    Truncated {
        /// The message type being read.
        message: &'static str,
    },
    /// More nesting than [`MAX_DEPTH`].
    #[error("messages nest deeper than {MAX_DEPTH}")]
    TooDeep,
    /// The walk was content but the decoder was not: text that is not UTF-8, for instance.
    #[error("not decodable: {0}")]
    Decode(String),
}

/// A resource of the discovery exchange that is walked before it is decoded.
pub trait Resource: Message + Default {
    /// Its `type_url`.
    const TYPE_URL: &'static str;
    #[doc(hidden)]
    fn check(bytes: &[u8]) -> Result<(), WireError>;

    /// Walks `bytes`, then decodes them.
    ///
    /// # Errors
    /// A [`WireError`] that names the message and the field.
    fn from_wire(bytes: &[u8]) -> Result<Self, WireError> {
        Self::check(bytes)?;
        Self::decode(bytes).map_err(|error| WireError::Decode(error.to_string()))
    }
}

impl Resource for crate::cilium::NetworkPolicy {
    const TYPE_URL: &'static str = crate::NETWORK_POLICY_URL;
    fn check(bytes: &[u8]) -> Result<(), WireError> {
        walk(&fields::NETWORK_POLICY, bytes, 0)
    }
}

impl Resource for crate::cilium::NetworkPolicyHosts {
    const TYPE_URL: &'static str = crate::NETWORK_POLICY_HOSTS_URL;
    fn check(bytes: &[u8]) -> Result<(), WireError> {
        walk(&fields::NETWORK_POLICY_HOSTS, bytes, 0)
    }
}

impl Resource for crate::services::Service {
    const TYPE_URL: &'static str = crate::SERVICE_URL;
    fn check(bytes: &[u8]) -> Result<(), WireError> {
        walk(&fields::SERVICE, bytes, 0)
    }
}

impl Resource for crate::endpoints::Endpoint {
    const TYPE_URL: &'static str = crate::ENDPOINT_URL;
    fn check(bytes: &[u8]) -> Result<(), WireError> {
        walk(&fields::ENDPOINT, bytes, 0)
    }
}

const WIRE_VARINT: u8 = 0;
const WIRE_LENGTH: u8 = 2;

fn walk(schema: &'static Schema, bytes: &[u8], depth: usize) -> Result<(), WireError> {
    if depth > MAX_DEPTH {
        return Err(WireError::TooDeep);
    }
    let mut reader = Reader { bytes, message: schema.name };
    while !reader.bytes.is_empty() {
        let tag = reader.varint()?;
        // The lowest three bits are the wire type, the rest the field's number.
        let wire_type = u8::try_from(tag & 7).unwrap_or(u8::MAX);
        let number = u32::try_from(tag >> 3).unwrap_or(0);
        let Some(field) = schema.fields.iter().find(|field| field.number == number) else {
            return Err(WireError::UnknownField { message: schema.name, number });
        };
        match (&field.kind, wire_type) {
            (Kind::Varint | Kind::Varints, WIRE_VARINT) => {
                reader.varint()?;
            }
            (Kind::Varints, WIRE_LENGTH) => {
                let mut packed = Reader { bytes: reader.block()?, message: schema.name };
                while !packed.bytes.is_empty() {
                    packed.varint()?;
                }
            }
            (Kind::String, WIRE_LENGTH) => {
                reader.block()?;
            }
            (Kind::Message(inner), WIRE_LENGTH) => walk(inner, reader.block()?, depth + 1)?,
            (_, found) => {
                return Err(WireError::WireType { message: schema.name, field: field.name, found });
            }
        }
    }
    Ok(())
}

struct Reader<'a> {
    bytes: &'a [u8],
    message: &'static str,
}

impl<'a> Reader<'a> {
    fn varint(&mut self) -> Result<u64, WireError> {
        prost::encoding::decode_varint(&mut self.bytes)
            .map_err(|_| WireError::Truncated { message: self.message })
    }

    fn block(&mut self) -> Result<&'a [u8], WireError> {
        let cut = WireError::Truncated { message: self.message };
        let Ok(length) = usize::try_from(self.varint()?) else { return Err(cut) };
        let (block, rest) = self.bytes.split_at_checked(length).ok_or(cut)?;
        self.bytes = rest;
        Ok(block)
    }
}
