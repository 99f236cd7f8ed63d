//! A moment as RFC 3339 writes it, in UTC and milliseconds.

use std::time::{Duration, SystemTime};

use super::digits::Short;

const DAY: u64 = 86_400;

/// Appends a moment as `2025-03-01T12:00:00.123Z`. One before 1970 is 1970.
pub(super) fn rfc3339(out: &mut String, moment: SystemTime) {
    let since = moment.duration_since(SystemTime::UNIX_EPOCH).unwrap_or(Duration::ZERO);
    let (year, month, day) = civil(since.as_secs() / DAY);
    let second = since.as_secs() % DAY;
    let mut text = Short::default();
    let small = |n: u64| u32::try_from(n).unwrap_or_default();
    for (part, width, after) in [
        (small(year), 4, b'-'),
        (small(month), 2, b'-'),
        (small(day), 2, b'T'),
        (small(second / 3600), 2, b':'),
        (small(second / 60 % 60), 2, b':'),
        (small(second % 60), 2, b'.'),
        (since.subsec_millis(), 3, b'Z'),
    ] {
        text.number(part, width);
        text.byte(after);
    }
    text.append_to(out);
}

/// Year, month and day of a count of days since 1970-01-01 (Gregorian).
///
/// Years are counted from March, so that a leap day is a year's last day and
/// the months' lengths repeat every five months of 153 days.
fn civil(days: u64) -> (u64, u64, u64) {
    const ERA_DAYS: u64 = 146_097; // 400 years
    let since_march_0000 = days + 719_468;
    let (era, day) = (since_march_0000 / ERA_DAYS, since_march_0000 % ERA_DAYS);
    let year = (day - day / 1_460 + day / 36_524 - day / (ERA_DAYS - 1)) / 365;
    let day_of_year = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day_of_year + 2) / 153;
    let day_of_month = day_of_year - (153 * month + 2) / 5 + 1;
    let (month, carry) = if month < 10 { (month + 3, 0) } else { (month - 9, 1) };
    (era * 400 + year + carry, month, day_of_month)
}
