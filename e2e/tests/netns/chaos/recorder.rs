//! The server behind the sidecar. It answers `get KEY` with the key itself,
//! and keeps a record of its own of what must never have come.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    net::{TcpListener, TcpStream},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

use remora_netns::Pod;
use socket2::SockRef;

use super::{PORT, Verdicts};

/// What no key of the client that may ask begins with.
pub(super) const OUTSIDERS: &str = "pub:outsider";

pub(super) struct Recorder {
    shared: Arc<Shared>,
}

struct Shared {
    verdicts: Verdicts,
    requests: AtomicUsize,
    open: Mutex<Vec<TcpStream>>,
    /// It plays dead: whoever comes is hung up on.
    dead: AtomicBool,
}

impl Recorder {
    /// Listens in the pod's network, for as long as the test runs.
    pub(super) fn start(pod: &Pod, verdicts: &Verdicts) -> Self {
        let bound = pod.enter_network(|| TcpListener::bind(("0.0.0.0", PORT)));
        let listener = bound.expect("the pod's network").expect("a port");
        let shared = Arc::new(Shared {
            verdicts: verdicts.clone(),
            requests: AtomicUsize::new(0),
            open: Mutex::default(),
            dead: AtomicBool::new(false),
        });
        let served = Arc::clone(&shared);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let shared = Arc::clone(&served);
                if shared.dead.load(Ordering::Relaxed) {
                    reset(&stream);
                    continue;
                }
                shared.open.lock().expect("streams").extend(stream.try_clone());
                thread::spawn(move || serve(&stream, &shared));
            }
        });
        Self { shared }
    }

    /// Requests that ever came.
    pub(super) fn requests(&self) -> usize {
        self.shared.requests.load(Ordering::Relaxed)
    }

    /// Dies with its connections, and is back after so long.
    pub(super) fn die(&self, for_so_long: Duration) {
        self.shared.dead.store(true, Ordering::Relaxed);
        for stream in self.shared.open.lock().expect("streams").drain(..) {
            reset(&stream);
            // The other handle to it is blocked in a read.
            let _ = stream.shutdown(std::net::Shutdown::Both);
        }
        thread::sleep(for_so_long);
        self.shared.dead.store(false, Ordering::Relaxed);
    }
}

fn reset(stream: &TcpStream) {
    let _ = SockRef::from(stream).set_linger(Some(Duration::ZERO));
}

fn serve(stream: &TcpStream, shared: &Shared) {
    let mut lines = BufReader::new(stream);
    let mut line = String::new();
    // Whatever is not text ends it, as the end does.
    while lines.read_line(&mut line).is_ok_and(|length| length > 0) {
        let Some(whole) = line.strip_suffix("\r\n") else { return };
        shared.requests.fetch_add(1, Ordering::Relaxed);
        let key = whole.strip_prefix("get ").filter(|key| key.starts_with("pub:"));
        match key {
            Some(key) if !key.starts_with(OUTSIDERS) => {
                let reply = format!("VALUE {key} 0 {}\r\n{key}\r\nEND\r\n", key.len());
                if (&*stream).write_all(reply.as_bytes()).is_err() {
                    return;
                }
            }
            _ => shared.verdicts.add(format!("the server got {whole:?}")),
        }
        line.clear();
    }
}
