//! What a kubelet asks of a container, for a probe or a hook.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::sync::Arc;
use std::time::Duration;

use super::recipe::Recipe;
use crate::manifest::{Check, HttpGet};
use crate::net::{Addresses, NetNs};

/// How many bytes of an answer's rest are read.
const MAX_BODY: u64 = 10 << 10;

/// From where, and to whom, the calls go.
#[derive(Debug)]
pub(super) struct Caller {
    pub(super) node: Arc<NetNs>,
    pub(super) addresses: Addresses,
}

impl Caller {
    /// Asks once; commands run beside the container's first process, `pid`.
    pub(super) fn check(
        &self,
        check: &Check,
        recipe: &Recipe,
        pid: i32,
        timeout: Duration,
    ) -> Result<(), String> {
        match check {
            Check::Exec(argv) => match recipe.exec(pid, argv, timeout)? {
                output if output.code == 0 => Ok(()),
                output => Err(format!("exit code {}: {}", output.code, output.stderr.trim_end())),
            },
            Check::TcpSocket { host, port } => {
                let connected = self.connect(host.as_deref(), *port, timeout);
                connected.map(drop).map_err(|error| error.to_string())
            }
            Check::HttpGet(get) => match self.get(get, timeout) {
                Ok(200..400) => Ok(()),
                Ok(status) => Err(format!("HTTP status {status}")),
                Err(error) => Err(error.to_string()),
            },
        }
    }

    /// Connects from the node, by default to the pod's first address.
    fn connect(&self, host: Option<&str>, port: u16, timeout: Duration) -> io::Result<TcpStream> {
        let to = match host {
            None => SocketAddr::new(self.addresses.v4.into(), port),
            Some(name) => (name, port).to_socket_addrs()?.next().ok_or(io::ErrorKind::NotFound)?,
        };
        let connected = self.node.enter(|| TcpStream::connect_timeout(&to, timeout));
        connected.map_err(io::Error::other)?
    }

    /// The status code of one GET.
    fn get(&self, get: &HttpGet, timeout: Duration) -> io::Result<u16> {
        let mut stream = self.connect(get.host.as_deref(), get.port, timeout)?;
        stream.set_read_timeout(Some(timeout))?;
        let mut request =
            format!("GET {} HTTP/1.1\r\nConnection: close\r\nUser-Agent: kube-probe\r\n", get.path);
        if !get.headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("host")) {
            request += &format!("Host: {}\r\n", stream.peer_addr()?);
        }
        for (name, value) in &get.headers {
            request += &format!("{name}: {value}\r\n");
        }
        stream.write_all((request + "\r\n").as_bytes())?;
        let mut head = [0; "HTTP/1.1 200".len()];
        stream.read_exact(&mut head)?;
        // As a kubelet does: who hangs up before that resets the connection under the server.
        let _ = io::copy(&mut stream.take(MAX_BODY), &mut io::sink());
        let code = head.rsplit(|&byte| byte == b' ').next();
        let code = code.and_then(|code| std::str::from_utf8(code).ok()?.parse().ok());
        code.ok_or_else(|| io::ErrorKind::InvalidData.into())
    }
}
