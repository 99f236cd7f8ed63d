//! What is printed, of clusters that answer by script.

use std::convert::Infallible;

use http::{Request, Response};
use kube::Client;
use kube::client::Body;
use remora_injector::admission::{Skip, State};
use remora_injector::{InjectConfig, ProxyMode, inject};
use serde_json::{Value, json};

use super::report::{Check, is_good, json as as_json, table};
use super::status::{Row, Sidecar};
use super::{certificates, installed, pre, status};

/// A cluster that answers each path with what `script` says; none is 404.
fn cluster(script: impl Fn(&str) -> Option<Value> + Clone + Send + Sync + 'static) -> Client {
    let service = tower::service_fn(move |request: Request<Body>| {
        let answer = script(request.uri().path());
        async move {
            let status = if answer.is_some() { 200 } else { 404 };
            let missing = json!({
                "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
                "message": "not found", "reason": "NotFound", "code": 404,
            });
            let text = match answer.unwrap_or(missing) {
                Value::String(text) => text,
                value => value.to_string(),
            };
            let response = Response::builder().status(status).body(Body::from(text.into_bytes()));
            Ok::<_, Infallible>(response.expect("a response"))
        }
    });
    Client::new(service, "default")
}

fn list(items: &[Value]) -> Value {
    json!({"kind": "List", "apiVersion": "v1", "metadata": {}, "items": items})
}

fn version(minor: &str) -> Value {
    json!({
        "major": "1", "minor": minor, "gitVersion": format!("v1.{minor}.1"), "gitCommit": "", "gitTreeState": "",
        "buildDate": "", "goVersion": "", "compiler": "", "platform": "",
    })
}

fn node(kubelet: &str) -> Value {
    let info = json!({
        "architecture": "amd64", "bootID": "", "containerRuntimeVersion": "", "kernelVersion": "",
        "kubeProxyVersion": "", "kubeletVersion": kubelet, "machineID": "", "operatingSystem": "linux",
        "osImage": "", "systemUUID": "",
    });
    json!({"metadata": {"name": "n1"}, "status": {"nodeInfo": info}})
}

fn outcome<'a>(checks: &'a [Check], name: &str) -> &'a Check {
    checks
        .iter()
        .find(|check| check.name == name)
        .unwrap_or_else(|| panic!("no {name}: {checks:?}"))
}

fn before(minor: &'static str, kubelet: &'static str, allowed: bool, hook: &'static str) -> Client {
    cluster(move |path| match path {
        "/version" => Some(version(minor)),
        "/api/v1/nodes" => Some(list(&[node(kubelet)])),
        "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews" => {
            Some(json!({"spec": {}, "status": {"allowed": allowed}}))
        }
        path if path.ends_with("/mutatingwebhookconfigurations") => {
            Some(list(&[json!({"metadata": {"name": hook}})]))
        }
        _ => None,
    })
}

#[tokio::test]
async fn what_stands_in_the_way_of_an_installation_is_told() {
    let good = pre::checks(&before("33+", "v1.33.0-gke.1", true, "x")).await;
    assert!(is_good(&good) && good.len() == 4, "{good:?}");
    let table = [
        (before("32", "v1.33.0", true, "x"), "api-server"),
        (before("34", "v1.32.9", true, "x"), "nodes"),
        (before("34", "v1.34.0", false, "x"), "install-rights"),
    ];
    for (client, name) in table {
        let checks = pre::checks(&client).await;
        assert!(!outcome(&checks, name).outcome_is_good(), "{name}");
        assert!(checks.iter().filter(|check| !check.outcome_is_good()).count() == 1, "{checks:?}");
    }
    let meshed = pre::checks(&before("34", "v1.34.0", true, "istio-sidecar-injector")).await;
    assert!(is_good(&meshed), "a warning");
    assert!(super::report::table(&meshed).contains("‼ other-meshes: Istio is there"));
}

fn pod(namespace: &str, name: &str, spec: &Value) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": namespace}, "spec": spec,
    })
}

fn plain(name: &str) -> Value {
    pod("shop", name, &json!({"containers": [{"name": "app", "image": "x"}]}))
}

fn injected(name: &str) -> Value {
    inject(&plain(name), &InjectConfig::default()).expect("injectable")
}

/// A pod that is served by its node, `n1`.
fn on_its_node(name: &str) -> Value {
    let config = InjectConfig { mode: ProxyMode::Node, ..InjectConfig::default() };
    let mut pod = inject(&plain(name), &config).expect("injectable");
    pod["spec"]["nodeName"] = json!("n1");
    pod
}

/// The proxy of a node.
fn proxy(node: &str, is_ready: bool) -> Value {
    let ready = json!({"type": "Ready", "status": if is_ready { "True" } else { "False" }});
    json!({
        "metadata": {"name": format!("remora-node-{node}")},
        "spec": {"nodeName": node, "containers": []}, "status": {"conditions": [ready]},
    })
}

const METRICS: &str = "\
# TYPE remora_requests_total counter
remora_requests_total{l7proto=\"memcache\",verdict=\"FORWARDED\"} 3
remora_requests_total{l7proto=\"r2d2\",verdict=\"FORWARDED\"} 4
remora_requests_total{l7proto=\"memcache\",verdict=\"DROPPED\"} 2
remora_policy_version 18446744073709551615
remora_policy_version_timestamp_seconds 1000
remora_agent_connected 1
";

/// An installation in which everything works, but for what `wrong` answers otherwise.
fn installation(
    wrong: impl Fn(&str) -> Option<Option<Value>> + Clone + Send + Sync + 'static,
) -> Client {
    cluster(move |path| {
        wrong(path).unwrap_or_else(|| {
        let hook = |name: &str| json!({
            "name": name, "admissionReviewVersions": ["v1"], "sideEffects": "None",
            "clientConfig": {"caBundle": "eA=="},
        });
        let namespaced = |name: &str, labels: Value| json!({"metadata": {"name": name, "labels": labels}});
        let last = path.rsplit('/').next().unwrap_or_default();
        match path {
            "/version" => Some(version("34")),
            "/api/v1/namespaces" => Some(list(&[
                namespaced("shop", json!({"remora.dev/inject": "enabled"})),
                namespaced("lab", json!({})),
            ])),
            "/api/v1/namespaces/shop/pods" => Some(list(&[injected("cart")])),
            "/api/v1/namespaces/remora/pods" => Some(list(&[json!({"metadata": {"name": "remora-injector-1"}})])),
            path if path.ends_with("/proxy/metrics") => {
                let end = "remora_injector_certificate_expiry_timestamp_seconds 4000000000\n";
                Some(Value::String(format!("{METRICS}{end}")))
            }
            path if path.contains("/customresourcedefinitions/") => Some(json!({
                "metadata": {"name": last}, "spec": {
                    "group": "policy.remora.dev", "scope": "Namespaced", "versions": [],
                    "names": {"kind": "X", "plural": "x"},
                },
                "status": {"conditions": [{"type": "Established", "status": "True"}]},
            })),
            path if path.contains("/deployments/") => {
                Some(json!({"metadata": {"name": last}, "status": {"replicas": 2, "readyReplicas": 2}}))
            }
            path if path.contains("/mutatingwebhookconfigurations/") => Some(json!({
                "metadata": {"name": last}, "webhooks": [hook("enabled"), hook("enforced")],
            })),
            path if path.contains("/validatingadmissionpolicybindings/") || path.contains("/configmaps/") => {
                Some(json!({"metadata": {"name": last}}))
            }
            _ => None,
        }
    })
    })
}

/// What a dry run of a pod gives is told apart from a list by nothing but the method, so the
/// script answers both with the same: a pod that is injected, and holds no items.
fn with_trial(path: &str) -> Option<Option<Value>> {
    let both = || {
        let mut pod = injected("cart");
        pod["items"] = json!([injected("cart")]);
        pod
    };
    (path == "/api/v1/namespaces/shop/pods").then(|| Some(both()))
}

#[tokio::test]
async fn an_installation_that_works_is_told_so() {
    let checks = installed::checks(&installation(with_trial), "remora").await;
    assert!(is_good(&checks), "{}", table(&checks));
    assert!(checks.iter().all(Check::outcome_is_good));
    assert!(table(&checks).ends_with("\n√ nothing is wrong\n"));
    assert_eq!(as_json(&checks)["good"], true);
}

#[tokio::test]
async fn whatever_is_wrong_is_told_with_a_hint() {
    type Wrong = fn(&str) -> Option<Option<Value>>;
    let table_of: [(Wrong, &str); 7] = [
        (|path| path.contains("/customresourcedefinitions/").then_some(None), "definitions"),
        (|path| path.ends_with("/remora-agent").then_some(None), "agent-ready"),
        (
            |path| {
                path.ends_with("/deployments/remora-injector")
                    .then(|| Some(json!({"metadata": {}})))
            },
            "injector-ready",
        ),
        (|path| path.contains("/mutatingwebhookconfigurations/").then_some(None), "webhooks"),
        (|path| path.ends_with("/proxy/metrics").then(|| Some(json!("x 1\n"))), "certificates"),
        (
            |path| {
                (path == "/api/v1/namespaces").then(|| {
                    let labels = json!({"remora.dev/inject": "on"});
                    Some(list(&[json!({"metadata": {"name": "shop", "labels": labels}})]))
                })
            },
            "labels",
        ),
        (
            |path| {
                (path == "/api/v1/namespaces/shop/pods").then(|| {
                    let mut answer = injected("cart");
                    answer["items"] = json!([plain("till")]);
                    Some(answer)
                })
            },
            "missed",
        ),
    ];
    for (wrong, name) in table_of {
        let script = move |path: &str| wrong(path).or_else(|| with_trial(path));
        let checks = installed::checks(&installation(script), "remora").await;
        assert!(!outcome(&checks, name).outcome_is_good(), "{name}: {}", table(&checks));
        let text = table(&checks);
        assert!(text.contains(&format!("see docs/check.md#{name}\n")), "{text}");
        let json = as_json(&checks);
        assert_eq!(json["good"], false);
        let all = json["checks"].as_array().expect("checks");
        let one = all.iter().find(|one| one["name"] == name).expect("the check");
        assert_eq!(one["outcome"], "bad");
    }
}

#[tokio::test]
async fn pods_whose_node_has_no_proxy_are_named() {
    let stories = [
        (vec![proxy("n1", true)], true),
        (vec![proxy("n1", false), proxy("n2", true)], false),
        (vec![], false),
    ];
    for (proxies, is_good) in stories {
        let script = move |path: &str| match path {
            "/api/v1/namespaces/shop/pods" => {
                let mut answer = on_its_node("cart");
                answer["items"] = json!([on_its_node("cart"), injected("till")]);
                Some(Some(answer))
            }
            "/api/v1/namespaces/remora/pods" => {
                let mut all = proxies.clone();
                all.push(json!({"metadata": {"name": "remora-injector-1"}}));
                Some(Some(list(&all)))
            }
            _ => None,
        };
        let checks = installed::checks(&installation(script), "remora").await;
        let check = outcome(&checks, "node-proxies");
        assert_eq!(check.outcome_is_good(), is_good, "{}", table(&checks));
        let says =
            if is_good { "ready on 1 nodes, for 1 pods" } else { "these pods: shop/cart on n1\n" };
        assert!(table(&checks).contains(says), "{}", table(&checks));
        assert!(table(&checks).contains("√ injects: a pod tried in namespace shop has Remora"));
    }
}

/// Every name that a check can have is a section of the page that hints lead to.
#[tokio::test]
async fn hints_lead_somewhere() {
    let page = include_str!("../../../docs/check.md");
    let mut checks = pre::checks(&before("34", "v1.34.0", true, "x")).await;
    checks.extend(installed::checks(&installation(with_trial), "remora").await);
    for name in checks.iter().map(|check| check.name).chain(["pod-security", "node-proxies"]) {
        assert!(page.contains(&format!("\n### {name}\n")), "docs/check.md has no section {name}");
    }
}

#[tokio::test]
async fn every_pod_of_a_labelled_namespace_has_its_row() {
    let client = installation(|path| {
        (path == "/api/v1/namespaces/shop/pods").then(|| {
            let mut host = plain("host");
            host["spec"]["hostNetwork"] = json!(true);
            Some(list(&[injected("cart"), plain("till"), host, on_its_node("shelf")]))
        })
    });
    let rows = status::rows(&client, "remora", None).await.expect("rows");
    let states: Vec<_> = rows.iter().map(|row| (row.pod.as_str(), row.state)).collect();
    let expected = [
        ("cart", State::Injected),
        ("till", State::Missed),
        ("host", State::Skipped(Skip::HostNetwork)),
        ("shelf", State::Injected),
    ];
    assert_eq!(states, expected);
    let text = status::table(&rows, 1060.0);
    let cart = text.lines().find(|line| line.contains("cart")).expect("a line");
    let words: Vec<_> = cart.split_whitespace().collect();
    let version = u64::MAX.to_string();
    assert_eq!(words, ["shop", "cart", "injected", &version, "60", "s", "connected", "7", "2"]);
    assert!(
        text.contains("NO: older than the label")
            && text.contains("no: it uses the node's network")
    );
    let shelf = text.lines().find(|line| line.contains("shelf")).expect("a line");
    assert!(shelf.contains("injected, by its node") && shelf.contains("connected"), "{shelf}");
    let json = status::to_json(&rows, 1060.0);
    assert_eq!((&json[0]["mode"], &json[1]["mode"]), (&json!("sidecar"), &Value::Null));
    assert_eq!((&json[3]["mode"], &json[3]["state"]), (&json!("node"), &json!("injected")));
    assert_eq!(json[0]["sidecar"]["ackAgeSeconds"], 60.0);
    assert_eq!(json[0]["sidecar"]["policyVersion"], u64::MAX);
    assert_eq!((&json[1]["state"], &json[2]["why"].is_string()), (&json!("missed"), &true));
    assert!(status::rows(&client, "remora", Some("lab")).await.expect("rows").is_empty());
}

#[tokio::test]
async fn what_certificates_have_left_is_told() {
    let ends = certificates::ends(&installation(with_trial), "remora", 3_999_996_400.0).await;
    // The script has one pod for either question, and its metrics are an injector's.
    let injector = "remora-injector-1".to_owned();
    assert_eq!(ends, [(injector.clone(), None), (injector, Some(3600.0))]);
    assert_eq!(certificates::line(&ends), "remora-injector-1 ?, remora-injector-1 60 min");
    let json = certificates::to_json(&ends);
    assert_eq!(json[1], json!({"pod": "remora-injector-1", "endsInSeconds": 3600.0}));
    assert_eq!(json[0]["endsInSeconds"], Value::Null);
}

#[test]
fn a_sidecar_without_a_policy_says_so() {
    let row = Row {
        namespace: "shop".to_owned(),
        pod: "cart".to_owned(),
        state: State::Injected,
        mode: Some(ProxyMode::Sidecar),
        sidecar: Some(Ok(Sidecar::read(
            "remora_policy_version_timestamp_seconds 0\nremora_agent_connected 0\n",
        ))),
    };
    let text = status::table(&[row], 10.0);
    assert!(text.contains(" none ") && text.contains("AWAY"), "{text}");
}
