//! JSON as it comes from the network: bounded in size and depth, no key twice.
//!
//! Two readers that take another one of two equal keys would see two pods; so it is refused.

use std::cell::Cell;
use std::fmt;

use serde::Deserializer;
use serde::de::{DeserializeSeed, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

use super::Malformed;

/// The longest review that is read, in bytes. The API server stores no object of more than
/// 1.5 MiB, and a review holds at most two.
pub const MAX_REVIEW_BYTES: usize = 8 << 20;
/// How deep lists and maps in a review may be nested. A pod's own fields need a dozen.
pub const MAX_REVIEW_DEPTH: usize = 64;

/// How many values a review may hold: each costs many times its bytes once it is read.
pub const MAX_REVIEW_VALUES: usize = 200_000;

/// Reads one JSON value, and nothing after it.
pub(super) fn read(bytes: &[u8]) -> Result<Value, Malformed> {
    if bytes.len() > MAX_REVIEW_BYTES {
        return Err(Malformed::TooLong);
    }
    let mut reader = serde_json::Deserializer::from_slice(bytes);
    let values_left = Cell::new(MAX_REVIEW_VALUES);
    let strict = Strict { depth_left: MAX_REVIEW_DEPTH, values_left: &values_left };
    let value = strict.deserialize(&mut reader);
    let value = value.map_err(|error| Malformed::NoJson(error.to_string()))?;
    reader.end().map_err(|error| Malformed::NoJson(error.to_string()))?;
    Ok(value)
}

/// Makes values, and counts them, and how deep it is.
#[derive(Clone, Copy)]
struct Strict<'c> {
    depth_left: usize,
    values_left: &'c Cell<usize>,
}

impl Strict<'_> {
    /// For what a list or map holds.
    fn inner<E: Error>(self) -> Result<Self, E> {
        let too_deep = || E::custom(format!("nested more than {MAX_REVIEW_DEPTH} deep"));
        let depth_left = self.depth_left.checked_sub(1).ok_or_else(too_deep)?;
        Ok(Self { depth_left, ..self })
    }
}

impl<'de> DeserializeSeed<'de> for Strict<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        let too_many = || D::Error::custom(format!("more than {MAX_REVIEW_VALUES} values"));
        self.values_left.set(self.values_left.get().checked_sub(1).ok_or_else(too_many)?);
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Value, E> {
        let number = Number::from_f64(value).ok_or_else(|| E::custom("no number of JSON"))?;
        Ok(Value::Number(number))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let inner = self.inner()?;
        let mut list = Vec::new();
        while let Some(item) = items.next_element_seed(inner)? {
            list.push(item);
        }
        Ok(list.into())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let inner = self.inner()?;
        let mut map = Map::new();
        while let Some(key) = entries.next_key::<String>()? {
            let value = entries.next_value_seed(inner)?;
            if map.insert(key, value).is_some() {
                return Err(A::Error::custom("a key comes twice"));
            }
        }
        Ok(map.into())
    }
}
