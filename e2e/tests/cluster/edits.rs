//! An edited policy reaches open connections, and how soon.

use std::{
    io::{BufRead as _, BufReader},
    time::{Duration, Instant},
};

use crate::{
    client::{Answer, Client, Connection},
    stage::Stage,
    table::MEMCACHED,
};

const EDITS: usize = 200;

/// What 99 of 100 edits may take.
const P99: Duration = Duration::from_secs(1);

/// What an edit may take at all before the test gives it up.
const LOST: Duration = Duration::from_secs(15);

pub(crate) const CLIENT: &str = r#"
apiVersion: v1
kind: Pod
metadata: {name: client, labels: {role: client}}
spec:
  terminationGracePeriodSeconds: 1
  containers:
  - {name: app, image: "remora-test/app:test", imagePullPolicy: Never, args: [idle]}
"#;

/// Lets `role: client` read what starts with `prefix`.
pub(crate) fn reading(prefix: &str) -> String {
    format!(
        r#"
apiVersion: policy.remora.dev/v1alpha1
kind: L7Policy
metadata: {{name: cache}}
spec:
  endpointSelector: {{matchLabels: {{app: memcached}}}}
  ingress:
  - fromEndpoints:
    - matchLabels: {{role: client}}
    toPorts:
    - ports: [{{port: "11211", protocol: TCP}}]
      rules:
        l7proto: memcache
        l7:
        - {{command: get, keyPrefix: "{prefix}"}}
"#
    )
}

#[test]
fn two_hundred_edits_are_enforced_on_an_open_connection() {
    let stage = Stage::set("edits");
    stage.apply(&reading("a/"));
    stage.inject(MEMCACHED);
    stage.apply(CLIENT);
    stage.ready("memcached");
    stage.accepted("cache");
    let mut client = stage.client("client");
    client.reach("memcached:11211");
    let connection = client.open("memcached:11211").expect("the policy lets the client in");
    assert_eq!(client.ask(&connection, "get a/x\r\n"), Answer::miss());

    let mut delays: Vec<_> = (0..EDITS)
        .map(|edit| {
            let (prefix, answer) =
                if edit % 2 == 0 { ("b/", Answer::denied()) } else { ("a/", Answer::miss()) };
            enforced(&stage, &mut client, &connection, prefix, &answer)
        })
        .collect();
    delays.sort();
    let (p50, p99) = (delays[EDITS / 2], delays[EDITS * 99 / 100 - 1]);
    println!(
        "{EDITS} edits, from the API server's answer to the first request judged anew: \
         p50 {p50:?}, p99 {p99:?}, longest {:?}",
        delays[EDITS - 1]
    );
    assert!(p99 <= P99, "expected: p99 of at most {P99:?}\nseen: {p99:?}");
}

/// Applies an edit, and asks over and over until the answer is the edit's:
/// how long after the API server's answer that was.
fn enforced(
    stage: &Stage,
    client: &mut Client,
    connection: &Connection,
    prefix: &str,
    expected: &Answer,
) -> Duration {
    let answered = apply(stage, &reading(prefix));
    loop {
        let answer = client.ask(connection, "get a/x\r\n");
        let delay = answered.elapsed();
        if answer == *expected {
            return delay;
        }
        assert!(delay < LOST, "expected after the edit: {expected}\nseen for {delay:?}: {answer}");
    }
}

/// `kubectl apply`; the moment at which it reports the API server's answer.
fn apply(stage: &Stage, manifest: &str) -> Instant {
    let args = ["-n", &stage.namespace, "apply", "-f", "-"];
    let mut kubectl = stage.kubectl.fed(&args, manifest);
    let mut line = String::new();
    BufReader::new(kubectl.stdout.take().expect("a pipe")).read_line(&mut line).expect("a line");
    let answered = Instant::now();
    assert!(kubectl.wait().expect("kubectl ends").success(), "{line}");
    assert!(line.contains("configured"), "{line}");
    answered
}
