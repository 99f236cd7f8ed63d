//! Names, asked of a server of our own.

use std::sync::{Arc, Mutex};

use super::*;

const KNOWN: &str = "remora-agent.remora.svc.cluster.local";

/// The labels of the question, as a name.
fn asked(question: &[u8]) -> String {
    let mut labels = Vec::new();
    let mut rest = &question[12..];
    while rest[0] != 0 {
        let (label, left) = rest[1..].split_at(rest[0].into());
        labels.push(std::str::from_utf8(label).unwrap());
        rest = left;
    }
    labels.join(".")
}

/// An answer with this code and these records, each of a type and with data.
fn answer(question: &[u8], code: u8, records: &[(u16, &[u8])]) -> Vec<u8> {
    let mut bytes = question.to_vec();
    (bytes[2], bytes[3]) = (0x81, 0x80 | code);
    bytes[7] = u8::try_from(records.len()).unwrap();
    for (kind, data) in records {
        // The name is a pointer to the question's.
        bytes.extend([0xc0, 12]);
        bytes.extend(kind.to_be_bytes());
        bytes.extend([0, 1, 0, 0, 0, 5]);
        bytes.extend(u16::try_from(data.len()).unwrap().to_be_bytes());
        bytes.extend(*data);
    }
    bytes
}

/// A server that answers as `answers` says, and the names it was asked for.
async fn server(
    answers: impl Fn(&str, &[u8]) -> Vec<Vec<u8>> + Send + 'static,
) -> (SocketAddr, Arc<Mutex<Vec<String>>>) {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let address = socket.local_addr().unwrap();
    let names = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&names);
    tokio::spawn(async move {
        let mut buffer = [0; 512];
        loop {
            let (length, from) = socket.recv_from(&mut buffer).await.unwrap();
            let question = &buffer[..length];
            let name = asked(question);
            for answer in answers(&name, question) {
                socket.send_to(&answer, from).await.unwrap();
            }
            seen.lock().unwrap().push(name);
        }
    });
    (address, names)
}

/// As a kubelet writes it.
fn conf(servers: &[SocketAddr]) -> Conf {
    let search = ["default.svc.cluster.local", "svc.cluster.local", "cluster.local"];
    Conf { servers: servers.to_vec(), search: search.map(str::to_owned).to_vec(), ndots: 5 }
}

fn known(name: &str, question: &[u8]) -> Vec<Vec<u8>> {
    let is_v4 = question[question.len() - 3] == 1;
    let alias: (u16, &[u8]) = (5, &[0xc0, 12]);
    vec![match (name == KNOWN, is_v4) {
        (true, true) => answer(question, 0, &[alias, (1, &[10, 1, 2, 3]), (1, &[10, 1, 2, 4])]),
        (true, false) => answer(question, 0, &[]),
        (false, _) => answer(question, 3, &[]),
    }]
}

#[tokio::test]
async fn a_services_name_is_found_by_the_search_list() {
    let (address, names) = server(known).await;
    let found = ask(&conf(&[address]), "remora-agent.remora.svc").await;
    assert_eq!(found, Ok(vec![[10, 1, 2, 3].into(), [10, 1, 2, 4].into()]));
    assert_eq!(names.lock().unwrap().last().map(String::as_str), Some(KNOWN));
}

#[tokio::test]
async fn a_name_with_ipv6_addresses_alone_is_found() {
    let ip: Ipv6Addr = "fd00::1".parse().unwrap();
    let (address, _) = server(move |_, question| {
        let is_v4 = question[question.len() - 3] == 1;
        let octets = ip.octets();
        let records: &[(u16, &[u8])] = if is_v4 { &[] } else { &[(28, &octets)] };
        vec![answer(question, 0, records)]
    })
    .await;
    assert_eq!(ask(&conf(&[address]), "agent.").await, Ok(vec![ip.into()]));
}

#[tokio::test]
async fn a_name_that_is_nobodys_is_named() {
    let (address, names) = server(known).await;
    let error = ask(&conf(&[address]), "other.svc").await.unwrap_err();
    assert_eq!(error, "other.svc cannot be looked up: there is no such name");
    assert_eq!(names.lock().unwrap().len(), 8, "four names in two families");
    let error = ask(&conf(&[]), "other.svc").await.unwrap_err();
    assert!(error.contains("no server is named"), "{error}");
}

#[tokio::test]
async fn a_server_that_fails_is_passed_over() {
    let (broken, _) = server(|_, question| vec![answer(question, 2, &[])]).await;
    let (good, _) = server(known).await;
    assert!(ask(&conf(&[broken, good]), "remora-agent.remora.svc").await.is_ok());
    let error = ask(&conf(&[broken]), "remora-agent.remora.svc").await.unwrap_err();
    assert!(error.contains(&format!("{broken} answers code 2")), "{error}");
}

#[tokio::test]
async fn answers_to_other_questions_are_not_listened_to() {
    let (address, _) = server(|name, question| {
        let stray = |at: usize| {
            let mut answer = answer(question, 0, &[(1, &[10, 6, 6, 6])]);
            answer[at] ^= 0x20;
            answer
        };
        // Another identifier, another name, and a question instead of an answer.
        let mut answers = vec![stray(0), stray(20), question.to_vec(), vec![], vec![0; 11]];
        answers[1][20] = b'!';
        answers.extend(known(name, question));
        answers
    })
    .await;
    let found = ask(&conf(&[address]), "remora-agent.remora.svc").await.unwrap();
    assert!(!found.contains(&[10, 6, 6, 6].into()), "{found:?}");
}

#[test]
fn no_answer_is_too_broken() {
    let question = message::question(7, KNOWN, Family::V4).unwrap();
    let whole = answer(&question, 0, &[(1, &[10, 1, 2, 3]), (5, b"\x03abc\0"), (1, &[1])]);
    assert_eq!(message::reply(&whole, &question), Some(Reply::Found(vec![[10, 1, 2, 3].into()])));
    for end in 0..whole.len() {
        message::reply(&whole[..end], &question);
        for value in [0, 1, 0x3f, 0x40, 0x80, 0xc0, 0xff] {
            let mut bent = whole.clone();
            bent[end] = value;
            message::reply(&bent, &question);
        }
    }
}

#[test]
fn only_names_are_asked_for() {
    for name in ["", "a..b", ".", &"a".repeat(64), &"a.".repeat(200)] {
        assert_eq!(message::question(7, name, Family::V4), None, "{name}");
    }
    assert!(message::question(7, &"a".repeat(63), Family::V6).is_some());
}
