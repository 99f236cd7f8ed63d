//! Requests to the API server without a process for each: over `kubectl proxy`.

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::TcpStream,
    process::Child,
};

use serde_json::Value;

use crate::kubectl::Kubectl;

/// A door to the API server, as long as this lives.
pub(crate) struct Api {
    process: Child,
    address: String,
}

impl Api {
    pub(crate) fn open(kubectl: &Kubectl) -> Self {
        let mut process =
            kubectl.command(&["proxy", "--port=0"]).spawn().expect("kubectl proxy starts");
        let mut line = String::new();
        let mut stdout = BufReader::new(process.stdout.take().expect("a pipe"));
        stdout.read_line(&mut line).expect("kubectl proxy speaks");
        let address = line.trim().rsplit(' ').next().expect("an address").to_owned();
        Self { process, address }
    }

    /// A connection of its own.
    pub(crate) fn connect(&self) -> Connection {
        let stream = TcpStream::connect(&self.address).expect("kubectl proxy listens");
        stream.set_nodelay(true).expect("a socket");
        Connection(BufReader::new(stream))
    }
}

impl Drop for Api {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// A connection on which requests follow each other.
pub(crate) struct Connection(BufReader<TcpStream>);

impl Connection {
    /// Creates a pod, but for keeping it: status and answer.
    pub(crate) fn try_pod(&mut self, namespace: &str, pod: &Value) -> (u16, Value) {
        let body = pod.to_string();
        let head = format!(
            "POST /api/v1/namespaces/{namespace}/pods?dryRun=All HTTP/1.1\r\nHost: localhost\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        self.0.get_mut().write_all(format!("{head}{body}").as_bytes()).expect("sent");
        self.answer()
    }

    fn answer(&mut self) -> (u16, Value) {
        let mut line = || {
            let mut line = String::new();
            self.0.read_line(&mut line).expect("an answer");
            line.trim_end().to_ascii_lowercase()
        };
        let status = line().split(' ').nth(1).expect("a status").parse().expect("a number");
        let mut length = None;
        loop {
            match line() {
                end if end.is_empty() => break,
                header => {
                    let value = header.strip_prefix("content-length: ").map(str::to_owned);
                    length = value.map(|value| value.parse().expect("a number")).or(length);
                }
            }
        }
        let body = match length {
            Some(length) => self.exactly(length),
            None => self.chunks(),
        };
        (status, serde_json::from_slice(&body).expect("JSON"))
    }

    fn exactly(&mut self, length: usize) -> Vec<u8> {
        let mut body = vec![0; length];
        self.0.read_exact(&mut body).expect("a body");
        body
    }

    fn chunks(&mut self) -> Vec<u8> {
        let mut body = Vec::new();
        loop {
            let mut line = String::new();
            self.0.read_line(&mut line).expect("a chunk");
            let length = usize::from_str_radix(line.trim(), 16).expect("a length");
            let chunk = self.exactly(length + 2);
            if length == 0 {
                return body;
            }
            body.extend_from_slice(&chunk[..length]);
        }
    }
}
