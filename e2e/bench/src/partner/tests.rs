//! The protocol of adapters, and the adapters that are here.

use super::*;

const ABOUT: &str = "title: X\nmode: sidecar\nprotocols: memcached bulk\nversion: 1.2: three\n";

#[test]
fn an_adapter_says_what_it_is() {
    let about = About::read(ABOUT).expect("an adapter");
    assert_eq!(about.mode, Mode::Sidecar);
    assert_eq!(about.protocols, [Protocol::Memcached, Protocol::Bulk]);
    assert_eq!((about.title.as_str(), about.version.as_str()), ("X", "1.2: three"));
    assert_eq!((about.port, about.missing), (None, None));
    assert_eq!((about.redirection, about.pods), (Redirection::InPods, about::PODS));
    let about = About::read(&format!("{ABOUT}port: 15006\n")).expect("an adapter");
    assert_eq!(about.port, Some(15006));
    let node = ABOUT.replace("mode: sidecar", "mode: node");
    let about = About::read(&node).expect("an adapter");
    assert_eq!(about.redirection, Redirection::OnNode);
    let about =
        About::read(&format!("{node}redirection: pods\npods: 500\npolicy: 80 /p no rules\n"));
    let about = about.expect("an adapter");
    let policy = about.policy.expect("a policy");
    assert_eq!((policy.port, policy.path.as_str()), (80, "/p"));
    assert_eq!(policy.without, "no rules");
    assert_eq!((about.redirection, about.pods), (Redirection::InPods, 500));
}

#[test]
fn what_an_adapter_says_wrong_is_named() {
    let wrong = [
        ("title: X", "title X", "no key"),
        ("title: X\n", "", "no `title`"),
        ("mode: sidecar\n", "", "no `mode`"),
        ("mode: sidecar", "mode: host", "not \"host\""),
        ("version: 1.2: three\n", "", "no `version`"),
        ("memcached bulk", "memcached http", "no protocol \"http\""),
        ("memcached bulk", "bulk", "must hold memcached"),
        ("title: X", "title: X\nport: 70000", "a port: \"70000\""),
        ("title: X", "title: X\npods: many", "pods: \"many\""),
        ("title: X", "title: X\npolicy: 16000 /policy", "a port, a path and a text"),
        ("title: X", "title: X\nredirection: host", "not \"host\""),
        ("version", "versoin", "no key \"versoin\""),
    ];
    for (good, bad, problem) in wrong {
        let error = About::read(&ABOUT.replace(good, bad)).expect_err(bad);
        assert!(error.to_string().contains(problem), "{bad:?}: {error}");
    }
}

#[test]
fn a_missing_partner_needs_to_say_no_more_than_why() {
    let about = About::read("title: X\nmode: node\nmissing: not installed\n").expect("an adapter");
    assert_eq!(about.missing.as_deref(), Some("not installed"));
    let partner = Partner { name: "x".into(), about, adapter: PathBuf::new() };
    assert!(!partner.carries(Protocol::Memcached));
}

#[test]
fn a_command_is_a_word_a_line_after_its_environment() {
    let command = CommandLine::read("A=1\nB_2=x=y z\n/bin/proxy\n--log=off\nlast word\n");
    let command = command.expect("a command");
    assert_eq!(command.environment(), [("A", "1"), ("B_2", "x=y z")]);
    assert_eq!(command.words(), ["/bin/proxy", "--log=off", "last word"]);
    for wrong in ["", "A=1\n", "proxy\n", "A=1\nproxy\n"] {
        assert!(CommandLine::read(wrong).is_err(), "{wrong:?}");
    }
}

/// Each says what it is, or why it cannot run here; and what it runs, if it can.
#[test]
fn the_adapters_here_speak_the_protocol() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("partners");
    let scratch = tempfile::tempdir().expect("a directory");
    let path = |name: &str| scratch.path().join(name).to_string_lossy().into_owned();
    let partners = Partner::all(&folder, Path::new("/programs")).expect("adapters");
    let names: Vec<_> = partners.iter().map(|partner| partner.name.as_str()).collect();
    for name in [
        "direct",
        "envoy-node",
        "envoy-sidecar",
        "haproxy",
        "remora-l4",
        "remora-l7",
        "remora-node-l4",
        "remora-node-l7",
    ] {
        assert!(names.contains(&name), "{names:?}");
    }
    let environment = [
        ("BENCH_DIR", path("")),
        ("BENCH_PROGRAMS", "/programs".to_owned()),
        ("BENCH_MANIFESTS", path("")),
        ("BENCH_SOCKETS", "/sockets".to_owned()),
        ("BENCH_RULES", "3".to_owned()),
        ("BENCH_TOOL", "/programs/remora-bench".to_owned()),
        ("BENCH_PORT", "16006".to_owned()),
        ("BENCH_APP_PORTS", "11211 6379 5001".to_owned()),
        ("BENCH_POD", "pod".to_owned()),
        ("BENCH_NAMESPACE", "default".to_owned()),
        ("BENCH_UID", "uid".to_owned()),
        ("BENCH_IPS", "10.0.0.1,fd00::1".to_owned()),
        ("BENCH_ENDPOINTS", "20000 10.0.0.1 11211 default pod uid 1\n".to_owned()),
    ];
    for partner in partners.iter().filter(|partner| partner.about.mode != Mode::None) {
        if partner.about.missing.is_none() {
            let command = partner.command(&environment).expect("a command");
            assert!(!command.words.is_empty());
        }
    }
    let error = partners[1].command(&[]).expect_err("an adapter that is told nothing");
    assert!(error.to_string().contains("failed"), "{error}");
}
