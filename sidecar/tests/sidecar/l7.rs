//! Decisions on requests, and what becomes of the connections around them.

use std::fmt::Write as _;

use tokio::io::AsyncWriteExt as _;

use crate::support::{CLIENT, Kind, LineServer, Pod, l4, l7, policy, until};

#[tokio::test]
async fn requests_are_judged_one_by_one_and_answered_in_order() {
    let app = LineServer::start().await;
    let port = app.address.port();
    let pod = Pod::ready(app.address, vec![l7(port, CLIENT, &["hello", "tea"])]).await;
    let mut client = pod.connect().await;
    client.send("hello\nbye\nrum\ntea\nbye\n").await;
    client.expect("ok hello\ndenied\ndenied\nok tea\ndenied\n").await;
    // Drop by drop it is the same.
    for byte in "tea\nrum\n".chars() {
        client.send(&byte.to_string()).await;
    }
    client.expect("ok tea\ndenied\n").await;
    assert_eq!(app.received(), "hello\ntea\ntea\n");

    drop(client);
    let log = pod.stop_and_read_log().await;
    let told: Vec<_> = log
        .iter()
        .map(|line| {
            let rule = line["rule"].as_str().unwrap_or("-");
            format!("{} {} {rule}", line["verdict"], line["fields"]["word"])
        })
        .collect();
    let path = "default/line ingress[0].toPorts[0].l7";
    let expected = [
        format!("\"FORWARDED\" \"hello\" {path}[0]"),
        "\"DROPPED\" \"bye\" -".to_owned(),
        "\"DROPPED\" \"rum\" -".to_owned(),
        format!("\"FORWARDED\" \"tea\" {path}[1]"),
        "\"DROPPED\" \"bye\" -".to_owned(),
        format!("\"FORWARDED\" \"tea\" {path}[1]"),
        "\"DROPPED\" \"rum\" -".to_owned(),
    ];
    assert_eq!(told, expected, "one line for each request, in order");
}

#[tokio::test]
async fn an_open_connection_is_judged_by_the_newest_policy() {
    let app = LineServer::start().await;
    let port = app.address.port();
    let mut pod = Pod::ready(app.address, vec![l7(port, CLIENT, &["hello"])]).await;
    let mut client = pod.connect().await;
    client.send("hello\n").await;
    client.expect("ok hello\n").await;
    for version in 2..20 {
        let (word, other) = if version % 2 == 0 { ("bye", "hello") } else { ("hello", "bye") };
        let version = version.to_string();
        pod.agent.policy(&version, &policy(vec![l7(port, CLIENT, &[word])]));
        pod.agent.acked(Kind::Policies, &version).await;
        client.send(&format!("{word}\n{other}\n")).await;
        client.expect(&format!("ok {word}\ndenied\n")).await;
    }
}

#[tokio::test]
async fn where_policy_stops_admitting_the_peer_its_requests_are_denied() {
    let app = LineServer::start().await;
    let port = app.address.port();
    for changed in [vec![], vec![l7(port, 2002, &["hello"])], vec![l4(port, 2002)]] {
        let mut pod = Pod::ready(app.address, vec![l7(port, CLIENT, &["hello"])]).await;
        let mut client = pod.connect().await;
        client.send("hello\n").await;
        client.expect("ok hello\n").await;
        pod.agent.policy("2", &policy(changed));
        pod.agent.acked(Kind::Policies, "2").await;
        client.send("hello\n").await;
        client.expect("denied\n").await;
    }
}

#[tokio::test]
async fn a_parsers_panic_costs_its_own_connection_among_200() {
    let app = LineServer::start().await;
    let pod = Pod::ready(app.address, vec![l7(app.address.port(), CLIENT, &["hello"])]).await;
    let mut clients = Vec::new();
    for _ in 0..200 {
        let mut client = pod.connect().await;
        client.send("hello\n").await;
        client.expect("ok hello\n").await;
        clients.push(client);
    }
    let mut victim = clients.swap_remove(77);
    victim.send("magic\n").await;
    victim.expect_reset().await;
    for client in &mut clients {
        client.send("hello\nbye\n").await;
        client.expect("ok hello\ndenied\n").await;
    }
    drop(clients);
    let log = pod.stop_and_read_log().await;
    let broken: Vec<_> = log.iter().filter(|line| line["verdict"] == "ERROR").collect();
    assert_eq!(broken.len(), 1, "{broken:?}");
    assert_eq!(broken[0]["reason"], "Panic: the magic word");
    assert_eq!(broken[0]["error"], "internal-panic");
}

#[tokio::test]
async fn half_closes_pass_once_everything_before_them_has() {
    let app = LineServer::start().await;
    let pod = Pod::ready(app.address, vec![l7(app.address.port(), CLIENT, &["hello"])]).await;
    let mut client = pod.connect().await;
    client.send("hello\nbye\nhello\n").await;
    client.end().await;
    let (bytes, end) = client.rest().await;
    assert_eq!(bytes, "ok hello\ndenied\nok hello\n");
    end.unwrap();
    until("the app to see the end", || async { app.ended() == 1 }).await;
    let log = pod.stop_and_read_log().await;
    assert!(log.iter().all(|line| line["verdict"] != "ERROR"), "{log:?}");
}

#[tokio::test]
async fn a_request_that_ends_in_its_middle_is_not_passed_on() {
    let app = LineServer::start().await;
    let mut pod = Pod::ready(app.address, vec![l7(app.address.port(), CLIENT, &["hello"])]).await;
    let mut client = pod.connect().await;
    client.send("hel").await;
    client.end().await;
    assert_eq!(client.rest().await.0, "");
    assert_eq!(pod.line().await["error"], "client-protocol");
    assert_eq!(app.received(), "");
}

#[tokio::test]
async fn replies_from_before_an_error_are_not_lost() {
    let app = LineServer::start().await;
    let mut pod = Pod::ready(app.address, vec![l7(app.address.port(), CLIENT, &["hello"])]).await;
    let mut client = pod.connect().await;
    // So much follows that most of it is still unread when the error is found,
    // which a plain close would answer with a reset.
    let bytes = format!("bye\nbye\ngarbage\n{}", "hello\n".repeat(1_000_000));
    client.0.write_all(bytes.as_bytes()).await.expect("no reset while bytes are on their way");
    let (bytes, end) = client.rest().await;
    assert_eq!(bytes, "denied\ndenied\n");
    end.unwrap();
    for verdict in ["DROPPED", "DROPPED", "ERROR"] {
        assert_eq!(pod.line().await["verdict"], verdict);
    }
    assert_eq!(app.received(), "");
}

#[tokio::test]
async fn a_server_that_speaks_first_is_not_heard() {
    let app = LineServer::greeting(b"220 welcome\n").await;
    let mut pod = Pod::ready(app.address, vec![l7(app.address.port(), CLIENT, &["hello"])]).await;
    let mut client = pod.connect().await;
    assert_eq!(client.rest().await.0, "");
    assert_eq!(pod.line().await["error"], "server-protocol");
}

#[tokio::test]
async fn ten_thousand_pipelined_requests_keep_their_order() {
    let app = LineServer::start().await;
    let pod = Pod::ready(app.address, vec![l7(app.address.port(), CLIENT, &["hello"])]).await;
    let client = pod.connect().await;
    let (requests, replies) = (0..10_000).fold((String::new(), String::new()), |mut both, n| {
        let _ = write!(both.0, "{}", if n % 3 == 0 { "bye\n" } else { "hello\n" });
        let _ = write!(both.1, "{}", if n % 3 == 0 { "denied\n" } else { "ok hello\n" });
        both
    });
    let (mut reader, mut writer) = client.0.into_split();
    let sent = tokio::spawn(async move {
        writer.write_all(requests.as_bytes()).await.unwrap();
        writer
    });
    let mut received = vec![0; replies.len()];
    let read = tokio::io::AsyncReadExt::read_exact(&mut reader, &mut received);
    crate::support::within("all replies", read).await.unwrap();
    assert!(received == replies.as_bytes(), "replies out of order");
    drop(sent.await.unwrap());
}

#[tokio::test]
async fn a_request_is_one_line_of_log_whatever_it_holds() {
    let app = LineServer::start().await;
    let mut pod = Pod::ready(app.address, vec![l7(app.address.port(), CLIENT, &["hello"])]).await;
    let mut client = pod.connect().await;
    let word = "\"}\r{\"verdict\":\"FORWARDED\"\u{1b}[2J\u{202e}\u{85}\0";
    client.send(&format!("{word}\n{}\n", "k".repeat(5000))).await;
    client.expect("denied\ndenied\n").await;
    let line = pod.line().await;
    assert_eq!((&line["verdict"], &line["fields"]["word"]), (&"DROPPED".into(), &word.into()));
    let line = pod.line().await;
    assert_eq!(
        (line["fields"]["word"].as_str().unwrap().len(), &line["truncated"]),
        (256, &true.into())
    );
}

#[tokio::test]
async fn a_server_that_does_not_read_stops_its_client_too() {
    const OFFERED: usize = 128 << 20;
    // Connections to it are made, but nobody ever takes them.
    let app = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = app.local_addr().unwrap();
    let pod = Pod::ready(address, vec![l7(address.port(), CLIENT, &[])]).await;
    let client = pod.connect().await.0;
    let request = format!("{}\n", "k".repeat(8191));
    let mut taken = 0;
    let stalled = std::time::Duration::from_millis(300);
    while taken < OFFERED && tokio::time::timeout(stalled, client.writable()).await.is_ok() {
        taken += client.try_write(request.as_bytes()).unwrap_or_default();
    }
    // What two connections' socket buffers hold, not what was offered.
    assert!(taken < OFFERED / 2, "{taken} bytes were taken");
}
