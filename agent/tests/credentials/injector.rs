//! The injector's certificate: issued, renewed and believed, whatever else happens.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use k8s_openapi::ByteString;
use remora_certs::{Bundle, Given, Serving, client_config, server_config};
use rustls::pki_types::ServerName;
use serde_json::{Value, json};
use tokio::time::Instant;
use tokio_rustls::{TlsAcceptor, TlsConnector};

use crate::apiserver::ApiServer;
use crate::{MINUTE, Replica, SECRET, SOON, bundle, clock, within};

const LEAF: &str = "secrets/remora/remora-injector-tls";
const HOOKS: &str = "mutatingwebhookconfigurations//remora-injector";
const NAME: &str = "remora-injector.remora.svc";

fn install(server: &ApiServer) {
    let hook = |name: &str| {
        let service = json!({"name": "remora-injector", "namespace": "remora"});
        json!({
            "name": name, "clientConfig": {"service": service}, "sideEffects": "None",
            "admissionReviewVersions": ["v1"], "failurePolicy": "Fail",
        })
    };
    let webhooks = [hook("enabled.remora.dev"), hook("enforced.remora.dev")];
    server.put(HOOKS, json!({ "webhooks": webhooks }));
}

fn decoded(value: &Value) -> Option<Vec<u8>> {
    serde_json::from_value::<ByteString>(value.clone()).ok().map(|bytes| bytes.0)
}

/// What both webhooks are given to believe, once they are given the same.
fn believed(server: &ApiServer) -> Option<String> {
    let hooks = server.get(HOOKS)?["webhooks"].as_array()?.clone();
    let all: BTreeSet<_> =
        hooks.iter().map(|hook| decoded(&hook["clientConfig"]["caBundle"])).collect();
    match all.into_iter().collect::<Vec<_>>().as_slice() {
        [Some(bundle)] => String::from_utf8(bundle.clone()).ok(),
        _ => None,
    }
}

fn given(server: &ApiServer) -> Option<Given> {
    let data = server.get(LEAF)?["data"].clone();
    Given::parse(&decoded(&data["tls.crt"])?, &decoded(&data["tls.key"])?, LEAF).ok()
}

/// Whether an API server with this caBundle would go on after the handshake.
async fn is_taken(given: &Given, bundle: &str) -> bool {
    let serving: Arc<Serving> = Arc::default();
    serving.set(given.certified());
    let server = server_config(serving).expect("a server");
    let client = client_config(&Bundle::parse(bundle.as_bytes(), "a test").expect("a bundle"));
    let (near, far) = tokio::io::duplex(16 << 10);
    let name = ServerName::try_from(NAME).expect("a name");
    let (_, said) = tokio::join!(
        TlsAcceptor::from(server).accept(far),
        TlsConnector::from(client.expect("a client")).connect(name, near),
    );
    said.is_ok()
}

#[tokio::test(start_paused = true)]
async fn an_injector_gets_its_certificate_and_api_servers_the_bundle() {
    let server = ApiServer::new();
    install(&server);
    let _replica = Replica::start(&server, "one", &["shop"], &clock(Duration::ZERO));
    let shop = within(SOON, "the bundle", || bundle(&server, "shop")).await;
    let hooks = within(SOON, "the caBundle", || believed(&server)).await;
    assert_eq!(hooks, shop);
    let leaf = within(SOON, "a certificate", || given(&server)).await;
    assert!(is_taken(&leaf, &hooks).await);
    let secret = server.get(LEAF).expect("a secret");
    assert_eq!(secret["type"], "kubernetes.io/tls");
    let own = decoded(&server.get(SECRET).expect("a secret")["data"]["ca.key"]).expect("a key");
    assert!(!format!("{secret}").contains(&String::from_utf8(own).expect("PEM")), "no CA's key");
    assert_eq!(server.get(HOOKS).expect("hooks")["webhooks"][0]["failurePolicy"], "Fail");

    // Whatever somebody else does to either is mended.
    install(&server);
    within(SOON, "the caBundle", || believed(&server).filter(|now| *now == shop)).await;
    server.put(LEAF, json!({"data": {"tls.crt": "eA==", "tls.key": "eA=="}}));
    within(SOON, "a certificate", || given(&server)).await;
    server.delete(LEAF);
    within(SOON, "a certificate", || given(&server)).await;
    server.delete(HOOKS);
    tokio::time::sleep(SOON).await;
    assert!(server.get(HOOKS).is_none(), "webhooks are the installation's to make");
}

/// A rotation of the CA and many of the leaf: at any time, what is served is believed.
#[tokio::test(start_paused = true)]
async fn a_certificate_is_believed_through_rotations() {
    let server = ApiServer::new();
    install(&server);
    let length = 160 * MINUTE;
    let _replica = Replica::start(&server, "one", &["shop"], &clock(length));
    within(SOON, "the caBundle", || believed(&server)).await;
    within(SOON, "a certificate", || given(&server)).await;
    let begin = Instant::now();
    let (mut leaves, mut bundles) = (BTreeSet::new(), BTreeSet::new());
    let start = SystemTime::now() - length;
    while begin.elapsed() < length {
        let (leaf, hooks) = (given(&server).expect("a leaf"), believed(&server).expect("a bundle"));
        let now = start + begin.elapsed();
        assert!(leaf.not_before() <= now && now < leaf.not_after(), "after {:?}", begin.elapsed());
        let issuer = decoded(&server.get(LEAF).expect("a leaf")["data"]["ca.crt"]).expect("PEM");
        assert!(hooks.contains(&String::from_utf8(issuer).expect("PEM")));
        leaves.insert(leaf.not_after());
        bundles.insert(hooks);
        tokio::time::sleep(MINUTE).await;
    }
    // The old one, the old before the new, the new before the old, the new one.
    assert_eq!(bundles.len(), 4);
    // Leaves of twenty minutes.
    assert!(leaves.len() >= 10, "{}", leaves.len());
    assert!(
        is_taken(&given(&server).expect("a leaf"), &believed(&server).expect("a bundle")).await
    );
}

#[tokio::test(start_paused = true)]
async fn a_ca_bundle_that_cannot_be_written_holds_up_the_new_ca() {
    let server = ApiServer::new();
    install(&server);
    let _replica = Replica::start(&server, "one", &["shop"], &clock(Duration::ZERO));
    within(SOON, "the caBundle", || believed(&server)).await;
    server.forbid("PATCH mutatingwebhookconfigurations", true);
    within(121 * MINUTE, "the next CA", || server.get(SECRET)?["data"].get("next.crt").cloned())
        .await;
    tokio::time::sleep(20 * MINUTE).await;
    let published = |server: &ApiServer| server.get(SECRET)?["data"].get("next.published").cloned();
    assert!(published(&server).is_none());
    server.forbid("PATCH mutatingwebhookconfigurations", false);
    within(MINUTE, "the bundle", || published(&server)).await;
}
