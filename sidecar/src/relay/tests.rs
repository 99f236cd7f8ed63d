//! Every byte arrives once, in order, whatever its way; what is borrowed goes back.

use std::{sync::Arc, time::Duration};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
    time::timeout,
};

use super::*;
use crate::limits::{Commons, Ledger, Limits, Room};

const LARGE: usize = 8 << 20;
const PATIENCE: Duration = Duration::from_secs(20);

async fn pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let one = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    one.set_nodelay(true).unwrap();
    (one, listener.accept().await.unwrap().0)
}

fn ledger(held: usize) -> Arc<Ledger> {
    Ledger::new(Room { connections: 1, per_source: 1, held }, Arc::new(Commons::alone()))
}

/// A relay between two ends, on a task of its own.
struct Wire {
    client: TcpStream,
    server: TcpStream,
    ended: tokio::task::JoinHandle<Result<(), Broken>>,
}

async fn wire(pipes: &Pipes, limits: Limits, ledger: &Arc<Ledger>) -> Wire {
    let ((client, near), (far, server)) = (pair().await, pair().await);
    let (pipes, mut ticket) = (pipes.clone(), ledger.admit(None).unwrap());
    let ended = tokio::spawn(async move {
        let mut deadline = Deadline::for_bytes(&limits);
        relay(&near, &far, &pipes, &mut deadline, &mut ticket).await
    });
    Wire { client, server, ended }
}

fn pattern(length: usize, seed: usize) -> Vec<u8> {
    (0..length).map(|at| u8::try_from((at * 31 + at / 251 + seed) % 251).unwrap()).collect()
}

async fn both_ways(pipes: &Pipes, sizes: [usize; 2]) {
    let Wire { client, server, ended } = wire(pipes, Limits::default(), &ledger(usize::MAX)).await;
    let [up, down] = [pattern(sizes[0], 1), pattern(sizes[1], 2)];
    let end = async |mut stream: TcpStream, to_send: Vec<u8>| {
        let (mut read, mut write) = stream.split();
        let mut came = Vec::new();
        let send = async {
            write.write_all(&to_send).await.unwrap();
            write.shutdown().await.unwrap();
        };
        let (_, read) = tokio::join!(send, read.read_to_end(&mut came));
        read.unwrap();
        came
    };
    let (at_client, at_server) = timeout(PATIENCE, async {
        tokio::join!(end(client, up.clone()), end(server, down.clone()))
    })
    .await
    .unwrap();
    assert!(at_server == up && at_client == down, "bytes differ for {sizes:?}");
    timeout(PATIENCE, ended).await.unwrap().unwrap().unwrap();
}

#[tokio::test]
async fn every_size_arrives_whole_both_ways_and_the_ends_too() {
    let pipes = Pipes::new(4);
    for sizes in [[0, 0], [1, 0], [MUCH_BYTES, MUCH_BYTES + 1], [LARGE, 3], [LARGE, LARGE]] {
        both_ways(&pipes, sizes).await;
    }
    assert_eq!(pipes.left(), 4, "every pipe went back");
}

#[tokio::test]
async fn without_a_pipe_to_spare_it_works_all_the_same() {
    both_ways(&Pipes::new(0), [LARGE, LARGE]).await;
}

#[tokio::test]
async fn a_pipe_is_held_only_while_there_is_much() {
    let pipes = Pipes::new(1);
    let Wire { mut client, mut server, ended } =
        wire(&pipes, Limits::default(), &ledger(usize::MAX)).await;
    let bytes = pattern(LARGE, 3);
    let mut came = vec![0; LARGE];
    let (sent, read) = tokio::join!(client.write_all(&bytes), server.read_exact(&mut came));
    sent.unwrap();
    read.unwrap();
    assert!(came == bytes);
    timeout(PATIENCE, async {
        while pipes.left() == 0 {
            tokio::task::yield_now().await;
        }
    })
    .await
    .expect("the connection is idle and holds a pipe");
    // Small talk needs none.
    for _ in 0..10 {
        client.write_all(b"ping").await.unwrap();
        server.read_exact(&mut came[..4]).await.unwrap();
        assert_eq!(pipes.left(), 1);
    }
    drop((client, server));
    let _ = timeout(PATIENCE, ended).await.unwrap();
}

#[tokio::test]
async fn a_slow_reader_stops_its_sender_and_costs_little() {
    let (pipes, ledger) = (Pipes::new(1), ledger(usize::MAX));
    let Wire { client, mut server, ended } = wire(&pipes, Limits::default(), &ledger).await;
    let mut sent = 0;
    let chunk = pattern(64 << 10, 4);
    // Until nobody takes any more.
    while let Ok(written) = timeout(Duration::from_millis(300), client.writable()).await {
        written.unwrap();
        sent += client.try_write(&chunk).unwrap_or(0);
        assert!(ledger.held() <= PIPE_BYTES + READ_BYTES, "{} bytes are held", ledger.held());
    }
    assert!(sent > 0);
    drop(client);
    let mut came = 0;
    let mut buffer = vec![0; 64 << 10];
    while let n @ 1.. = timeout(PATIENCE, server.read(&mut buffer)).await.unwrap().unwrap() {
        came += n;
    }
    assert_eq!(came, sent, "none is lost");
    drop(server);
    let _ = timeout(PATIENCE, ended).await.unwrap();
    assert_eq!(ledger.held(), 0);
}

#[tokio::test]
async fn silence_ends_it() {
    let limits = Limits { idle: Duration::from_millis(50), ..Limits::default() };
    let wire = wire(&Pipes::new(1), limits, &ledger(usize::MAX)).await;
    let ended = timeout(PATIENCE, wire.ended).await.unwrap().unwrap();
    assert!(matches!(ended, Err(Broken::Late(Late::Idle(_)))), "{ended:?}");
}

#[tokio::test]
async fn what_there_is_no_room_for_ends_it() {
    let room = crate::limits::CONNECTION_BYTES + 1024;
    let wire = wire(&Pipes::new(0), Limits::default(), &ledger(room)).await;
    let flood = pattern(LARGE, 5);
    let mut client = wire.client;
    let sending = tokio::spawn(async move { client.write_all(&flood).await });
    let ended = timeout(PATIENCE, wire.ended).await.unwrap().unwrap();
    assert!(matches!(ended, Err(Broken::Full(Full::Held(_)))), "{ended:?}");
    sending.abort();
}

/// What this thread has used of a processor, in nanoseconds.
fn processor() -> u64 {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    text.split(' ').next().unwrap().parse().unwrap()
}

/// Relays so much on a thread of its own, from and to others; returns what
/// that has used of a processor.
fn bulk(pipes: &Pipes, bytes: usize) -> u64 {
    use std::io::{Read as _, Write as _};
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let Wire { client, server, ended } =
            wire(pipes, Limits::default(), &ledger(usize::MAX)).await;
        let (mut client, mut server) = (client.into_std().unwrap(), server.into_std().unwrap());
        client.set_nonblocking(false).unwrap();
        server.set_nonblocking(false).unwrap();
        let sender = std::thread::spawn(move || {
            let chunk = pattern(256 << 10, 6);
            (0..bytes / chunk.len()).for_each(|_| client.write_all(&chunk).unwrap());
        });
        let reader = std::thread::spawn(move || {
            let mut chunk = vec![0; 256 << 10];
            while server.read(&mut chunk).unwrap() > 0 {}
        });
        let before = processor();
        timeout(PATIENCE, ended).await.unwrap().unwrap().unwrap();
        let used = processor() - before;
        sender.join().unwrap();
        reader.join().unwrap();
        used
    })
}

#[test]
fn splicing_costs_less_than_copying() {
    const BYTES: usize = 128 << 20;
    let (none, some) = (Pipes::new(0), Pipes::new(4));
    // By turns, and the least of each: what else the machine does only adds.
    let (mut copied, mut spliced) = (u64::MAX, u64::MAX);
    for _ in 0..5 {
        copied = copied.min(bulk(&none, BYTES));
        spliced = spliced.min(bulk(&some, BYTES));
    }
    #[expect(clippy::cast_precision_loss, reason = "for people")]
    let ratio = spliced as f64 / copied as f64;
    println!("processor time of a bulk transfer, spliced to copied: {ratio:.2}");
    assert!(spliced < copied + copied / 10, "{spliced} ns spliced, {copied} ns copied");
}
