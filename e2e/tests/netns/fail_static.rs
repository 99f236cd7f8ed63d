//! A sidecar that is killed while its agent is away.

use std::{
    net::SocketAddr,
    os::unix::process::CommandExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use remora_netns::{Pod, Signal};
use serde_json::{Value, json};

use crate::stage::{Answer, MEMCACHED, PATIENCE, POLICY, Stage, ask, bin, denied, eventually};

/// From the start of the process to the first right answer.
const START: Duration = Duration::from_millis(500);

/// How often a sidecar is killed.
const KILLS: usize = 100;

/// The uid by which the redirection knows the proxy.
const PROXY_UID: u32 = 16006;

#[test]
fn a_sidecar_killed_while_its_agent_is_away_enforces_what_it_did() {
    let stage = Stage::set();
    stage.write_policy("cache.yaml", POLICY);
    let (client, outsider) = (
        stage.client("client", &json!({"role": "client"})),
        stage.client("outsider", &json!({"role": "other"})),
    );
    let cache = stage.cache(&[]);
    let address = SocketAddr::from((cache.ipv4(), MEMCACHED));
    assert_eq!(ask(&client, address, "get pub:a\r\n"), Answer::Text("END\r\n".into()));
    stage.kill_agent();
    cache.kill("remora", Signal::KILL).expect("killed");
    cache.wait_restarted("remora", 1, PATIENCE).expect("ready without its agent");
    assert_eq!(ask(&client, address, "get pub:a\r\n"), Answer::Text("END\r\n".into()));
    assert_eq!(ask(&client, address, "get sec:a\r\n"), denied());
    assert_eq!(ask(&outsider, address, "get pub:a\r\n"), Answer::Reset);
}

/// A kubelet waits ever longer between restarts, so the sidecar is started
/// here by hand, in a pod whose own one only holds the place.
#[test]
fn a_hundred_kills_cost_half_a_second_each_at_most() {
    let stage = Stage::set();
    stage.write_policy("cache.yaml", POLICY);
    let (client, outsider) = (
        stage.client("client", &json!({"role": "client"})),
        stage.client("outsider", &json!({"role": "other"})),
    );
    let cache = stage.run(&with_an_idle_sidecar(&stage.injected_cache(&[])));
    let address = SocketAddr::from((cache.ipv4(), MEMCACHED));
    let folder = tempfile::tempdir().expect("a directory");
    std::os::unix::fs::chown(folder.path(), Some(PROXY_UID), Some(PROXY_UID)).expect("given away");
    let recipe = Recipe::of(&cache, &stage.socket("cache"), folder.path());

    let mut sidecar = recipe.start(&cache);
    eventually("it serves", || allowed(&client, address));
    eventually("it has saved", || recipe.snapshot.exists());
    stage.kill_agent();
    let mut starts = Vec::new();
    for _ in 0..KILLS {
        sidecar.end();
        let begun = Instant::now();
        sidecar = recipe.start(&cache);
        eventually("it serves again", || allowed(&client, address));
        starts.push(begun.elapsed());
        assert_eq!(ask(&client, address, "get sec:a\r\n"), denied());
        assert_eq!(ask(&outsider, address, "get pub:a\r\n"), Answer::Reset);
    }
    starts.sort_unstable();
    let (median, worst) = (starts[KILLS / 2], starts[KILLS - 1]);
    println!(
        "{KILLS} starts from the saved policy: first answer after {median:?}, at worst {worst:?}"
    );
    assert!(worst < START, "{starts:?}");
}

/// Whether what policy allows is answered. What it forbids would panic here.
fn allowed(client: &Pod, address: SocketAddr) -> bool {
    match ask(client, address, "get pub:a\r\n") {
        Answer::Refused | Answer::Reset | Answer::Closed => false,
        answer => {
            assert_eq!(answer, Answer::Text("END\r\n".into()));
            true
        }
    }
}

/// The pod as injected, but the sidecar's program is one that does nothing.
fn with_an_idle_sidecar(injected: &Value) -> Value {
    let mut pod = injected.clone();
    let containers = pod["spec"]["initContainers"].as_array_mut().expect("init containers");
    let sidecar = containers.iter_mut().find(|one| one["name"] == "remora").expect("a sidecar");
    let sidecar = sidecar.as_object_mut().expect("a map");
    sidecar.insert("image".into(), "idle".into());
    for field in ["args", "startupProbe"] {
        sidecar.remove(field);
    }
    pod
}

/// How the sidecar of a pod is started by hand.
struct Recipe {
    environment: Vec<(&'static str, String)>,
    snapshot: PathBuf,
}

impl Recipe {
    fn of(pod: &Pod, socket: &Path, folder: &Path) -> Self {
        let snapshot = folder.join("snapshot");
        let environment = vec![
            ("REMORA_AGENT", format!("unix:{}", socket.display())),
            ("REMORA_POD_NAME", "cache".to_owned()),
            ("REMORA_POD_NAMESPACE", "default".to_owned()),
            ("REMORA_POD_UID", pod.uid().to_owned()),
            ("REMORA_POD_IPS", format!("{},{}", pod.ipv4(), pod.ipv6())),
            ("REMORA_SNAPSHOT", snapshot.display().to_string()),
            ("REMORA_LOG", "warn".to_owned()),
        ];
        Self { environment, snapshot }
    }

    fn start(&self, pod: &Pod) -> Sidecar {
        let mut command = Command::new(bin().join("remora-sidecar"));
        command
            .arg("run")
            .env_clear()
            .envs(self.environment.iter().cloned())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .uid(PROXY_UID)
            .gid(PROXY_UID);
        let started = pod.enter_network(|| command.spawn()).expect("the pod's network");
        Sidecar(started.expect("started"))
    }
}

struct Sidecar(Child);

impl Sidecar {
    /// Kills it and waits until it, and what it listened on, is gone.
    fn end(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Drop for Sidecar {
    fn drop(&mut self) {
        self.end();
    }
}
