//! What a request costs: allocations, and how it compares with no proxy.

use std::{
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    thread,
};

use tokio::sync::oneshot;

use crate::support::{CLIENT, Kind, Pod, hosts, l4, l7, policy};

const REQUEST: &[u8] = b"hello\n";
const REPLY: &[u8] = b"ok hello\n";

/// A server on threads of its own, so that what it costs is not counted.
fn server() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for stream in listener.incoming() {
            thread::spawn(move || answer(stream.unwrap()));
        }
    });
    address
}

fn answer(mut stream: TcpStream) {
    stream.set_nodelay(true).unwrap();
    let mut request = [0; REQUEST.len()];
    while stream.read_exact(&mut request).is_ok() {
        if stream.write_all(REPLY).is_err() {
            return;
        }
    }
}

/// One request after the other, on a thread of its own.
async fn ask(mut stream: TcpStream, requests: usize) -> TcpStream {
    let (done, end) = oneshot::channel();
    thread::spawn(move || {
        let mut reply = [0; REPLY.len()];
        for _ in 0..requests {
            stream.write_all(REQUEST).unwrap();
            stream.read_exact(&mut reply).unwrap();
            assert_eq!(reply, REPLY);
        }
        let _ = done.send(stream);
    });
    end.await.unwrap()
}

#[test]
fn a_small_request_allocates_nothing() {
    const WARM: usize = 500;
    const REQUESTS: usize = 2000;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    for is_l7 in [false, true] {
        let app = server();
        let rule = if is_l7 { l7(app.port(), CLIENT, &["hello"]) } else { l4(app.port(), CLIENT) };
        let (pod, stream) = runtime.block_on(async {
            let mut pod = Pod::start(app).await;
            pod.agent.policy("1", &policy(vec![rule]));
            pod.agent.hosts("1", &hosts(CLIENT));
            pod.agent.acked(Kind::Policies, "1").await;
            let stream = TcpStream::connect(pod.addresses.inbound).unwrap();
            stream.set_nodelay(true).unwrap();
            (pod, ask(stream, WARM).await)
        });
        let measured = allocation_counter::measure(|| {
            runtime.block_on(async { drop(ask(stream, REQUESTS).await) });
        });
        println!("{} allocations in {REQUESTS} requests, L7: {is_l7}", measured.count_total);
        // What is left is the test's own, and what the runtime does now and then.
        assert!(measured.count_total < 100, "{measured:?}, L7: {is_l7}");
        drop(pod);
    }
}
