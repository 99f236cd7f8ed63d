//! A moment as RFC 3339 writes it, in UTC and milliseconds.

use std::{
    cell::RefCell,
    time::{Duration, SystemTime},
};

use super::digits::{three, two};

const DAY: u64 = 86_400;

thread_local! {
    /// The second that was written last, and how: records of one second differ
    /// in the milliseconds alone.
    static LAST: RefCell<(u64, String)> = const { RefCell::new((u64::MAX, String::new())) };
}

/// Appends a moment as `2025-03-01T12:00:00.123Z`. One before 1970 is 1970.
pub(super) fn rfc3339(out: &mut String, moment: SystemTime) {
    let since = moment.duration_since(SystemTime::UNIX_EPOCH).unwrap_or(Duration::ZERO);
    LAST.with_borrow_mut(|(second, text)| {
        if *second != since.as_secs() {
            *second = since.as_secs();
            text.clear();
            up_to_second(text, *second);
        }
        out.push_str(text);
    });
    three(out, since.subsec_millis());
    out.push('Z');
}

/// Appends `2025-03-01T12:00:00.`, of so many seconds since 1970.
fn up_to_second(out: &mut String, seconds: u64) {
    let (year, month, day) = civil(seconds / DAY);
    let second = seconds % DAY;
    let small = |n: u64| u32::try_from(n).unwrap_or_default();
    two(out, small(year / 100));
    for (part, after) in [
        (year % 100, '-'),
        (month, '-'),
        (day, 'T'),
        (second / 3600, ':'),
        (second / 60 % 60, ':'),
        (second % 60, '.'),
    ] {
        two(out, small(part));
        out.push(after);
    }
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
