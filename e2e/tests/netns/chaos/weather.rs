//! A proxy in front of the sidecar that cuts what passes anywhere and keeps
//! each piece for as long as it likes: late, in small pieces, and what one
//! connection sent first arrives after what another sent.

use std::{
    io::{Read as _, Write as _},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    thread,
    time::Duration,
};

use fastrand::Rng;
use remora_netns::Pod;

/// The longest that a piece is kept.
const LATEST_MS: u64 = 12;

/// Serves so many connections, then no more; clients reach it at the address.
pub(super) fn begin(pod: &Pod, to: SocketAddr, connections: usize, rng: &mut Rng) -> SocketAddr {
    let bound = pod.enter_network(|| TcpListener::bind("127.0.0.1:0"));
    let listener = bound.expect("the pod's network").expect("a port");
    let address = listener.local_addr().expect("an address");
    // Made here, as they belong into the pod's network.
    let ways: Vec<_> = (0..connections).filter_map(|_| pod.connect(to).ok()).collect();
    let seeds: Vec<_> = ways.iter().map(|_| (rng.u64(..), rng.u64(..))).collect();
    thread::spawn(move || {
        for (way, (up, down)) in ways.into_iter().zip(seeds) {
            let Ok((client, _)) = listener.accept() else { return };
            let (Ok(back), Ok(forth)) = (client.try_clone(), way.try_clone()) else { return };
            thread::spawn(move || pump(client, forth, Rng::with_seed(up)));
            thread::spawn(move || pump(way, back, Rng::with_seed(down)));
        }
    });
    address
}

fn pump(mut from: TcpStream, mut to: TcpStream, mut rng: Rng) {
    let mut chunk = [0; 256];
    while let Ok(length @ 1..) = from.read(&mut chunk) {
        let mut rest = &chunk[..length];
        while !rest.is_empty() {
            let (piece, more) = rest.split_at(rng.usize(1..=rest.len()));
            thread::sleep(Duration::from_millis(rng.u64(..LATEST_MS)));
            if to.write_all(piece).is_err() {
                return;
            }
            rest = more;
        }
    }
    let _ = to.shutdown(Shutdown::Write);
}
