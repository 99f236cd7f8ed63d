//! Who should be injected and is not, and the certificate: what an API server tells.

use std::time::{Duration, SystemTime};

use base64::Engine as _;
use k8s_openapi::api::core::v1::Pod;
use remora_injector::webhook::{App, Ledger, WebhookConfig};
use remora_injector::{InjectConfig, inject};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::api_server::scripted;
use crate::client::{POST, ask, connect};
use crate::{ca, leaf, review};

fn pod(namespace: &str, name: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": name, "namespace": namespace, "uid": name},
        "spec": {"containers": [{"name": "app", "image": "x"}]},
        "status": {"phase": "Running"},
    })
}

fn typed(pod: Value) -> Pod {
    serde_json::from_value(pod).expect("a Pod")
}

fn names(ledger: &Ledger) -> Vec<String> {
    ledger.findings().into_iter().map(|finding| finding.name).collect()
}

#[test]
fn pods_from_before_the_label_are_missed_until_they_go() {
    let ledger = Ledger::new("remora");
    for (name, label) in [("shop", Some("enabled")), ("bank", Some("enforced")), ("lab", None)] {
        ledger.namespace(name, label);
    }
    for (namespace, label) in [("remora", "enforced"), ("kube-system", "enabled")] {
        ledger.namespace(namespace, Some(label));
        ledger.pod(&typed(pod(namespace, "system")));
    }
    ledger.pod(&typed(pod("shop", "cart")));
    ledger.pod(&typed(pod("bank", "safe")));
    ledger.pod(&typed(pod("lab", "rat")));
    let injected = inject(&pod("shop", "good"), &InjectConfig::default()).expect("injectable");
    ledger.pod(&typed(injected));
    let mut hosts = pod("shop", "host");
    hosts["spec"]["hostNetwork"] = json!(true);
    ledger.pod(&typed(hosts));
    let mut disabled = pod("shop", "out");
    disabled["metadata"]["labels"] = json!({"remora.dev/inject": "disabled"});
    ledger.pod(&typed(disabled.clone()));
    disabled["metadata"]["namespace"] = json!("bank");
    ledger.pod(&typed(disabled));
    assert_eq!(names(&ledger), ["out", "safe", "cart"]);

    ledger.namespace("lab", Some("enabled"));
    assert_eq!(names(&ledger), ["out", "safe", "rat", "cart"]);
    ledger.namespace("bank", None);
    let mut ended = pod("shop", "cart");
    ended["status"]["phase"] = json!("Succeeded");
    ledger.pod(&typed(ended));
    let mut leaving = pod("lab", "rat");
    leaving["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
    ledger.pod(&typed(leaving));
    assert!(names(&ledger).is_empty());
}

fn secret(certificate: &str, key: &str) -> Value {
    let encode = |text: &str| base64::engine::general_purpose::STANDARD.encode(text);
    json!({
        "apiVersion": "v1", "kind": "Secret",
        "metadata": {"name": "remora-injector-tls", "namespace": "remora", "resourceVersion": "7"},
        "data": {"tls.crt": encode(certificate), "tls.key": encode(key)},
    })
}

fn listed(kind: &str, items: &[Value]) -> Value {
    let metadata = json!({"resourceVersion": "7"});
    json!({"kind": format!("{kind}List"), "apiVersion": "v1", "metadata": metadata, "items": items})
}

/// A page of a webhook's plain ports.
async fn page(port: u16, path: &str) -> String {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await.expect("a port");
    let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.expect("sent");
    let mut text = String::new();
    stream.read_to_string(&mut text).await.expect("text");
    text
}

async fn until(port: u16, path: &str, words: &str) -> String {
    let look = async {
        loop {
            let text = page(port, path).await;
            if text.contains(words) {
                return text;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let looked = tokio::time::timeout(Duration::from_secs(20), look).await;
    looked.unwrap_or_else(|_| panic!("{path} never said {words}"))
}

fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.local_addr().expect("an address").port()
}

#[tokio::test]
async fn the_whole_webhook_serves_what_its_secret_holds_and_counts_who_is_missed() {
    let ca = ca();
    let certificate = leaf(&ca);
    let secret = secret(certificate.certificate(), certificate.key());
    let (client, _server) = scripted(move |_, path, body| {
        if path.contains("watch=true") {
            return (200, Value::Null);
        }
        let (resource, _) = path.split_once('?').unwrap_or((path, ""));
        match resource {
            "/api/v1/namespaces/remora/secrets" => {
                assert!(path.contains("metadata.name%3Dremora-injector-tls"), "{path}");
                (200, listed("Secret", std::slice::from_ref(&secret)))
            }
            "/api/v1/namespaces" => {
                let labels = json!({"remora.dev/inject": "enforced"});
                let metadata = json!({"name": "shop", "labels": labels});
                (200, listed("PartialObjectMetadata", &[json!({"metadata": metadata})]))
            }
            "/api/v1/pods" => (200, listed("Pod", &[pod("shop", "cart")])),
            _ => (201, body),
        }
    });
    let (metrics, health) = (free_port(), free_port());
    let local = |port: u16| ([127, 0, 0, 1], port).into();
    let config = WebhookConfig {
        namespace: "remora".to_owned(),
        replica: "injector-1".to_owned(),
        listen: local(0),
        metrics: local(metrics),
        health: local(health),
        secret: "remora-injector-tls".to_owned(),
        install: Default::default(),
    };
    let running = App::start(config, client).await.expect("a webhook");
    until(health, "/readyz", "200 OK").await;
    let mut stream = connect(running.address, ca.certificate()).await.expect("TLS");
    assert_eq!(ask(&mut stream, POST, review().to_string().as_bytes()).await.0, 200);
    let text = until(metrics, "/metrics", "{mode=\"enforced\",state=\"missed\"} 1").await;
    let end = certificate.not_after().duration_since(SystemTime::UNIX_EPOCH).expect("a time");
    // Certificates have whole seconds.
    let line = format!("remora_injector_certificate_expiry_timestamp_seconds {}\n", end.as_secs());
    assert!(text.contains(&line), "{text}");
    assert!(page(health, "/livez").await.contains("200 OK"));
    assert!(page(health, "/metrics").await.contains("404"));
    running.shutdown().await;
}
