//! What an installation runs once.

use remora_injector::webhook::{remove_webhooks, try_out};
use serde_json::json;

use crate::api_server::{scripted, status};

#[tokio::test]
async fn webhooks_are_removed_and_gone_is_as_good() {
    for (answer, is_good) in [
        (
            (
                200,
                json!({"kind": "Status", "apiVersion": "v1", "status": "Success", "metadata": {}}),
            ),
            true,
        ),
        (status(404, "NotFound"), true),
        (status(403, "Forbidden"), false),
    ] {
        let (client, _server) = scripted(move |method, path, _| {
            let configurations =
                "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations";
            assert_eq!(
                (method, path),
                ("DELETE", format!("{configurations}/remora-injector?").as_str())
            );
            answer.clone()
        });
        let outcome = remove_webhooks(client, "remora-injector").await;
        assert_eq!(outcome.is_ok(), is_good, "{outcome:?}");
    }
}

#[tokio::test]
async fn a_configuration_without_a_bundle_is_told() {
    let (client, _server) = scripted(|_, _, _| {
        let service =
            json!({"name": "remora-injector", "namespace": "remora", "path": "/inject/enabled"});
        let webhook = json!({
            "name": "enabled.remora.dev", "admissionReviewVersions": ["v1"], "sideEffects": "None",
            "clientConfig": {"service": service},
        });
        (
            200,
            json!({
                "apiVersion": "admissionregistration.k8s.io/v1", "kind": "MutatingWebhookConfiguration",
                "metadata": {"name": "remora-injector"}, "webhooks": [webhook],
            }),
        )
    });
    let error = try_out(client, "remora-injector").await.expect_err("no bundle").to_string();
    assert!(error.contains("enabled.remora.dev: it has no caBundle yet"), "{error}");
}
