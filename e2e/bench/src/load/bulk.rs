//! Bytes in one direction, as many as go.

use std::{
    io::{Read as _, Write as _},
    net::{Shutdown, SocketAddr, TcpStream},
    sync::atomic::{AtomicU64, Ordering},
    thread,
    time::Instant,
};

use anyhow::{Context as _, Result, ensure};

use super::{Meter, Outcome, PATIENCE, Window};
use crate::serve::{CHUNK, SEND};

/// Connections that carry bytes at once.
const STREAMS: usize = 4;

/// Where the bytes go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Direction {
    /// From client to server.
    Up,
    /// From server to client.
    Down,
}

/// Moves bytes over a few connections, and measures a window of it.
///
/// # Errors
/// A connection could not be made, or broke before the end.
pub(crate) fn bulk(
    address: SocketAddr,
    direction: Direction,
    window: Window,
    meter: Meter<'_>,
) -> Result<Outcome> {
    let streams = (0..STREAMS).map(|_| open(address, direction)).collect::<Result<Vec<_>>>()?;
    let moved = AtomicU64::new(0);
    thread::scope(|scope| {
        for stream in &streams {
            scope.spawn(|| carry(stream, direction, &moved));
        }
        let measured = measure(&moved, window, meter);
        for stream in &streams {
            // One that broke meanwhile shows in what was moved.
            let _ = stream.shutdown(Shutdown::Both);
        }
        measured
    })
}

fn open(address: SocketAddr, direction: Direction) -> Result<TcpStream> {
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE)
        .with_context(|| format!("connecting to {address}"))?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    if direction == Direction::Down {
        stream.write_all(&[SEND]).context("asking for bytes")?;
    }
    Ok(stream)
}

/// Until the stream is shut down.
fn carry(mut stream: &TcpStream, direction: Direction, moved: &AtomicU64) {
    let mut chunk = vec![0; CHUNK];
    loop {
        let done = match direction {
            Direction::Up => stream.write(&chunk),
            Direction::Down => stream.read(&mut chunk),
        };
        match done {
            Ok(0) | Err(_) => return,
            Ok(bytes) => moved.fetch_add(bytes as u64, Ordering::Relaxed),
        };
    }
}

fn measure(moved: &AtomicU64, window: Window, meter: Meter<'_>) -> Result<Outcome> {
    thread::sleep(window.warm_up);
    let (begin, bytes, cpu) = (Instant::now(), moved.load(Ordering::Relaxed), meter()?);
    thread::sleep(window.measured);
    while moved.load(Ordering::Relaxed) == bytes {
        // Starved by others: wait for some, or for our patience to end.
        ensure!(begin.elapsed() < PATIENCE, "no byte arrived in {PATIENCE:?}");
        thread::sleep(window.measured);
    }
    Ok(Outcome {
        amount: moved.load(Ordering::Relaxed) - bytes,
        elapsed: begin.elapsed(),
        cpu: meter()?.saturating_sub(cpu),
        latencies: Vec::new(),
    })
}
