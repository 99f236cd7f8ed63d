//! A decision costs as much among ten thousand rules as among ten, whatever
//! the rules are made of. Times are printed (`--nocapture`), their ratios are
//! asserted, and so is the memory that a slice takes.

mod clock;
mod expressions;
mod footprint;
mod rules;

use std::sync::Mutex;

use remora_parsers::{Field, Request, Value, Words};
use remora_policy::{Slice, TrafficDirection};

use clock::compare;
use rules::{FEW, MANY, PORT};

/// How much longer a decision may take among many rules.
const GROWTH: f64 = 2.0;

/// Whoever measures, measures alone.
static ALONE: Mutex<()> = Mutex::new(());

/// Asks for keys, as `get` does.
fn get(slice: &Slice, peer: u32, keys: &str) -> bool {
    get_at(slice, PORT, peer, keys)
}

fn get_at(slice: &Slice, port: u16, peer: u32, keys: &str) -> bool {
    let fields = [
        Field { name: "command", value: Value::One(b"get") },
        Field { name: "key", value: Value::Words(Words::new(keys.as_bytes())) },
        Field { name: "protocol", value: Value::One(b"text") },
    ];
    let request = Request::new(&fields);
    slice.request(TrafficDirection::Ingress, port, Some(peer), "memcache", &request).is_forwarded()
}

/// Times the same question to few rules and to many, and holds the ratio.
fn flat(what: &str, few: impl Fn() -> bool, many: impl Fn() -> bool, expected: bool) {
    let (few, many) = compare(
        || assert_eq!(few(), expected, "{what}, few"),
        || assert_eq!(many(), expected, "{what}, many"),
    );
    let ratio = many / few;
    println!("{what}: {few:.0} ns, then {many:.0} ns: {ratio:.2} times");
    assert!(ratio <= GROWTH, "{what}: {few:.0} ns became {many:.0} ns");
}

#[test]
fn decisions_are_flat_in_the_number_of_rules() {
    let _alone = ALONE.lock();
    for kind in &rules::KINDS {
        let (few, many) = (kind.slice(FEW), kind.slice(MANY));
        for (what, few_keys, many_keys, allowed) in [
            ("the first rule allows", kind.key(0), kind.key(0), true),
            ("the last rule allows", kind.key(FEW - 1), kind.key(MANY - 1), true),
            ("no rule allows", "team-99999-/k".to_owned(), "team-99999-/k".to_owned(), false),
            ("no rule allows what is like none", "x".to_owned(), "x".to_owned(), false),
            (
                "the last rule allows 100 keys",
                kind.keys(FEW - 1, 100),
                kind.keys(MANY - 1, 100),
                true,
            ),
            (
                "of 100 keys no rule allows the last",
                format!("{} x", kind.keys(FEW - 1, 99)),
                format!("{} x", kind.keys(MANY - 1, 99)),
                false,
            ),
        ] {
            let what = format!("{}: {what}", kind.name);
            flat(&what, || get(&few, 1, &few_keys), || get(&many, 1, &many_keys), allowed);
        }
    }
}

#[test]
fn decisions_are_flat_in_the_number_of_identities() {
    let _alone = ALONE.lock();
    // A filter for each, and its one rule.
    let many = MANY / 2;
    let (few, lots) = (rules::one_peer_each(FEW), rules::one_peer_each(many));
    let last = |count: usize| u32::try_from(count).expect("small");
    let (first_key, last_key) = ("team-00009-/k", format!("team-{:05}-/k", many - 1));
    flat(
        "a peer each: allowed",
        || get(&few, 10, first_key),
        || get(&lots, last(many), &last_key),
        true,
    );
    flat("a peer each: denied", || get(&few, 10, "x"), || get(&lots, last(many), "x"), false);
    flat("a peer each: unnamed", || get(&few, 99_999, "x"), || get(&lots, 99_999, "x"), false);

    let (few, lots) = (rules::shared_peer(FEW), rules::shared_peer(many));
    flat("a peer in all: allowed", || get(&few, 1, first_key), || get(&lots, 1, &last_key), true);
    flat("a peer in all: denied", || get(&few, 1, "x"), || get(&lots, 1, "x"), false);

    let (few, lots) = (rules::peers_of_one_rule(FEW), rules::peers_of_one_rule(1_000_000));
    flat("peers of one rule", || get(&few, 10, "a"), || get(&lots, 1_000_000, "a"), true);
}

#[test]
fn decisions_are_flat_in_the_number_of_ports() {
    let _alone = ALONE.lock();
    // Each port has a filter, and that a rule.
    let many = MANY / 3;
    let (few, lots) = (rules::ports(FEW), rules::ports(many));
    let last = |count: usize| u16::try_from(count).expect("a port");
    let (first_key, last_key) = ("team-00009-/k", format!("team-{:05}-/k", many - 1));
    flat(
        "a port each: allowed",
        || get_at(&few, last(FEW), 1, first_key),
        || get_at(&lots, last(many), 1, &last_key),
        true,
    );
    flat(
        "a port each: denied",
        || get_at(&few, last(FEW), 1, "x"),
        || get_at(&lots, last(many), 1, "x"),
        false,
    );
}
