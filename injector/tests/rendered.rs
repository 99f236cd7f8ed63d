//! What exactly a pod gets.

use std::path::PathBuf;

use remora_injector::{InjectConfig, inject};
use remora_manifest::to_yaml;
use serde_json::json;

#[test]
fn an_injected_pod_is_this() {
    let pod = json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "cart-0", "namespace": "shop"},
        "spec": {"containers": [{"name": "app", "image": "shop/cart:1"}]},
    });
    let config = InjectConfig {
        agent_sockets: PathBuf::from("/run/remora/pods"),
        init_image: "remora/init:1".to_owned(),
        sidecar_image: "remora/sidecar:1".to_owned(),
    };
    let mut injected = inject(&pod, &config).expect("injectable");
    let status = injected["metadata"]["annotations"]["remora.dev/status"].take();
    let status: serde_json::Value =
        serde_json::from_str(status.as_str().expect("a string")).expect("JSON");
    let version = env!("CARGO_PKG_VERSION");
    assert_eq!(
        status,
        json!({
            "version": version, "containers": ["remora-init", "remora"],
            "volumes": ["remora-agent"],
            "before": {"initContainers": "absent", "volumes": "absent", "annotations": "absent"},
        })
    );
    assert_eq!(to_yaml(&injected), include_str!("injected.yaml"));
}

#[test]
fn images_are_of_our_own_version() {
    let config = InjectConfig::default();
    let version = env!("CARGO_PKG_VERSION");
    assert_eq!(config.init_image, format!("remora/init:{version}"));
    assert_eq!(config.sidecar_image, format!("remora/sidecar:{version}"));
}

#[test]
fn a_pod_without_a_namespace_is_in_default() {
    let pod = json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a"}, "spec": {"containers": []},
    });
    let injected = inject(&pod, &InjectConfig::default()).expect("injectable");
    assert_eq!(
        injected["spec"]["volumes"],
        json!([{
            "name": "remora-agent",
            "hostPath": {"path": "/run/remora/pods/default_a", "type": "Directory"},
        }])
    );
}
