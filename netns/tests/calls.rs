//! What a kubelet does for an injected pod beyond starting it: hooks, the CA bundle, the token.

mod common;

use std::fs;

use common::{LIMIT, example, node, node_with, pod, run, server, shell};
use remora_injector::{AgentAddress, InjectConfig, inject};
use remora_netns::{Image, Images};
use serde_json::{Value, json};

fn get(path: &str) -> Value {
    json!({ "httpGet": { "path": path, "port": 8080 } })
}

/// [`server`], once it listens, and a shell beside it with these hooks.
fn hooked(name: &str, hooks: Value) -> Value {
    let mut sidecar = server();
    sidecar["restartPolicy"] = json!("Always");
    sidecar["startupProbe"] = json!({ "tcpSocket": { "port": 8080 }, "periodSeconds": 1 });
    let mut main = shell("main", "trap 'exit 0' TERM; echo up; while :; do sleep 0.02; done");
    main["lifecycle"] = hooks;
    let mut manifest = pod(name, json!([main]));
    manifest["spec"]["initContainers"] = json!([sidecar]);
    manifest
}

#[test]
fn hooks_are_called_from_the_node_after_the_start_and_before_the_stop() {
    let node = node();
    let hooks = json!({ "postStart": get("/start"), "preStop": get("/stop") });
    let mut pod = run(&node, &hooked("hooked", hooks));
    let from_node = |path: &str| format!("10.77.0.1 GET {path} HTTP/1.1\n");
    let log = pod.logs("server").unwrap();
    assert!(log.ends_with(&from_node("/start")) && !log.contains("/stop"), "{log}");
    pod.wait_log("main", |log| log == "up\n", LIMIT).unwrap();
    assert_eq!(pod.stop()[0], ("main".to_owned(), 0));
    let log = pod.logs("server").unwrap();
    assert!(log.ends_with(&(from_node("/start") + &from_node("/stop"))), "{log}");
}

#[test]
fn a_container_whose_hook_fails_is_started_again() {
    let node = node();
    let mut manifest = hooked(
        "failing",
        json!({ "postStart": { "exec": { "command": ["sh", "-c",
        "test -e /shared/once || { touch /shared/once; echo not yet >&2; exit 3; }"] } } }),
    );
    manifest["spec"]["volumes"] = json!([{ "name": "shared", "emptyDir": {} }]);
    manifest["spec"]["containers"][0]["volumeMounts"] =
        json!([{ "name": "shared", "mountPath": "/shared" }]);
    assert_eq!(run(&node, &manifest).restarts("main").unwrap(), 1);

    let mut never = hooked("never", json!({ "postStart": get("/start") }));
    never["spec"]["containers"][0]["lifecycle"]["postStart"]["httpGet"]["port"] = json!(1);
    never["spec"]["restartPolicy"] = json!("Never");
    let error = node.run_pod(&never, |_| Ok(())).unwrap_err().to_string();
    assert!(error.contains("its postStart hook failed: Connection refused"), "{error}");
}

#[test]
fn a_bundle_that_comes_later_reaches_the_pod_and_the_token_names_it() {
    let node = node();
    let mut manifest = pod("credited", json!([shell("main", "sleep 60")]));
    manifest["spec"]["serviceAccountName"] = json!("cart");
    manifest["spec"]["volumes"] = json!([
        { "name": "ca", "configMap": { "name": "remora-ca", "optional": true } },
        { "name": "token", "projected": { "sources": [{ "serviceAccountToken":
            { "audience": "remora-agent", "expirationSeconds": 3600, "path": "token" } }] } },
    ]);
    manifest["spec"]["containers"][0]["volumeMounts"] = json!([
        { "name": "ca", "mountPath": "/run/ca", "readOnly": true },
        { "name": "token", "mountPath": "/run/token", "readOnly": true },
    ]);
    manifest["spec"]["containers"][0]["securityContext"] = json!({
        "runAsUser": 16006, "runAsGroup": 16006, "seccompProfile": { "type": "RuntimeDefault" },
    });
    let pod = run(&node, &manifest);
    let read = |path: &str| pod.exec("main", &["cat", path]).unwrap().stdout;
    let token: Value = serde_json::from_str(&read("/run/token/token")).unwrap();
    let expected = json!({
        "aud": ["remora-agent"],
        "sub": "system:serviceaccount:default:cart",
        "kubernetes.io": {
            "namespace": "default",
            "pod": { "name": "credited", "uid": pod.uid() },
            "serviceaccount": { "name": "cart" },
        },
    });
    assert_eq!(token, expected);
    assert_eq!(pod.exec("main", &["ls", "/run/ca"]).unwrap().stdout, "");
    fs::write(node.work_dir().join("configmaps/default/remora-ca/ca.crt"), "bundle").unwrap();
    assert_eq!(read("/run/ca/ca.crt"), "bundle");
    assert_ne!(pod.exec("main", &["touch", "/run/ca/x"]).unwrap().code, 0);

    // One that is not optional holds the pod until it is there.
    manifest["metadata"]["name"] = json!("patient");
    manifest["spec"]["volumes"][0]["configMap"] = json!({ "name": "later" });
    let later = node.work_dir().join("configmaps/default/later");
    let report = move |_: &Value| fs::create_dir(later);
    node.run_pod(&manifest, report).unwrap().wait_log("main", str::is_empty, LIMIT).unwrap();
}

/// In the place of Remora's images: an init container that does nothing, and a sidecar that
/// is ready and answers whatever comes to its health port.
fn stand_ins(config: &InjectConfig) -> Images {
    let mut sidecar = Image::distro(&["/peer_server", "16021"]);
    sidecar.files.push((example("peer_server"), "/peer_server".to_owned()));
    sidecar.files.push(("/usr/bin/true".into(), "/remora-sidecar".to_owned()));
    Images::new()
        .with(&config.init_image, Image::distro(&["true"]))
        .with(&config.sidecar_image, sidecar)
}

#[test]
fn what_was_injected_either_way_runs_and_is_probed_at_the_sidecar() {
    let usual = InjectConfig::default();
    let node = node_with(stand_ins(&usual));
    let sockets = node.work_dir().join("sockets");
    let with_sockets =
        InjectConfig { agent: AgentAddress::Sockets(sockets.clone()), ..usual.clone() };
    // The app itself listens nowhere: only the stand-in can have answered.
    let mut app = shell("app", "trap 'exit 0' TERM; echo up; while :; do sleep 0.02; done");
    app["startupProbe"] = json!({ "grpc": { "port": 1 }, "periodSeconds": 1 });
    app["readinessProbe"] = json!({ "tcpSocket": { "port": 1 }, "periodSeconds": 1 });
    app["lifecycle"] = json!({ "preStop": { "httpGet": { "port": 1, "scheme": "HTTPS" } } });
    for (name, config) in [("in-a-cluster", &usual), ("with-sockets", &with_sockets)] {
        let injected = inject(&pod(name, json!([app])), config).unwrap();
        let directory = sockets.join(format!("default_{name}"));
        let report = |_: &Value| fs::create_dir_all(directory);
        let mut pod = node.run_pod(&injected, report).unwrap();
        assert!(pod.ready("app").unwrap());
        pod.wait_log("app", |log| log == "up\n", LIMIT).unwrap();
        assert_eq!(pod.stop()[0], ("app".to_owned(), 0));
        let log = pod.logs("remora").unwrap();
        for path in ["/probe/app/startup", "/probe/app/readiness", "/lifecycle/app/preStop"] {
            assert!(log.contains(&format!("10.77.0.1 GET {path} HTTP/1.1\n")), "{log}");
        }
    }
}
