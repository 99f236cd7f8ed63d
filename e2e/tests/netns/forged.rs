//! Threats row 90: a client that writes another's address into its packets.

use std::{
    net::{Ipv4Addr, SocketAddr, SocketAddrV4},
    os::fd::OwnedFd,
};

use remora_netns::Pod;
use rustix::net::{AddressFamily, Protocol, RecvFlags, SendFlags, SocketType, ipproto, sockopt};
use serde_json::json;

use crate::stage::{Answer, MEMCACHED, PATIENCE, POLICY, Stage, ask, stat};

/// The port that the forger claims to come from.
const CLAIMED: u16 = 40_000;

const SYN: u8 = 0x02;
const PUSH: u8 = 0x08;
const ACK: u8 = 0x10;

/// How many acknowledgements the forger guesses, of four thousand million.
const GUESSES: u32 = 1000;

/// The server's answer goes to whom the address belongs; who forged it never
/// learns the number that would open the connection.
#[test]
fn a_forged_source_address_opens_no_connection() {
    let stage = Stage::set();
    stage.write_policy("cache.yaml", POLICY);
    let (owner, forger) =
        (stage.client("owner", &json!({"role": "client"})), stage.client("forger", &json!({})));
    let cache = stage.cache(&[]);
    let server = SocketAddrV4::new(cache.ipv4(), MEMCACHED);
    let miss = Answer::Text("END\r\n".to_owned());
    assert_eq!(ask(&owner, server.into(), "get pub:a\r\n"), miss, "the owner may ask");
    assert_eq!(ask(&forger, server.into(), "get pub:a\r\n"), Answer::Reset, "the forger may not");

    let before = (stat(&cache, "total_connections"), stat(&cache, "cmd_get"));
    let claimed = SocketAddrV4::new(owner.ipv4(), CLAIMED);
    let (heard, wire) = (raw(&owner, ipproto::TCP), raw(&forger, ipproto::RAW));
    send(&wire, &packet(claimed, server, SYN, (1, 0), b""), server);
    let answer = answer_to(&heard, claimed, *server.ip());
    assert_eq!(answer & (SYN | ACK), SYN | ACK, "the server answers the address's owner");
    for guess in 0..GUESSES {
        let number = guess.wrapping_mul(u32::MAX / GUESSES);
        let flags = ACK | PUSH;
        send(&wire, &packet(claimed, server, flags, (2, number), b"get pub:a\r\n"), server);
    }
    // The owner still gets through, after everything that was forged.
    assert_eq!(ask(&owner, server.into(), "get pub:a\r\n"), miss);
    let after = (stat(&cache, "total_connections"), stat(&cache, "cmd_get"));
    assert_eq!(
        (after.0 - before.0, after.1 - before.1),
        (3, 1),
        "the owner's connection and two that count; the owner's request"
    );
}

fn raw(pod: &Pod, protocol: Protocol) -> OwnedFd {
    let open = || {
        let socket = rustix::net::socket(AddressFamily::INET, SocketType::RAW, Some(protocol))?;
        sockopt::set_socket_timeout(&socket, sockopt::Timeout::Recv, Some(PATIENCE))?;
        Ok::<_, rustix::io::Errno>(socket)
    };
    pod.enter_network(open).expect("the pod's network").expect("a raw socket")
}

fn send(wire: &OwnedFd, packet: &[u8], to: SocketAddrV4) {
    let to = SocketAddr::V4(SocketAddrV4::new(*to.ip(), 0));
    let sent = rustix::net::sendto(wire, packet, SendFlags::empty(), &to);
    assert_eq!(sent.expect("sent"), packet.len());
}

/// The flags of the next segment from the server to this address.
fn answer_to(heard: &OwnedFd, to: SocketAddrV4, server: Ipv4Addr) -> u8 {
    let mut packet = [0; 1500];
    loop {
        let (length, _) = rustix::net::recv(heard, &mut packet[..], RecvFlags::empty())
            .expect("an answer of the server at the address's owner");
        let header = usize::from(packet[0] & 0x0f) * 4;
        let segment = &packet[header..length];
        let is_meant = packet[12..16] == server.octets()
            && segment[..2] == MEMCACHED.to_be_bytes()
            && segment[2..4] == to.port().to_be_bytes();
        if is_meant {
            return segment[13];
        }
    }
}

/// An IPv4 packet with one TCP segment: RFC 791 and RFC 9293. The kernel fills
/// in the length and the checksum of the outer header.
fn packet(
    from: SocketAddrV4,
    to: SocketAddrV4,
    flags: u8,
    (sequence, acknowledged): (u32, u32),
    data: &[u8],
) -> Vec<u8> {
    let mut segment = Vec::new();
    segment.extend(from.port().to_be_bytes());
    segment.extend(to.port().to_be_bytes());
    segment.extend(sequence.to_be_bytes());
    segment.extend(acknowledged.to_be_bytes());
    segment.extend([5 << 4, flags]);
    segment.extend(u16::MAX.to_be_bytes());
    segment.extend([0; 4]);
    segment.extend(data);
    let sum = checksum(from, to, &segment);
    segment[16..18].copy_from_slice(&sum.to_be_bytes());
    let mut packet = vec![0x45, 0, 0, 0, 0, 0, 0, 0, 64, 6, 0, 0];
    packet.extend(from.ip().octets());
    packet.extend(to.ip().octets());
    packet.extend(segment);
    packet
}

fn checksum(from: SocketAddrV4, to: SocketAddrV4, segment: &[u8]) -> u16 {
    let length = u16::try_from(segment.len()).expect("a short segment").to_be_bytes();
    let pseudo = [&from.ip().octets()[..], &to.ip().octets(), &[0, 6], &length, segment].concat();
    let words = pseudo.chunks(2).map(|pair| {
        u32::from(u16::from_be_bytes([pair[0], pair.get(1).copied().unwrap_or_default()]))
    });
    let sum: u32 = words.sum();
    let folded = (sum & 0xffff) + (sum >> 16);
    !u16::try_from((folded & 0xffff) + (folded >> 16)).expect("sixteen bits")
}
