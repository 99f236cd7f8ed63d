//! Tables of rule text.

use proptest::prelude::*;

use super::{Redirection, State};

const PRISTINE: &str = "\
-P PREROUTING ACCEPT
-P INPUT ACCEPT
-P OUTPUT ACCEPT
-P POSTROUTING ACCEPT
";

fn redirection() -> Redirection {
    Redirection { inbound_port: 16006, excluded_ports: vec![] }
}

/// A listing with these rules in PREROUTING, and our chain as it should be.
fn listing(jumps: &[&str]) -> String {
    let prerouting: String = jumps.iter().map(|jump| format!("-A PREROUTING {jump}\n")).collect();
    format!("{PRISTINE}-N REMORA_INBOUND\n{prerouting}{}\n", redirection().rules().join("\n"))
}

#[test]
fn a_pristine_table_gets_chain_and_jump() {
    let excluding = Redirection { inbound_port: 15000, excluded_ports: vec![9090, 22] };
    let text = "\
*nat
:REMORA_INBOUND - [0:0]
-A REMORA_INBOUND -i lo -j RETURN
-A REMORA_INBOUND -p tcp -m tcp --dport 16000 -j RETURN
-A REMORA_INBOUND -p tcp -m tcp --dport 16001 -j RETURN
-A REMORA_INBOUND -p tcp -m tcp --dport 16020 -j RETURN
-A REMORA_INBOUND -p tcp -m tcp --dport 16021 -j RETURN
-A REMORA_INBOUND -p tcp -m tcp --dport 15000 -j RETURN
-A REMORA_INBOUND -p tcp -m tcp --dport 9090 -j RETURN
-A REMORA_INBOUND -p tcp -m tcp --dport 22 -j RETURN
-A REMORA_INBOUND -p tcp -j REDIRECT --to-ports 15000
-I PREROUTING 1 -p tcp -j REMORA_INBOUND
COMMIT
";
    let state = State::parse(PRISTINE);
    assert!(state.is_clean());
    assert_eq!(state.cleanup(), None);
    assert_eq!(excluding.program(&state), text);
    assert!(!excluding.is_in(&state));
}

#[test]
fn jumps_are_put_right() {
    let jump = "-p tcp -j REMORA_INBOUND";
    let narrow = "-i eth0 -p tcp -j REMORA_INBOUND";
    let table: [(&[&str], &[&str]); 6] = [
        (&[jump], &[]),
        (&[jump, "-j OTHER"], &[]),
        (&[], &["-I PREROUTING 1 -p tcp -j REMORA_INBOUND"]),
        (&["-j OTHER", jump], &["-D PREROUTING -p tcp -j REMORA_INBOUND", "-I"]),
        (&[jump, jump], &["-D PREROUTING -p tcp -j", "-D PREROUTING -p tcp -j", "-I"]),
        (&[jump, narrow], &["-D PREROUTING -p tcp", "-D PREROUTING -i eth0 -p tcp", "-I"]),
    ];
    for (before, changes) in table {
        let state = State::parse(&listing(before));
        let text = redirection().program(&state);
        let made: Vec<&str> = text.lines().filter(|line| line.contains("PREROUTING")).collect();
        assert_eq!(made.len(), changes.len(), "{before:?}: {made:?}");
        assert!(made.iter().zip(changes).all(|(line, start)| line.starts_with(start)), "{made:?}");
        assert_eq!(redirection().is_in(&state), changes.is_empty(), "{before:?}");
    }
}

#[test]
fn what_is_not_asked_for_is_noticed() {
    let good = listing(&["-p tcp -j REMORA_INBOUND"]);
    assert!(redirection().is_in(&State::parse(&good)));
    assert!(redirection().is_in(&State::parse(&good.replace(" -m tcp", ""))));
    for (from, to) in [
        ("--to-ports 16006", "--to-ports 16007"),
        ("-A REMORA_INBOUND -i lo -j RETURN\n", ""),
        ("-i lo -j RETURN", "-j RETURN"),
    ] {
        assert!(!redirection().is_in(&State::parse(&good.replace(from, to))), "{to}");
    }
}

#[test]
fn cleanup_takes_all_of_ours_and_nothing_else() {
    let jump = "-p tcp -j REMORA_INBOUND";
    let state = State::parse(&listing(&["-j OTHER", jump, jump]));
    let text = "\
*nat
-D PREROUTING -p tcp -j REMORA_INBOUND
-D PREROUTING -p tcp -j REMORA_INBOUND
-F REMORA_INBOUND
-X REMORA_INBOUND
COMMIT
";
    assert_eq!(state.cleanup().as_deref(), Some(text));
}

proptest! {
    #[test]
    fn any_listing_is_read(listing in "([-A-Z_ a-z0-9]{0,40}\n){0,8}") {
        let state = State::parse(&listing);
        prop_assert_eq!(state.is_clean(), state.cleanup().is_none());
    }
}
