//! Connections that the test holds from outside, by lines of JSON.
//!
//! `{"open": "HOST:PORT"}` is answered with `{"id": N}`, `{"ask": "REQUEST", "on": N}`
//! with `{"reply": "…"}`, `{"close": N}` with `{}`. Whatever ended otherwise is
//! `{"end": "reset"}` or another word.

use std::{
    io::{BufRead as _, Write as _, stdin, stdout},
    net::TcpStream,
};

use serde_json::{Value, json};

use crate::connection;

/// Obeys until standard input ends.
pub(crate) fn run() -> Result<(), String> {
    let mut connections = Vec::new();
    for line in stdin().lock().lines() {
        let line = line.map_err(|error| format!("reading standard input: {error}"))?;
        let command = serde_json::from_str(&line).map_err(|error| format!("{line}: {error}"))?;
        let answer = obey(&mut connections, &command);
        let mut out = stdout().lock();
        writeln!(out, "{answer}").and_then(|()| out.flush()).map_err(|error| error.to_string())?;
    }
    Ok(())
}

fn obey(connections: &mut Vec<Option<TcpStream>>, command: &Value) -> Value {
    if let Some(to) = command["open"].as_str() {
        return match connection::open(to) {
            Ok(stream) => {
                connections.push(Some(stream));
                json!({"id": connections.len() - 1})
            }
            Err(end) => end,
        };
    }
    let id = command["on"].as_u64().or_else(|| command["close"].as_u64());
    let connection = id.and_then(|id| connections.get_mut(usize::try_from(id).ok()?));
    match (command["ask"].as_str(), connection) {
        (Some(request), Some(Some(stream))) => connection::ask(stream, request),
        (None, Some(open)) => {
            *open = None;
            json!({})
        }
        _ => json!({"end": "failed", "detail": format!("no such command: {command}")}),
    }
}
