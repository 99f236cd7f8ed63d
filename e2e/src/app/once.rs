//! Clients that ask from their first moment on.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::connection;

/// Connects, asks, and prints what came back and after how many milliseconds.
pub(crate) fn run(to: &str, request: &str) -> Result<(), String> {
    let begin = Instant::now();
    let answer = ask(to, request);
    println!("{}", json!({"answer": answer, "ms": milliseconds(begin)}));
    Ok(())
}

/// Asks over and over, each time anew, and prints how many were let through
/// and when the last one was.
pub(crate) fn hammer(to: &str, request: &str, seconds: u64) -> Result<(), String> {
    let begin = Instant::now();
    let (mut asked, mut allowed, mut last) = (0_u64, 0_u64, 0);
    while begin.elapsed() < Duration::from_secs(seconds) {
        let answer = ask(to, request);
        asked += 1;
        if answer["reply"].is_string() {
            allowed += 1;
            last = milliseconds(begin);
        }
    }
    println!("{}", json!({"asked": asked, "allowed": allowed, "last_allowed_ms": last}));
    Ok(())
}

fn ask(to: &str, request: &str) -> Value {
    match connection::open(to) {
        Ok(mut stream) => connection::ask(&mut stream, &format!("{request}\r\n")),
        Err(end) => end,
    }
}

fn milliseconds(since: Instant) -> u64 {
    u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX)
}
