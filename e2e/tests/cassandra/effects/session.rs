//! A client of the test's own, which asks one thing at a time and trusts
//! nobody but the server.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

use crate::native::{CQL, ERROR, QUERY, envelope, long, prepare, startup};

/// A row, value by value; null is none.
pub(crate) type Row = Vec<Option<Vec<u8>>>;

pub(crate) struct Session(TcpStream);

impl Session {
    pub(crate) fn open(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).expect("Cassandra accepts");
        stream.set_read_timeout(Some(Duration::from_secs(60))).expect("a timeout");
        stream.set_nodelay(true).expect("an option");
        let mut session = Self(stream);
        session.ask(&startup(4, &[CQL])).expect("started");
        session
    }

    /// Sends an envelope; gives the body of the answer, or the error's message.
    fn ask(&mut self, request: &[u8]) -> Result<Vec<u8>, String> {
        self.0.write_all(request).expect("sent");
        let mut header = [0; 9];
        self.0.read_exact(&mut header).expect("an answer");
        let [.., opcode, b3, b2, b1, b0] = header;
        let mut body = vec![0; u32::from_be_bytes([b3, b2, b1, b0]) as usize];
        self.0.read_exact(&mut body).expect("an answer");
        if opcode == ERROR {
            return Err(String::from_utf8_lossy(&body[6..]).into_owned());
        }
        Ok(body)
    }

    /// Rows without their metadata.
    pub(crate) fn query(&mut self, text: &str) -> Result<Vec<Row>, String> {
        const SKIP_METADATA: &[u8] = b"\0\x01\x02";
        let request = [&long(text.as_bytes())[..], SKIP_METADATA].concat();
        let body = self.ask(&envelope(4, 0, QUERY, &request))?;
        let mut ints = body.chunks_exact(4).map(|n| u32::from_be_bytes(n.try_into().expect("4")));
        if ints.next() != Some(2) {
            return Ok(Vec::new());
        }
        let (flags, columns, count) = (ints.next(), ints.next(), ints.next());
        let flags = flags.expect("flags");
        assert_eq!(flags & 6, 4, "no metadata, and no further page");
        let mut rest = &body[16..];
        let mut value = || {
            let (length, behind) = rest.split_first_chunk::<4>().expect("a value");
            let length = i32::from_be_bytes(*length);
            let (value, behind) = behind.split_at(length.max(0) as usize);
            rest = behind;
            (length >= 0).then(|| value.to_vec())
        };
        let mut row = || (0..columns.expect("columns")).map(|_| value()).collect::<Row>();
        Ok((0..count.expect("a count")).map(|_| row()).collect())
    }

    pub(crate) fn run(&mut self, text: &str) {
        self.query(text).unwrap_or_else(|error| panic!("{text}: {error}"));
    }

    /// The id that the server gives a statement, on all connections.
    pub(crate) fn prepare(&mut self, text: &str) -> Vec<u8> {
        let body = self.ask(&prepare(4, 0, text)).expect("prepared");
        let length = usize::from(u16::from_be_bytes([body[4], body[5]]));
        body[6..6 + length].to_vec()
    }
}
