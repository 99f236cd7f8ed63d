//! A certificate of one's own instead of the agent's.

use std::{
    io::Write as _,
    time::{Duration, SystemTime},
};

use remora_certs::{Ca, Leaf};
use serde_json::json;

use crate::{
    install::NAMESPACE,
    kubectl::{eventually, expect},
    webhook::chart::{Labelled, believed, chart, charts, counted, has_sidecar, plain, upgrade},
};

const DAY: Duration = Duration::from_secs(86_400);
const EXPIRY: &str = "remora_injector_certificate_expiry_timestamp_seconds";

/// The agent's again, when this is dropped.
struct Provided;

impl Provided {
    /// The Secret and the bundle of its authority are told to the chart.
    fn install(ca: &Ca, leaf: &Leaf) -> Self {
        put(leaf);
        let mut bundle = tempfile::NamedTempFile::new().expect("a file");
        bundle.write_all(ca.certificate().as_bytes()).expect("written");
        let file = format!("certificates.caBundle={}", bundle.path().display());
        let values = ["--set=certificates.mode=provided", "--set=certificates.secretName=own-tls"];
        let own = Self;
        upgrade(&charts().join("remora"), &[&values[..], &["--set-file", &file]].concat());
        own
    }
}

impl Drop for Provided {
    fn drop(&mut self) {
        upgrade(&charts().join("remora"), &[]);
        believed();
        if let Err(error) = chart().run(&["-n", NAMESPACE, "delete", "secret", "own-tls"]) {
            eprintln!("cleaning up: {error}");
        }
    }
}

fn put(leaf: &Leaf) {
    let secret = json!({
        "apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/tls",
        "metadata": {"name": "own-tls", "namespace": NAMESPACE},
        "stringData": {"tls.crt": leaf.certificate(), "tls.key": leaf.key()},
    });
    chart().feed(&["apply", "-f", "-"], &secret.to_string()).expect("a Secret");
}

#[test]
fn a_certificate_of_ones_own_is_served_and_taken_anew() {
    let stage = Labelled::set("certificates", "enforced");
    let now = SystemTime::now();
    let ca = Ca::generate(now, DAY * 30).expect("a CA");
    let names = [format!("remora-injector.{NAMESPACE}.svc")];
    let leaf = |days: u32| ca.issue(&names, now, DAY * days).expect("a leaf");
    let _own = Provided::install(&ca, &leaf(10));
    assert!(has_sidecar(&stage.tried(&plain("own")).expect("taken")));
    let before = counted(EXPIRY);
    put(&leaf(20));
    eventually("the next one is served", || {
        let end = counted(EXPIRY);
        expect(end > before, || end.to_string())
    });
    assert!(has_sidecar(&stage.tried(&plain("own")).expect("taken")));
}
