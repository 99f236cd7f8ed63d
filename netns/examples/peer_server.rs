//! An HTTP server on port 8080, or that of its first argument, IPv4 and IPv6, that answers every request with
//! the address it came from. Prints each request's first line.

use std::io::{self, BufRead, BufReader, Write};
use std::net::{IpAddr, Ipv6Addr, TcpListener};

fn main() -> io::Result<()> {
    let port = std::env::args().nth(1).and_then(|port| port.parse().ok()).unwrap_or(8080);
    let listener = TcpListener::bind((Ipv6Addr::UNSPECIFIED, port))?;
    writeln!(io::stdout(), "up")?;
    loop {
        let (mut stream, peer) = listener.accept()?;
        let peer: IpAddr = peer.ip().to_canonical();
        let mut lines = BufReader::new(&stream).lines();
        let Some(Ok(first)) = lines.next() else { continue };
        if lines.map_while(Result::ok).any(|line| line.is_empty()) {
            writeln!(io::stdout(), "{peer} {first}")?;
            write!(stream, "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n{peer}")?;
        }
    }
}
