//! What a plain scalar means: YAML 1.2's core schema (spec section 10.3.2), with
//! YAML 1.1's octal numbers, which every `defaultMode: 0644` relies on.

use saphyr_parser::{ScalarStyle, Tag};

use crate::Value;

/// Why a scalar has no value: the problem and the remedy.
pub(super) type Refusal = (String, String);

/// Resolves a scalar by its tag, or its style, or else its text.
pub(super) fn resolve(text: &str, style: ScalarStyle, tag: Option<&Tag>) -> Result<Value, Refusal> {
    match tag {
        None if style == ScalarStyle::Plain => plain(text),
        None => Ok(Value::String(text.to_owned())),
        Some(tag) if tag.is_yaml_core_schema() => tagged(text, &tag.suffix),
        Some(tag) => Err(unknown_tag(tag)),
    }
}

/// The refusal of a tag that the core schema does not have.
pub(super) fn unknown_tag(tag: &Tag) -> Refusal {
    (format!("tag `{tag}` has no meaning in a manifest"), "remove it".to_owned())
}

fn tagged(text: &str, suffix: &str) -> Result<Value, Refusal> {
    let value = match suffix {
        "str" => return Ok(Value::String(text.to_owned())),
        _ => plain(text)?,
    };
    match (suffix, value) {
        ("null", value @ Value::Null)
        | ("bool", value @ Value::Bool(_))
        | ("int", value @ (Value::Int(_) | Value::UInt(_)))
        | ("float", value @ Value::Float(_)) => Ok(value),
        #[expect(clippy::cast_precision_loss, reason = "that is what the tag asks for")]
        ("float", Value::Int(value)) => Ok(Value::Float(value as f64)),
        _ => Err((format!("`{text}` is no !!{suffix}"), "remove the tag".to_owned())),
    }
}

fn plain(text: &str) -> Result<Value, Refusal> {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Ok(Value::Null),
        "true" | "True" | "TRUE" => return Ok(Value::Bool(true)),
        "false" | "False" | "FALSE" => return Ok(Value::Bool(false)),
        _ => {}
    }
    let (negative, unsigned) = match text.strip_prefix(['-', '+']) {
        Some(rest) => (text.starts_with('-'), rest),
        None => (false, text),
    };
    if let Some((digits, radix)) = whole_number(text, unsigned) {
        return integer(negative, digits, radix)
            .or_else(|| if radix == 10 { finite(text) } else { None })
            .ok_or_else(|| no_json(text));
    }
    if matches!(unsigned, ".inf" | ".Inf" | ".INF") || matches!(text, ".nan" | ".NaN" | ".NAN") {
        return Err(no_json(text));
    }
    if is_float(unsigned) {
        return finite(text).ok_or_else(|| no_json(text));
    }
    Ok(Value::String(text.to_owned()))
}

/// The digits and radix of a whole number. Only decimal and YAML 1.1's octal take a sign.
fn whole_number<'t>(text: &'t str, unsigned: &'t str) -> Option<(&'t str, u32)> {
    let all = |digits: &str, radix| !digits.is_empty() && digits.chars().all(|c| c.is_digit(radix));
    if let Some(digits) = text.strip_prefix("0x").filter(|d| all(d, 16)) {
        return Some((digits, 16));
    }
    if let Some(digits) = text.strip_prefix("0o").filter(|d| all(d, 8)) {
        return Some((digits, 8));
    }
    if let Some(digits) = unsigned.strip_prefix('0').filter(|d| all(d, 8)) {
        return Some((digits, 8));
    }
    all(unsigned, 10).then_some((unsigned, 10))
}

fn integer(negative: bool, digits: &str, radix: u32) -> Option<Value> {
    let magnitude = u64::from_str_radix(digits, radix).ok()?;
    if negative {
        return 0i64.checked_sub_unsigned(magnitude).map(Value::Int);
    }
    Some(i64::try_from(magnitude).map_or(Value::UInt(magnitude), Value::Int))
}

/// `( "." [0-9]+ | [0-9]+ ( "." [0-9]* )? ) ( [eE] [-+]? [0-9]+ )?`
fn is_float(unsigned: &str) -> bool {
    let digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
    let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (unsigned, None),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let exponent_is_fine = exponent.is_none_or(|exponent| {
        let exponent = exponent.strip_prefix(['-', '+']).unwrap_or(exponent);
        !exponent.is_empty() && digits(exponent)
    });
    digits(whole)
        && digits(fraction)
        && !(whole.is_empty() && fraction.is_empty())
        && exponent_is_fine
}

fn finite(text: &str) -> Option<Value> {
    text.parse().ok().filter(|value: &f64| value.is_finite()).map(Value::Float)
}

fn no_json(text: &str) -> Refusal {
    let problem = format!("the number `{text}` has no form in JSON");
    (problem, "write a smaller number, or put it in quotes if it is a string".to_owned())
}
