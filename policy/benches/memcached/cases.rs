//! Requests and their replies, as a server would give them.

use remora_parsers::memcache;

use crate::judge::DENIED;

/// One request, or a batch, and what comes back.
pub(crate) struct Case {
    pub(crate) name: &'static str,
    pub(crate) request: Vec<u8>,
    /// The request comes in pieces of so many bytes.
    pub(crate) piece: usize,
    /// The server's, or ours where it is denied.
    pub(crate) reply: Vec<u8>,
    pub(crate) allowed: bool,
}

const SMALL: &[u8] = b"0123456789";

/// A value of 100 KB.
fn large() -> Vec<u8> {
    vec![b'v'; 100_000]
}

/// Each makes its case about a key.
pub(crate) fn cases() -> [fn(&str) -> Case; 13] {
    [
        |key| get("get", &[key], SMALL),
        |key| set("set of 10 bytes", key, SMALL),
        |key| hundred("get of 100 keys", key),
        |key| get("get of 100 KB", &[key], &large()),
        |key| set("set of 100 KB", key, &large()),
        |key| Case { name: "get, a byte at a time", piece: 1, ..get("", &[key], SMALL) },
        |_| denied_get(),
        |key| {
            case(
                "meta get",
                format!("mg {key} v\r\n").into(),
                [b"VA 10\r\n", SMALL, b"\r\n"].concat(),
            )
        },
        |key| {
            case(
                "binary get",
                frame(0x80, 0x00, &[], key, &[]),
                frame(0x81, 0x00, &[0; 4], "", SMALL),
            )
        },
        |key| binary_set("binary set of 10 bytes", key, SMALL),
        |key| quiet_gets("binary, 100 quiet gets and a no-op", key),
        |key| binary_set("binary set of 100 KB", key, &large()),
        |key| Case {
            name: "binary set of 10 bytes, a byte at a time",
            piece: 1,
            ..binary_set("", key, SMALL)
        },
    ]
}

fn case(name: &'static str, request: Vec<u8>, reply: Vec<u8>) -> Case {
    Case { name, piece: request.len(), request, reply, allowed: true }
}

fn get(name: &'static str, keys: &[&str], value: &[u8]) -> Case {
    let hit = |key: &&str| {
        let head = format!("VALUE {key} 0 {}\r\n", value.len());
        [head.as_bytes(), value, b"\r\n"].concat()
    };
    let mut reply: Vec<u8> = keys.iter().flat_map(hit).collect();
    reply.extend_from_slice(b"END\r\n");
    case(name, format!("get {}\r\n", keys.join(" ")).into(), reply)
}

/// A hundred keys that begin alike.
fn hundred(name: &'static str, key: &str) -> Case {
    let keys: Vec<_> = (0..100).map(|n| format!("{key}{n:02}")).collect();
    get(name, &keys.iter().map(String::as_str).collect::<Vec<_>>(), SMALL)
}

fn denied_get() -> Case {
    let request = format!("get {DENIED}\r\n").into_bytes();
    Case { allowed: false, ..case("get that no rule allows", request, memcache::DENIED.to_vec()) }
}

fn set(name: &'static str, key: &str, value: &[u8]) -> Case {
    let head = format!("set {key} 0 0 {}\r\n", value.len());
    case(name, [head.as_bytes(), value, b"\r\n"].concat(), b"STORED\r\n".to_vec())
}

fn binary_set(name: &'static str, key: &str, value: &[u8]) -> Case {
    case(name, frame(0x80, 0x01, &[0; 8], key, value), frame(0x81, 0x01, &[], "", &[]))
}

fn quiet_gets(name: &'static str, key: &str) -> Case {
    let mut request = frame(0x80, 0x09, &[], key, &[]).repeat(100);
    request.extend(frame(0x80, 0x0a, &[], "", &[]));
    let mut reply = frame(0x81, 0x09, &[0; 4], "", SMALL).repeat(100);
    reply.extend(frame(0x81, 0x0a, &[], "", &[]));
    case(name, request, reply)
}

/// protocol-binary.txt, "Packet Structure".
fn frame(magic: u8, opcode: u8, extras: &[u8], key: &str, value: &[u8]) -> Vec<u8> {
    let key_length = u16::try_from(key.len()).expect("short").to_be_bytes();
    let body = u32::try_from(extras.len() + key.len() + value.len()).expect("short").to_be_bytes();
    let extras_length = u8::try_from(extras.len()).expect("short");
    let mut frame = vec![magic, opcode];
    frame.extend(key_length);
    frame.extend([extras_length, 0, 0, 0]);
    frame.extend(body);
    frame.extend([0; 12]);
    frame.extend(extras);
    frame.extend(key.as_bytes());
    frame.extend(value);
    frame
}
