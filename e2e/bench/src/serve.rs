//! The server of the bulk workloads: takes whatever comes, or sends without end.

use std::{
    io::{Read as _, Write as _},
    net::{Ipv4Addr, TcpListener, TcpStream},
    process::ExitCode,
    thread,
};

use anyhow::{Context as _, Result};

/// The first byte of a client that wants to receive. Any other byte is the
/// first of what it sends.
pub(crate) const SEND: u8 = b'd';

/// How much is read or written at once, in bytes.
pub(crate) const CHUNK: usize = 256 << 10;

/// Serves until it is killed.
pub(crate) fn run(port: u16) -> Result<ExitCode> {
    let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, port))
        .with_context(|| format!("listening on port {port}"))?;
    accept(&listener);
    Ok(ExitCode::SUCCESS)
}

/// Serves whoever comes, until the listener fails.
pub(crate) fn accept(listener: &TcpListener) {
    for stream in listener.incoming().map_while(Result::ok) {
        thread::spawn(move || serve(stream));
    }
}

/// The client ends it, by whatever error or end that shows as here.
fn serve(mut stream: TcpStream) {
    let mut chunk = vec![0; CHUNK];
    let first = stream.read(&mut chunk[..1]);
    if first.is_ok_and(|read| read == 1) && chunk[0] == SEND {
        while stream.write_all(&chunk).is_ok() {}
    } else {
        while stream.read(&mut chunk).is_ok_and(|read| read > 0) {}
    }
}
