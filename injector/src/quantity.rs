//! Kubernetes quantities, such as `250m` or `64Mi`: read to be compared.

#[cfg(test)]
mod tests;

/// An amount of a resource that is not negative, in billionths; what is finer is rounded up,
/// as the API server has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Quantity(u128);

const BILLION: u128 = 1_000_000_000;

impl Quantity {
    /// So many thousandths.
    pub(crate) const fn thousandths(count: u32) -> Self {
        Self(count as u128 * (BILLION / 1000))
    }

    /// So many mebibytes.
    pub(crate) const fn mebi(count: u32) -> Self {
        Self(((count as u128) << 20) * BILLION)
    }

    /// Reads `64Mi`, `0.5`, `250m` or `1e3`; none for what is no quantity, below zero, or
    /// beyond all use.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let is_number = |c: char| c.is_ascii_digit() || c == '.';
        let text = text.strip_prefix('+').unwrap_or(text);
        let (number, suffix) = text.split_at(text.find(|c| !is_number(c)).unwrap_or(text.len()));
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        let digits = format!("{whole}{fraction}");
        let digits: u128 = digits.parse().ok()?;
        let fraction = u32::try_from(fraction.len()).ok()?;
        let (multiplier, exponent) = match suffix.strip_suffix('i') {
            Some(prefix) => (1024_u128.checked_pow(binary(prefix)?)?, 0),
            None => (1, decimal(suffix)?),
        };
        let billionths = digits.checked_mul(multiplier)?.checked_mul(BILLION)?;
        match exponent.checked_sub_unsigned(fraction)? {
            up @ 0.. => billionths.checked_mul(10_u128.checked_pow(up.unsigned_abs())?).map(Self),
            down => Some(Self(billionths.div_ceil(10_u128.checked_pow(down.unsigned_abs())?))),
        }
    }
}

/// The power of 1024 that a suffix stands for.
fn binary(prefix: &str) -> Option<u32> {
    let position = ["K", "M", "G", "T", "P", "E"].iter().position(|known| *known == prefix)?;
    u32::try_from(position).ok()?.checked_add(1)
}

/// The power of 10 that a suffix, or an exponent, stands for.
fn decimal(suffix: &str) -> Option<i32> {
    let exponent = match suffix {
        "n" => -9,
        "u" => -6,
        "m" => -3,
        "" => 0,
        "k" => 3,
        "M" => 6,
        "G" => 9,
        "T" => 12,
        "P" => 15,
        "E" => 18,
        _ => return suffix.strip_prefix(['e', 'E'])?.parse().ok(),
    };
    Some(exponent)
}
