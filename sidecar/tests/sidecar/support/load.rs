//! Load that knows what it sent when, and a server that knows what came when.
//! Both run on threads of their own, beside the sidecar's.

use std::{
    collections::HashMap,
    io::{BufRead as _, BufReader, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread::{self, JoinHandle},
    time::Instant,
};

use super::DEADLINE;

/// When each word came; the server answers `ok WORD`.
pub(crate) struct Recorder {
    pub(crate) address: SocketAddr,
    came: Arc<Mutex<Vec<(String, Instant)>>>,
}

impl Recorder {
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let came = Arc::<Mutex<Vec<_>>>::default();
        let recorded = Arc::clone(&came);
        thread::spawn(move || {
            for stream in listener.incoming() {
                let (stream, recorded) = (stream.unwrap(), Arc::clone(&recorded));
                thread::spawn(move || record(stream, &recorded));
            }
        });
        Self { address, came }
    }

    /// How many words have come.
    pub(crate) fn count(&self) -> usize {
        self.came.lock().unwrap().len()
    }

    pub(crate) fn came(&self) -> Vec<(String, Instant)> {
        self.came.lock().unwrap().clone()
    }
}

fn record(stream: TcpStream, came: &Mutex<Vec<(String, Instant)>>) {
    stream.set_nodelay(true).unwrap();
    let mut writer = stream.try_clone().unwrap();
    let mut reader = BufReader::new(stream);
    loop {
        let mut word = String::new();
        // A word that was cut off is none.
        let whole = reader.read_line(&mut word).is_ok() && word.ends_with('\n');
        if !whole {
            return;
        }
        came.lock().unwrap().push((word.trim_end().to_owned(), Instant::now()));
        if writer.write_all(format!("ok {word}").as_bytes()).is_err() {
            return;
        }
    }
}

/// Clients that ask without a pause, and connect anew when they are cut off.
pub(crate) struct Load {
    shared: Arc<Shared>,
    clients: Vec<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    stop: AtomicBool,
    /// How often it was tried to send something.
    attempts: AtomicU64,
    /// When each word began to be sent.
    sent: Mutex<HashMap<String, Instant>>,
}

impl Load {
    pub(crate) fn start(to: SocketAddr, clients: usize) -> Self {
        let shared = Arc::<Shared>::default();
        let client = |number| {
            let shared = Arc::clone(&shared);
            thread::spawn(move || {
                while !shared.stop.load(Ordering::Relaxed) {
                    // An error is how a denial looks; the next connection will tell.
                    let _ = ask(to, number, &shared);
                }
            })
        };
        let clients = (0..clients).map(client).collect();
        Self { shared, clients }
    }

    pub(crate) fn attempts(&self) -> u64 {
        self.shared.attempts.load(Ordering::Relaxed)
    }

    /// Ends it; when each word began to be sent.
    pub(crate) fn stop(self) -> HashMap<String, Instant> {
        self.shared.stop.store(true, Ordering::Relaxed);
        for client in self.clients {
            client.join().unwrap();
        }
        std::mem::take(&mut self.shared.sent.lock().unwrap())
    }
}

/// Asks on one connection, in bursts, until it breaks.
fn ask(to: SocketAddr, client: usize, shared: &Shared) -> std::io::Result<()> {
    const BURST: usize = 4;
    shared.attempts.fetch_add(1, Ordering::Relaxed);
    let mut stream = TcpStream::connect(to)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(DEADLINE))?;
    let mut replies = BufReader::new(stream.try_clone()?).lines();
    while !shared.stop.load(Ordering::Relaxed) {
        for _ in 0..BURST {
            let attempt = shared.attempts.fetch_add(1, Ordering::Relaxed);
            let word = format!("w{client}-{attempt}");
            shared.sent.lock().unwrap().insert(word.clone(), Instant::now());
            stream.write_all(format!("{word}\n").as_bytes())?;
        }
        for _ in 0..BURST {
            replies.next().ok_or(std::io::ErrorKind::UnexpectedEof)??;
        }
    }
    Ok(())
}
