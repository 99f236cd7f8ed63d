//! Connections that are older than the rules (threats row 98).

use std::{io::ErrorKind, io::Read as _, io::Write as _, net::TcpStream, time::Duration};

use remora_netns::Pod;
use serde_json::json;

use super::{packets, privileges::init};
use crate::egress::addresses;
use crate::stage::{Answer, Stage, ask, eventually, exchange, miss, stat};

fn redirects(pod: &Pod) {
    let output = pod.netns_exec(&[&init()]).expect("it runs");
    assert_eq!(output.code, 0, "{}", output.stderr);
}

/// In a pod nothing has tracked connections before the rules: the next packet
/// is the first of one, and goes to a sidecar that knows nothing of it.
#[test]
fn an_older_connection_is_reset() {
    let stage = Stage::set();
    let (server, client) = (stage.server("server"), stage.client("client", &json!({})));
    for address in addresses(&server) {
        let mut out = client.connect(address).expect("connected");
        assert_eq!(exchange(&mut out, "get a\r\n"), miss());
        redirects(&client);
        assert_eq!(exchange(&mut out, "get a\r\n"), Answer::Reset, "{address}");
        assert_eq!(ask(&client, address, "get a\r\n"), Answer::Refused, "there is no sidecar");
        let cleanup = client.netns_exec(&[&init(), "cleanup"]).expect("it runs");
        assert_eq!(cleanup.code, 0, "{}", cleanup.stderr);
    }
    // The same of what comes in.
    let mut inward = client.connect(addresses(&server)[0]).expect("connected");
    assert_eq!(exchange(&mut inward, "get a\r\n"), miss());
    redirects(&server);
    assert_eq!(exchange(&mut inward, "get a\r\n"), Answer::Reset);
}

/// Where something has, `nat` takes no notice of the connection any more.
#[test]
fn an_older_connection_that_is_tracked_is_cut() {
    let stage = Stage::set();
    let (server, client) = (stage.server("server"), stage.client("client", &json!({})));
    let track =
        ["iptables", "-A", "OUTPUT", "-m", "conntrack", "--ctstate", "ESTABLISHED", "-j", "ACCEPT"];
    for (redirected, chain) in [(&client, "REMORA_OUTBOUND"), (&server, "REMORA_INBOUND")] {
        assert_eq!(redirected.netns_exec(&track).expect("it runs").code, 0);
        let mut older = client.connect(addresses(&server)[0]).expect("connected");
        assert_eq!(exchange(&mut older, "get a\r\n"), miss());
        let before = stat(&server, "cmd_get");

        redirects(redirected);
        older.write_all(b"get a\r\n").expect("the kernel takes it");
        let dropped = || packets(redirected, "mangle", chain, "ESTABLISHED");
        eventually("it is dropped", || dropped() > 0);
        assert_eq!(stat(&server, "cmd_get"), before);
        assert!(is_silent(&mut older));
        let cleanup = redirected.netns_exec(&[&init(), "cleanup"]).expect("it runs");
        assert_eq!(cleanup.code, 0, "{}", cleanup.stderr);
        // It was about those alone that were there before.
        assert_eq!(ask(&client, addresses(&server)[0], "get a\r\n"), miss());
    }
}

/// Whether nothing has come.
fn is_silent(stream: &mut TcpStream) -> bool {
    stream.set_read_timeout(Some(Duration::from_millis(1))).expect("a timeout");
    let error = stream.read(&mut [0]).expect_err("nothing can come");
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut)
}
