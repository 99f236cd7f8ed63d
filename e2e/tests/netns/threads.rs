//! A sidecar that works on several threads judges as one on a single one.

use std::{fs, net::SocketAddr, thread};

use remora_netns::Pod;
use serde_json::json;

use crate::stage::{Answer, MEMCACHED, POLICY, Stage, denied, exchange};

const THREADS: usize = 3;
const CLIENTS: usize = 6;

#[test]
fn as_many_threads_as_were_asked_for_judge_as_one_does() {
    let stage = Stage::set();
    stage.write_policy("cache.yaml", POLICY);
    let client = stage.client("client", &json!({"role": "client"}));
    let cache = stage.cache_with(&[], &json!({"remora.dev/threads": THREADS.to_string()}));
    let workers = workers(&cache);
    assert!((THREADS..=THREADS + 1).contains(&workers), "{workers}");
    let address = SocketAddr::from((cache.ipv4(), MEMCACHED));
    thread::scope(|scope| {
        for _ in 0..CLIENTS {
            scope.spawn(|| {
                let mut open = client.connect(address).expect("connected");
                for _ in 0..200 {
                    assert_eq!(exchange(&mut open, "get sec:a\r\n"), denied());
                    let end = Answer::Text("END\r\n".into());
                    assert_eq!(exchange(&mut open, "get pub:a\r\n"), end);
                }
            });
        }
    });
}

/// Threads of the sidecar that carry tasks, beside the first one; the one that writes the saved policy
/// may be among them.
fn workers(pod: &Pod) -> usize {
    let tasks = format!("/proc/{}/task", pod.pid("remora").expect("it runs"));
    let names = fs::read_dir(tasks).expect("threads").map(|task| {
        let path = task.expect("a thread").path().join("comm");
        fs::read_to_string(path).expect("a name")
    });
    names.filter(|name| name.starts_with("tokio-")).count()
}
