//! An app with HTTP probes: it can be late, and it can stop listening.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    net::{Ipv6Addr, TcpListener, TcpStream},
    thread,
    time::Duration,
};

/// Listens on both IP families after `late`. `/healthz` is well, `/stop`
/// makes the app stop listening without ending, anything else is not there.
/// Prints every request with its headers.
pub(crate) fn run(port: &str, late: Duration) -> Result<(), String> {
    let port: u16 = port.parse().map_err(|_| format!("{port} is no port"))?;
    thread::sleep(late);
    let listener = TcpListener::bind((Ipv6Addr::UNSPECIFIED, port))
        .map_err(|error| format!("listening on {port}: {error}"))?;
    println!("listening on {port}");
    for stream in listener.incoming() {
        if let Ok(stream) = stream
            && answer(stream) == Next::Stop
        {
            break;
        }
    }
    drop(listener);
    println!("stopped listening");
    super::idle()
}

#[derive(PartialEq, Eq)]
enum Next {
    Listen,
    Stop,
}

/// Answers one request; one that breaks off is none.
fn answer(mut stream: TcpStream) -> Next {
    let _ = stream.set_read_timeout(Some(Duration::from_secs(5)));
    let Ok(read) = stream.try_clone() else { return Next::Listen };
    let head: Vec<_> = BufReader::new(read)
        .lines()
        .map_while(Result::ok)
        .take_while(|line| !line.is_empty())
        .collect();
    // A connection without a request is a probe of the port.
    println!("{}", if head.is_empty() { "a connection".to_owned() } else { head.join(" | ") });
    let path = head.first().and_then(|line| line.split(' ').nth(1)).unwrap_or_default();
    let status =
        if matches!(path, "/healthz" | "/stop" | "/hook") { "200 OK" } else { "404 Not Found" };
    let reply = format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    let _ = stream.write_all(reply.as_bytes());
    if path == "/stop" { Next::Stop } else { Next::Listen }
}
