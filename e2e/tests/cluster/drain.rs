//! Rollouts of an app that drains well, under load: no request is lost.

use std::{
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::SystemTime,
};

use crate::{
    client::Answer,
    edits::{CLIENT, reading},
    install::rolled_out,
    journals::Journals,
    stage::Stage,
};

const ROLLOUTS: usize = 20;

/// A memcached that goes on for a while after it was told to end, until nobody
/// is sent to it any more: as good as an app can be without a proxy.
const CACHE: &str = r#"
apiVersion: apps/v1
kind: Deployment
metadata: {name: cache}
spec:
  replicas: 1
  selector: {matchLabels: {app: memcached}}
  strategy: {rollingUpdate: {maxSurge: 1, maxUnavailable: 0}}
  template:
    metadata: {labels: {app: memcached}}
    spec:
      terminationGracePeriodSeconds: 15
      containers:
      - name: memcached
        image: remora-test/memcached:test
        imagePullPolicy: Never
        args: ["--port=11211", "--udp-port=0", "--memory-limit=16", "--threads=1"]
        ports: [{name: memcache, containerPort: 11211}]
        readinessProbe:
          tcpSocket: {port: memcache}
          periodSeconds: 1
        lifecycle:
          preStop: {sleep: {seconds: 3}}
        securityContext: {runAsUser: 11211, runAsGroup: 11211}
---
apiVersion: v1
kind: Service
metadata: {name: cache}
spec:
  selector: {app: memcached}
  ports: [{name: memcache, port: 11211, targetPort: memcache}]
"#;

#[test]
fn twenty_rollouts_of_an_app_that_drains_well_lose_no_request() {
    let stage = Stage::set("drain");
    stage.apply(&reading("a/"));
    stage.inject(CACHE);
    stage.apply(CLIENT);
    let complete = || {
        rolled_out(stage.kubectl, &stage.namespace, "deployment/cache").expect("a rollout");
    };
    complete();
    stage.accepted("cache");
    let service = stage.service("cache", 11211);
    let mut client = stage.client("client");
    assert_eq!(client.ask_anew(&service, "get a/x\r\n"), Answer::miss());

    let stop = AtomicBool::new(false);
    let mut journals = Journals::default();
    let (asked, lost) = thread::scope(|scope| {
        let load = scope.spawn(|| {
            let (mut asked, mut lost) = (0_usize, Vec::new());
            while !stop.load(Ordering::Relaxed) {
                let begun = SystemTime::now();
                let answer = client.ask_anew(&service, "get a/x\r\n");
                asked += 1;
                if answer != Answer::miss() {
                    let took = begun.elapsed().unwrap_or_default();
                    lost.push(format!("{asked}: {answer} after {took:?} from {begun:?}"));
                }
            }
            (asked, lost)
        });
        // However the rollouts end, the load does.
        let ended = catch_unwind(AssertUnwindSafe(|| {
            for _ in 0..ROLLOUTS {
                journals.follow(&stage, "app=memcached");
                stage.run(&["rollout", "restart", "deployment/cache"]).expect("a rollout begins");
                complete();
            }
        }));
        stop.store(true, Ordering::Relaxed);
        let load = load.join().expect("the load goes on");
        ended.unwrap_or_else(|panic| resume_unwind(panic));
        load
    });
    println!("{ROLLOUTS} rollouts: {asked} requests, {} lost", lost.len());
    let unusual = journals.unusual();
    assert!(lost.is_empty(), "of {asked}: {lost:#?}\n{unusual}");
    assert!(asked > 10 * ROLLOUTS, "{asked} requests are no load");
}
