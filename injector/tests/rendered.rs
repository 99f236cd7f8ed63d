//! What exactly a pod gets.

use std::path::PathBuf;

use remora_injector::{
    AgentAddress, InjectConfig, ProxyMode, inject, is_injected, proxy_mode, uninject,
};
use remora_manifest::{read, to_yaml};
use serde_json::{Value, json};

fn config(agent: AgentAddress) -> InjectConfig {
    InjectConfig {
        agent,
        init_image: "remora/init:1".to_owned(),
        sidecar_image: "remora/sidecar:1".to_owned(),
        ..InjectConfig::default()
    }
}

fn sockets() -> AgentAddress {
    AgentAddress::Sockets(PathBuf::from("/run/remora/pods"))
}

fn url() -> AgentAddress {
    AgentAddress::Url("https://remora-agent.remora.svc:16010".to_owned())
}

/// The golden files are read as any manifest: what they say is what counts.
fn value(text: &str) -> Value {
    let mut documents = read(text, "golden".as_ref()).into_iter();
    documents.next().expect("a document").expect("valid").to_json()
}

/// The injected manifest with the status annotation, which has the version in it, set apart.
fn injected(manifest: &Value, agent: AgentAddress, template: &str) -> (Value, Value) {
    injected_by(manifest, &config(agent), template)
}

fn injected_by(manifest: &Value, config: &InjectConfig, template: &str) -> (Value, Value) {
    let mut injected = inject(manifest, config).expect("injectable");
    assert!(is_injected(&injected));
    assert_eq!(proxy_mode(&injected), Some(config.mode));
    assert_eq!(&uninject(&injected).expect("ours"), manifest);
    let annotations = format!("{template}/metadata/annotations");
    let annotations = injected.pointer_mut(&annotations).expect("annotations");
    let text = annotations["remora.dev/status"].take();
    let mut status = value(text.as_str().expect("a string"));
    assert_eq!(status["version"].take(), env!("CARGO_PKG_VERSION"));
    (injected, status)
}

#[test]
fn a_pod_where_the_agent_has_sockets_is_this() {
    let pod = json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "cart-0", "namespace": "shop"},
        "spec": {"containers": [{
            "name": "app", "image": "shop/cart:1", "readinessProbe": {"tcpSocket": {"port": 8080}},
        }]},
    });
    let (injected, status) = injected(&pod, sockets(), "");
    assert_eq!(
        status,
        json!({
            "version": null, "containers": ["remora-init", "remora"],
            "volumes": ["remora-agent", "remora-snapshot"],
            "defaultContainer": "app",
            "probes": {"/probe/app/readiness": {"tcpSocket": {"port": 8080}}},
            "before": {"initContainers": "absent", "volumes": "absent", "annotations": "absent"},
        })
    );
    assert_eq!(to_yaml(&injected), include_str!("golden/pod-sockets.yaml"));
}

#[test]
fn a_deployment_in_a_cluster_is_this() {
    let deployment = value(include_str!("golden/deployment.yaml"));
    let (injected, status) = injected(&deployment, url(), "/spec/template");
    assert_eq!(
        status,
        json!({
            "version": null, "containers": ["remora-init", "remora"],
            "volumes": ["remora-ca", "remora-token", "remora-snapshot"],
            "defaultContainer": "app",
            "probes": {
                "/probe/warmer/startup": {"grpc": {"port": 9000, "service": "warm"}},
                "/probe/app/liveness":
                    {"httpGet": {"path": "/live", "port": "http"}, "timeoutSeconds": 3},
                "/probe/app/readiness": {"tcpSocket": {"port": "http"}},
                "/lifecycle/app/preStop": {"httpGet": {"path": "/drain", "port": "http"}},
            },
            "before": {"initContainers": "present", "volumes": "absent", "annotations": "absent"},
        })
    );
    assert_eq!(to_yaml(&injected), include_str!("golden/deployment-cluster.yaml"));
}

#[test]
fn a_deployment_whose_pods_their_nodes_serve_is_this() {
    let deployment = value(include_str!("golden/deployment.yaml"));
    let config = InjectConfig { mode: ProxyMode::Node, ..config(url()) };
    let (injected, status) = injected_by(&deployment, &config, "/spec/template");
    assert_eq!(status["volumes"], json!([]));
    let text = to_yaml(&injected);
    assert_eq!(text, include_str!("golden/deployment-node.yaml"));
    // Where the agent is, and who the pod is to it, is the node's affair alone.
    for word in ["REMORA_AGENT", "REMORA_CA", "REMORA_TOKEN", "REMORA_SNAPSHOT", "remora-token"] {
        assert!(!text.contains(word), "{word}");
    }
    let sockets = InjectConfig { agent: sockets(), ..config };
    assert_eq!(injected_by(&deployment, &sockets, "/spec/template").0, injected);
}

#[test]
fn every_workload_has_its_template_injected() {
    let template = json!({"spec": {"containers": [{"name": "app"}]}});
    let plain = |version: &str, kind: &str| json!({"apiVersion": version, "kind": kind, "spec": {"template": template}});
    let workloads = [
        plain("apps/v1", "Deployment"),
        plain("apps/v1", "StatefulSet"),
        plain("apps/v1", "DaemonSet"),
        plain("apps/v1", "ReplicaSet"),
        plain("v1", "ReplicationController"),
        plain("batch/v1", "Job"),
        json!({
            "apiVersion": "batch/v1", "kind": "CronJob",
            "spec": {"jobTemplate": {"spec": {"template": template}}},
        }),
    ];
    let pod = json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"generateName": "a-"},
        "spec": {"containers": [{"name": "app"}]},
    });
    let spec = injected(&pod, url(), "").0["spec"].take();
    for workload in workloads {
        let path = if workload["kind"] == "CronJob" { "/spec/jobTemplate/spec" } else { "/spec" };
        let template = format!("{path}/template");
        let (injected, status) = injected(&workload, url(), &template);
        assert_eq!(injected.pointer(&template).expect("a template")["spec"], spec);
        assert_eq!(status["before"]["metadata"], "absent");
    }
}

#[test]
fn images_are_of_our_own_version_and_the_agent_is_the_usual_one() {
    let config = InjectConfig::default();
    let version = env!("CARGO_PKG_VERSION");
    assert_eq!(config.init_image, format!("remora/init:{version}"));
    assert_eq!(config.sidecar_image, format!("remora/sidecar:{version}"));
    assert_eq!(config.agent, url());
}

#[test]
fn a_pod_without_a_namespace_is_in_default() {
    let pod = json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a"}, "spec": {"containers": []},
    });
    let (injected, _) = injected(&pod, sockets(), "");
    assert_eq!(
        injected["spec"]["volumes"],
        json!([{
            "name": "remora-agent",
            "hostPath": {"path": "/run/remora/pods/default_a", "type": "Directory"},
        }, {"name": "remora-snapshot", "emptyDir": {}}])
    );
}

#[test]
fn a_default_container_that_was_named_stays() {
    let mut pod = json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": "a", "annotations": {"kubectl.kubernetes.io/default-container": "b"}},
        "spec": {"containers": [{"name": "a"}, {"name": "b"}]},
    });
    let name = |pod: &Value| {
        pod["metadata"]["annotations"]["kubectl.kubernetes.io/default-container"].clone()
    };
    assert_eq!(name(&injected(&pod, url(), "").0), "b");
    pod["metadata"] = json!({"name": "a"});
    let mut changed = inject(&pod, &config(url())).expect("injectable");
    assert_eq!(name(&changed), "a");
    // Somebody chose another since.
    changed["metadata"]["annotations"]["kubectl.kubernetes.io/default-container"] = json!("b");
    assert_eq!(name(&uninject(&changed).expect("ours")), "b");
}

#[test]
fn what_an_earlier_build_injected_is_taken_out_too() {
    let status = json!({
        "version": "0.1.0", "containers": ["remora-init", "remora"], "volumes": ["remora-agent"],
        "before": {"initContainers": "absent", "volumes": "absent", "annotations": "absent"},
    });
    let pod = json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": "a", "annotations": {"remora.dev/status": status.to_string()}},
        "spec": {
            "containers": [{"name": "app"}],
            "initContainers": [{"name": "remora-init"}, {"name": "remora"}],
            "volumes": [{"name": "remora-agent"}],
        },
    });
    let plain = json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a"},
        "spec": {"containers": [{"name": "app"}]},
    });
    assert_eq!(uninject(&pod).expect("ours"), plain);
}
