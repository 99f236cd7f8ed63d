//! Tables of rule text.

use proptest::prelude::*;

use super::Redirection;
use crate::{Family, State};

const PRISTINE: &str = "\
-P PREROUTING ACCEPT
-P INPUT ACCEPT
-P OUTPUT ACCEPT
-P POSTROUTING ACCEPT
";

fn redirection() -> Redirection {
    Redirection {
        inbound_port: 16006,
        outbound_port: 16001,
        proxy_uid: 16006,
        skip_inbound_ports: vec![],
        skip_outbound_ports: vec![],
        skip_outbound_cidrs: vec![],
    }
}

/// What `-S` prints for one table of programmed ones, with these rules in a hook.
fn listing(table: &str, hook: &str, in_hook: &[&str]) -> String {
    let text = redirection().program(Family::V4, &State::parse(PRISTINE, PRISTINE));
    let (_, ours) = text.split_once(&format!("*{table}\n")).expect("the table");
    let (ours, _) = ours.split_once("COMMIT").expect("its end");
    let mut listing = PRISTINE.to_owned();
    for line in ours.lines() {
        if let Some((chain, _)) = line.strip_prefix(':').and_then(|line| line.split_once(' ')) {
            listing += &format!("-N {chain}\n");
        } else if let Some(jump) = line.strip_prefix("-I ") {
            let jump = format!("-A {}\n", jump.replacen(" 1 ", " ", 1));
            listing += if jump.starts_with(&format!("-A {hook} ")) { "" } else { &jump };
        } else {
            listing += &format!("{line}\n");
        }
    }
    listing + &in_hook.iter().map(|rule| format!("-A {hook} {rule}\n")).collect::<String>()
}

/// As it should be, in both tables.
fn good() -> [String; 2] {
    ["nat", "mangle"].map(|table| listing(table, "OUTPUT", &["-p tcp -j REMORA_OUTBOUND"]))
}

fn faults(nat: &str, mangle: &str) -> Vec<String> {
    redirection().faults(Family::V4, &State::parse(nat, mangle))
}

#[test]
fn pristine_tables_get_chains_and_jumps() {
    let skipping = Redirection {
        inbound_port: 15000,
        skip_inbound_ports: vec![9090.into(), "100-200".parse().expect("a range")],
        skip_outbound_ports: vec![5432.into()],
        skip_outbound_cidrs: ["10.9.0.0/16", "fd09::/32"].map(|it| it.parse().expect("it")).into(),
        ..redirection()
    };
    let text = "\
*nat
:REMORA_INBOUND - [0:0]
-A REMORA_INBOUND -i lo -j RETURN
-A REMORA_INBOUND -j CONNMARK --set-xmark 0x10000/0x10000
-A REMORA_INBOUND -p tcp -m tcp --dport 16000 -j RETURN
-A REMORA_INBOUND -p tcp -m tcp --dport 16020 -j RETURN
-A REMORA_INBOUND -p tcp -m tcp --dport 16021 -j RETURN
-A REMORA_INBOUND -p tcp -m tcp --dport 15000 -j RETURN
-A REMORA_INBOUND -p tcp -m tcp --dport 16001 -j RETURN
-A REMORA_INBOUND -p tcp -m tcp --dport 9090 -j RETURN
-A REMORA_INBOUND -p tcp -m tcp --dport 100:200 -j RETURN
-A REMORA_INBOUND -p tcp -j REDIRECT --to-ports 15000
-I PREROUTING 1 -p tcp -j REMORA_INBOUND
:REMORA_OUTBOUND - [0:0]
-A REMORA_OUTBOUND -o lo -j RETURN
-A REMORA_OUTBOUND -j CONNMARK --set-xmark 0x10000/0x10000
-A REMORA_OUTBOUND -m owner --uid-owner 16006 -j RETURN
-A REMORA_OUTBOUND -d 10.9.0.0/16 -j RETURN
-A REMORA_OUTBOUND -p tcp -m tcp --dport 5432 -j RETURN
-A REMORA_OUTBOUND -p tcp -j REDIRECT --to-ports 16001
-I OUTPUT 1 -p tcp -j REMORA_OUTBOUND
COMMIT
*mangle
:REMORA_INBOUND - [0:0]
-A REMORA_INBOUND -i lo -j RETURN
-A REMORA_INBOUND -m conntrack --ctstate INVALID -j DROP
-A REMORA_INBOUND -m conntrack --ctstate ESTABLISHED -m connmark ! --mark 0x10000/0x10000 -j DROP
-I PREROUTING 1 -p tcp -j REMORA_INBOUND
:REMORA_OUTBOUND - [0:0]
-A REMORA_OUTBOUND -o lo -j RETURN
-A REMORA_OUTBOUND -m conntrack --ctstate INVALID -j DROP
-A REMORA_OUTBOUND -m conntrack --ctstate ESTABLISHED -m connmark ! --mark 0x10000/0x10000 -j DROP
-I OUTPUT 1 -p tcp -j REMORA_OUTBOUND
COMMIT
";
    let state = State::parse(PRISTINE, PRISTINE);
    assert!(state.is_clean() && !state.has_a_chain());
    assert_eq!(state.cleanup(), None);
    assert_eq!(skipping.program(Family::V4, &state), text);
    let v6 = text.replace("10.9.0.0/16", "fd09::/32");
    assert_eq!(skipping.program(Family::V6, &state), v6);
    assert_eq!(faults(PRISTINE, PRISTINE).len(), 8, "four jumps and four chains");
}

#[test]
fn jumps_are_put_right() {
    let jump = "-p tcp -j REMORA_OUTBOUND";
    let narrow = "-o eth0 -p tcp -j REMORA_OUTBOUND";
    let table: [(&[&str], &[&str]); 6] = [
        (&[jump], &[]),
        (&[jump, "-j OTHER"], &[]),
        (&[], &["-I OUTPUT 1 -p tcp -j REMORA_OUTBOUND"]),
        (&["-j OTHER", jump], &["-D OUTPUT -p tcp -j REMORA_OUTBOUND", "-I"]),
        (&[jump, jump], &["-D OUTPUT -p tcp -j", "-D OUTPUT -p tcp -j", "-I"]),
        (&[jump, narrow], &["-D OUTPUT -p tcp", "-D OUTPUT -o eth0 -p tcp", "-I"]),
    ];
    for broken in ["nat", "mangle"] {
        for (before, changes) in table {
            let good = [jump];
            let [nat, mangle] = ["nat", "mangle"].map(|table| {
                listing(table, "OUTPUT", if table == broken { before } else { &good })
            });
            let state = State::parse(&nat, &mangle);
            let text = redirection().program(Family::V4, &state);
            let made: Vec<&str> = text.lines().filter(|line| line.contains(" OUTPUT")).collect();
            assert_eq!(made.len(), changes.len(), "{before:?}: {made:?}");
            assert!(made.iter().zip(changes).all(|(line, start)| line.starts_with(start)));
            let fault = format!("{broken}: OUTPUT does not go to REMORA_OUTBOUND first, and once");
            let expected: &[String] = if changes.is_empty() { &[] } else { &[fault] };
            assert_eq!(faults(&nat, &mangle), expected, "{before:?}");
        }
    }
}

#[test]
fn what_is_not_asked_for_is_named() {
    let [nat, mangle] = good();
    assert_eq!(faults(&nat, &mangle), [""; 0]);
    assert_eq!(faults(&nat.replace(" -m tcp", ""), &mangle), [""; 0]);
    let redirect = "-A REMORA_OUTBOUND -p tcp -j REDIRECT --to-ports";
    let owner = "-A REMORA_OUTBOUND -m owner --uid-owner 16006 -j RETURN\n";
    let invalid = "-A REMORA_INBOUND -m conntrack --ctstate INVALID -j DROP\n";
    for (from, to, says) in [
        (format!("{redirect} 16001"), format!("{redirect} 1"), "nat: lacks -A REMORA_OUTBOUND -p"),
        (format!("{redirect} 16001"), format!("{redirect} 1"), "--to-ports 1, which is not ours"),
        (owner.into(), String::new(), "nat: lacks -A REMORA_OUTBOUND -m owner --uid-owner 16006"),
        (owner.into(), owner.repeat(2), "nat: the rules of REMORA_OUTBOUND are doubled or out of"),
        (owner.into(), owner.replace("16006", "0"), "--uid-owner 0 -j RETURN, which is not ours"),
        (invalid.into(), String::new(), "mangle: lacks -A REMORA_INBOUND -m conntrack"),
    ] {
        let found = faults(&nat.replace(&from, &to), &mangle.replace(&from, &to));
        assert!(found.iter().any(|fault| fault.contains(says)), "{says}: {found:?}");
    }
    let missing = mangle.replace("REMORA_INBOUND", "OTHER");
    assert!(faults(&nat, &missing).contains(&"mangle: there is no chain REMORA_INBOUND".into()));
}

#[test]
fn cleanup_takes_all_of_ours_and_nothing_else() {
    let jump = "-p tcp -j REMORA_OUTBOUND";
    let state = State::parse(
        &listing("nat", "OUTPUT", &["-j OTHER", jump, jump]),
        &listing("mangle", "OUTPUT", &[jump]),
    );
    let text = "\
*mangle
-D PREROUTING -p tcp -j REMORA_INBOUND
-F REMORA_INBOUND
-X REMORA_INBOUND
-D OUTPUT -p tcp -j REMORA_OUTBOUND
-F REMORA_OUTBOUND
-X REMORA_OUTBOUND
COMMIT
*nat
-D PREROUTING -p tcp -j REMORA_INBOUND
-F REMORA_INBOUND
-X REMORA_INBOUND
-D OUTPUT -p tcp -j REMORA_OUTBOUND
-D OUTPUT -p tcp -j REMORA_OUTBOUND
-F REMORA_OUTBOUND
-X REMORA_OUTBOUND
COMMIT
";
    assert_eq!(state.cleanup().as_deref(), Some(text));
}

proptest! {
    #[test]
    fn any_listing_is_read(listing in "([-A-Z_ a-z0-9]{0,40}\n){0,8}") {
        let state = State::parse(&listing, &listing);
        prop_assert_eq!(state.is_clean(), state.cleanup().is_none());
        prop_assert_ne!(faults(&listing, &listing), [""; 0]);
    }
}
