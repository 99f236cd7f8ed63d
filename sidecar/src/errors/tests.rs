//! The table of consequences.

use remora_parsers::Fault;

use super::*;

fn io_error() -> io::Error {
    io::ErrorKind::ConnectionReset.into()
}

#[test]
fn every_label_begins_with_whose_doing_it_is() {
    let cases = [
        (Error::NotRedirected, "client"),
        (Error::Loop, "client"),
        (Error::Foreign, "client"),
        (Error::ClientGone(io_error()), "client"),
        (Error::Late(Late::Frame(Duration::ZERO)), "client"),
        (Error::Late(Late::Idle(Duration::ZERO)), "peer"),
        (Error::Flood(1), "client"),
        (Error::Full(Full::Connections(1)), "limit"),
        (Error::Full(Full::Source(1)), "limit"),
        (Error::Full(Full::Held(1)), "limit"),
        (Error::Unreachable(io_error()), "server"),
        (Error::ServerGone(io_error()), "server"),
        (Error::Unanswered, "server"),
        (Error::Cut(io_error()), "peer"),
        (Error::Protocol(Fault::client("x")), "client"),
        (Error::Protocol(Fault::server("x")), "server"),
        (Error::Protocol(Fault::parser("x")), "internal"),
        (Error::Refiltered, "policy"),
        (Error::Unknown(Unknown::Crowded(1)), "identity"),
        (Error::NoDestination(io_error()), "config"),
        (Error::Panic("x".into()), "internal"),
        (Error::Stopped, "internal"),
    ];
    let mut labels = std::collections::BTreeSet::new();
    for (error, blame) in cases {
        let label = error.label().name();
        assert_eq!(label.split('-').next(), Some(blame), "{error}");
        assert!(labels.insert(label), "{label} stands for two errors");
    }
    // That policy denies, and that peers simply end.
    assert_eq!(labels.len() + 2, Label::ALL.len());
}

#[test]
fn out_of_descriptors_is_not_the_apps_doing() {
    for errno in [Errno::MFILE, Errno::NFILE] {
        assert_eq!(Error::dialling(errno.into()).label(), Label::Connections);
    }
    assert_eq!(Error::dialling(Errno::CONNREFUSED.into()).label(), Label::Unreachable);
}

#[test]
fn a_panic_is_never_followed_by_more_bytes() {
    assert_eq!(Error::Panic("x".into()).label().close(), Close::Reset);
    assert_eq!(Error::Panic("index 3".into()).to_string(), "Panic: index 3");
}

#[test]
fn all_labels_are_listed_once_under_names_of_their_own() {
    let names: std::collections::BTreeSet<_> = Label::ALL.iter().map(|l| l.name()).collect();
    assert_eq!(names.len(), Label::ALL.len());
}
