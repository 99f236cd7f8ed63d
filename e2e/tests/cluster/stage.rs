//! A namespace of a test's own, and what is put into it.

use std::{
    io::Write as _,
    io::{BufRead as _, BufReader},
    net::{SocketAddr, TcpStream},
    path::PathBuf,
    process::{Child, Command, Stdio},
    thread,
    time::Instant,
};

use serde_json::Value;

use crate::{
    client::Client,
    install::{NAMESPACE, cluster},
    kubectl::{Kubectl, eventually, expect},
};

/// A namespace that is deleted at the end. After a failure, what matters in it
/// is printed first.
pub(crate) struct Stage {
    pub(crate) namespace: String,
    pub(crate) kubectl: &'static Kubectl,
    since: Instant,
}

impl Stage {
    /// A namespace of this name; another run's may still be going away.
    pub(crate) fn set(name: &str) -> Self {
        let kubectl = cluster();
        let namespace = format!("{name}-{}", fastrand::u32(0x1000..0x1_0000));
        kubectl.run(&["create", "namespace", &namespace]).expect("a namespace");
        // Pods that come before it are refused.
        eventually("the namespace has its service account", || {
            kubectl.run(&["-n", &namespace, "get", "serviceaccount", "default"])
        });
        Self { namespace, kubectl, since: Instant::now() }
    }

    /// kubectl in this namespace.
    pub(crate) fn run(&self, args: &[&str]) -> Result<String, String> {
        self.kubectl.run(&[&["-n", self.namespace.as_str()], args].concat())
    }

    pub(crate) fn get(&self, args: &[&str]) -> Option<Value> {
        self.kubectl.get(&[&["-n", self.namespace.as_str()], args].concat())
    }

    /// `kubectl apply`, as it is.
    pub(crate) fn apply(&self, manifests: &str) {
        let applied = self.kubectl.feed(&["-n", &self.namespace, "apply", "-f", "-"], manifests);
        applied.unwrap_or_else(|error| panic!("{error}\n{manifests}"));
    }

    /// `remora inject | kubectl apply`.
    pub(crate) fn inject(&self, manifests: &str) {
        self.apply(&remora(&["inject", "-f", "-"], manifests));
    }

    /// Waits until a pod is ready.
    pub(crate) fn ready(&self, pod: &str) {
        eventually(&format!("pod {pod} is ready"), || {
            let object = self.get(&["pod", pod]).ok_or("it is not there")?;
            expect(is_ready(&object), || object["status"].to_string())
        });
    }

    /// Waits until a policy of ours is accepted in the version that was applied last.
    pub(crate) fn accepted(&self, policy: &str) {
        eventually(&format!("policy {policy} is accepted"), || {
            let object = self.get(&["l7policy", policy]).ok_or("it is not there")?;
            let conditions = object["status"]["conditions"].as_array().cloned().unwrap_or_default();
            let accepted = conditions.iter().any(|condition| {
                condition["type"].as_str().is_some_and(|kind| kind.eq_ignore_ascii_case("accepted"))
                    && condition["status"] == "True"
                    && condition["observedGeneration"] == object["metadata"]["generation"]
            });
            expect(accepted, || object["status"].to_string())
        });
    }

    /// A session in a pod that is ready.
    pub(crate) fn client(&self, pod: &str) -> Client {
        self.ready(pod);
        Client::start(self.kubectl, &self.namespace, pod)
    }

    /// A service's name with a port, as any namespace may say it.
    pub(crate) fn service(&self, name: &str, port: u16) -> String {
        format!("{name}.{}.svc.cluster.local:{port}", self.namespace)
    }

    /// A way to a port of a pod that leads over the pod's loopback: neither
    /// redirected nor judged.
    pub(crate) fn forward(&self, pod: &str, port: u16) -> Forward {
        let port = format!(":{port}");
        let mut command =
            self.kubectl.command(&["-n", &self.namespace, "port-forward", pod, &port]);
        let mut process = command.spawn().expect("kubectl port-forward starts");
        let mut line = String::new();
        let mut stdout = BufReader::new(process.stdout.take().expect("a pipe"));
        stdout.read_line(&mut line).expect("kubectl port-forward speaks");
        let address = line.split_whitespace().nth(2).and_then(|word| word.parse().ok());
        let address = address.unwrap_or_else(|| panic!("port-forward to {pod} said {line:?}"));
        // It goes on to name every connection.
        thread::spawn(move || stdout.lines().map_while(Result::ok).for_each(drop));
        Forward { process, address }
    }

    fn report(&self) {
        eprintln!("--- what namespace {} shows", self.namespace);
        self.show(&["get", "pods,services,l7policies", "-o", "wide"]);
        for pod in self.get(&["pods"]).iter().flat_map(items) {
            let name = pod["metadata"]["name"].as_str().unwrap_or_default();
            if !is_ready(pod) {
                self.show(&["describe", "pod", name]);
            }
            if pod["metadata"]["annotations"]["remora.dev/status"].is_string() {
                self.show(&["logs", name, "-c", "remora", "--tail=30"]);
            }
        }
        let agent = ["-n", NAMESPACE, "logs", "deployment/remora-agent", "--tail=40"];
        eprintln!("--- the agent's log\n{}", self.kubectl.run(&agent).unwrap_or_else(|e| e));
    }

    fn show(&self, args: &[&str]) {
        eprintln!("--- kubectl {}\n{}", args.join(" "), self.run(args).unwrap_or_else(|e| e));
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        if thread::panicking() {
            self.report();
        }
        let pods = ["delete", "deployments,statefulsets,pods", "--all", "--grace-period=1"];
        for args in [&pods[..], &["delete", "namespace", &self.namespace, "--wait=false"]] {
            if let Err(error) = self.run(args) {
                eprintln!("cleaning up {}: {error}", self.namespace);
            }
        }
        println!("{}: {:.1} s", self.namespace, self.since.elapsed().as_secs_f64());
    }
}

/// A forwarded port, as long as this lives.
pub(crate) struct Forward {
    process: Child,
    pub(crate) address: SocketAddr,
}

impl Forward {
    pub(crate) fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).expect("a forwarded port")
    }
}

impl Drop for Forward {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The objects of a list.
pub(crate) fn items(list: &Value) -> impl Iterator<Item = &Value> {
    list["items"].as_array().into_iter().flatten()
}

/// Whether a pod's condition Ready is true.
pub(crate) fn is_ready(pod: &Value) -> bool {
    let conditions = pod["status"]["conditions"].as_array();
    let mut conditions = conditions.into_iter().flatten();
    conditions.any(|condition| condition["type"] == "Ready" && condition["status"] == "True")
}

/// Runs the command `remora` that was built with these tests.
pub(crate) fn remora(args: &[&str], input: &str) -> String {
    let test = std::env::current_exe().expect("a path");
    let program: PathBuf = test.ancestors().nth(2).expect("target/PROFILE").join("remora");
    let mut command = Command::new(program);
    if let Some(kubeconfig) = std::env::var_os("REMORA_E2E_KUBECONFIG") {
        command.env("KUBECONFIG", kubeconfig);
    }
    command.args(args).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::inherit());
    let mut child = command.spawn().expect("remora starts");
    child.stdin.take().expect("a pipe").write_all(input.as_bytes()).expect("remora reads");
    let output = child.wait_with_output().expect("remora ends");
    assert!(output.status.success(), "remora {}: {}", args.join(" "), output.status);
    String::from_utf8(output.stdout).expect("UTF-8")
}
