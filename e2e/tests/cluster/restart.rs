//! A sidecar that is killed: how long nobody is served, and whose doing it is.

use std::time::{Duration, Instant};

use crate::{
    client::Answer,
    edits::{CLIENT, reading},
    kubectl::eventually,
    stage::Stage,
};

/// A server in one process namespace with somebody who can kill its sidecar:
/// from inside its own, the kernel does not let a first process be killed.
const CACHE: &str = r#"
apiVersion: v1
kind: Pod
metadata: {name: memcached, labels: {app: memcached}}
spec:
  terminationGracePeriodSeconds: 1
  shareProcessNamespace: true
  containers:
  - name: memcached
    image: remora-test/memcached:test
    imagePullPolicy: Never
    args: ["--port=11211", "--udp-port=0", "--memory-limit=16", "--threads=1"]
    securityContext: {runAsUser: 11211, runAsGroup: 11211}
  - name: killer
    image: remora-test/app:test
    imagePullPolicy: Never
    args: [idle]
    securityContext: {runAsUser: 0, runAsGroup: 0}
"#;

/// The kubelet waits longer before each further start, so there is only one.
const PATIENCE: Duration = Duration::from_secs(20);

#[test]
fn a_killed_sidecar_is_started_anew_and_never_open() {
    let stage = Stage::set("restart");
    stage.apply(&reading("a/"));
    stage.inject(CACHE);
    stage.apply(CLIENT);
    stage.ready("memcached");
    stage.accepted("cache");
    let mut client = stage.client("client");
    // Its Service would lead nowhere until the pod is known to be ready again.
    let pod = stage.get(&["pod", "memcached"]).expect("the pod");
    let server = format!("{}:11211", pod["status"]["podIP"].as_str().expect("an address"));
    let mut ask = |request: &str| client.ask_anew(&server, request);
    assert_eq!(ask("get a/x\r\n"), Answer::miss());

    let kill = ["exec", "memcached", "-c", "killer", "--"];
    let program = ["/remora-test-app", "kill", "remora-sidecar"];
    stage.run(&[&kill[..], &program].concat()).expect("it is killed");
    let begun = Instant::now();
    let away = loop {
        let (allowed, forbidden) = (ask("get a/x\r\n"), ask("get b/x\r\n"));
        assert!(
            !matches!(&forbidden, Answer::Reply(text) if text != "CLIENT_ERROR access denied\r\n")
        );
        if allowed == Answer::miss() {
            break begun.elapsed();
        }
        assert!(begun.elapsed() < PATIENCE, "nobody is served: {allowed}");
    };
    let own = eventually("the sidecar's journal has its start and its first request", || {
        let journal = stage.run(&["logs", "memcached", "-c", "remora"])?;
        let at = |what: &str| journal.lines().find(|line| line.contains(what)).and_then(moment);
        let (start, first) = (at(": listening "), at(r#""verdict":"FORWARDED""#));
        start.zip(first).map(|(start, first)| first - start).ok_or(journal)
    });
    let kubelet = away.as_secs_f64() - own;
    println!(
        "a killed sidecar: nobody is served for {away:.1?}, of which {kubelet:.2} s pass before \
         the kubelet has started another, and {own:.3} s until that serves"
    );
    assert!(own < 0.5, "{own} s of its own");
}

/// The time of day of a line's RFC 3339 timestamp, in seconds.
fn moment(line: &str) -> Option<f64> {
    let (_, time) = line.split_once('T')?;
    let (time, _) = time.split_once('Z')?;
    let mut parts = time.split(':').map(str::parse::<f64>);
    let mut next = || parts.next()?.ok();
    Some(next()? * 3600.0 + next()? * 60.0 + next()?)
}
