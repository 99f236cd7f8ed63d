//! What an installation runs once: before it goes, and to try whether it works.

use k8s_openapi::api::admissionregistration::v1::{MutatingWebhook, MutatingWebhookConfiguration};
use k8s_openapi::api::core::v1::Service;
use kube::api::DeleteParams;
use kube::{Api, Client};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use serde_json::{Value, json};

use super::app::StartError;
use super::certificate::explain;

/// Removes the webhook's configuration; one that is gone already is as good.
///
/// # Errors
/// The API server's.
pub async fn remove_webhooks(client: Client, name: &str) -> Result<(), StartError> {
    let api: Api<MutatingWebhookConfiguration> = Api::all(client);
    match api.delete(name, &DeleteParams::default()).await {
        Ok(_) => Ok(()),
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(()),
        Err(error) => Err(StartError::ApiServer(explain(&error))),
    }
}

/// Sends the review of a pod that nobody creates to each entry of the configuration, over its
/// Service and with its caBundle, as the API server does. Gives a line for each.
///
/// # Errors
/// What stands in the way, for the first that does not inject.
pub async fn try_out(client: Client, name: &str) -> Result<Vec<String>, StartError> {
    let refused = |error: kube::Error| StartError::ApiServer(explain(&error));
    let api: Api<MutatingWebhookConfiguration> = Api::all(client.clone());
    let configuration = api.get(name).await.map_err(refused)?;
    let mut lines = Vec::new();
    for webhook in configuration.webhooks.unwrap_or_default() {
        let caller = caller(client.clone(), &webhook).await?;
        let path = webhook.client_config.service.and_then(|service| service.path);
        let request = http::Request::post(path.unwrap_or_default())
            .header("content-type", "application/json")
            .body(review().to_string().into_bytes())
            .map_err(|error| StartError::ApiServer(error.to_string()))?;
        let answer: Value = caller.request(request).await.map_err(refused)?;
        let response = &answer.get("response").cloned().unwrap_or_default();
        if response.get("patch").is_none() {
            let text =
                format!("{}: a pod that can be injected was answered {response}", webhook.name);
            return Err(StartError::ApiServer(text));
        }
        lines.push(format!("{}: injects", webhook.name));
    }
    match lines.is_empty() {
        true => Err(StartError::ApiServer(format!("{name} has no webhooks"))),
        false => Ok(lines),
    }
}

/// A client of this webhook's Service, by its address: a name would have to be looked up.
async fn caller(client: Client, webhook: &MutatingWebhook) -> Result<Client, StartError> {
    let wrong = |what: &str| StartError::ApiServer(format!("{}: {what}", webhook.name));
    let config = &webhook.client_config;
    let service = config.service.as_ref().ok_or_else(|| wrong("it has no Service"))?;
    let bundle = config.ca_bundle.as_ref().ok_or_else(|| wrong("it has no caBundle yet"))?;
    let roots: Vec<Vec<u8>> = CertificateDer::pem_slice_iter(&bundle.0)
        .map(|certificate| certificate.map(|certificate| certificate.to_vec()))
        .collect::<Result<_, _>>()
        .map_err(|error| wrong(&format!("its caBundle is no PEM: {error}")))?;
    let api: Api<Service> = Api::namespaced(client, &service.namespace);
    let found = api.get(&service.name).await.map_err(|error| wrong(&explain(&error)))?;
    let address = found.spec.and_then(|spec| spec.cluster_ip);
    let address = address.ok_or_else(|| wrong("its Service has no address"))?;
    let host = if address.contains(':') { format!("[{address}]") } else { address };
    let url = format!("https://{host}:{}", service.port.unwrap_or(443));
    let url = url.parse().map_err(|_| wrong("its Service's address is none"))?;
    let mut config = kube::Config::new(url);
    config.root_cert = Some(roots);
    config.tls_server_name = Some(format!("{}.{}.svc", service.name, service.namespace));
    Client::try_from(config).map_err(|error| wrong(&error.to_string()))
}

fn review() -> Value {
    let container = json!({
        "name": "app", "image": "example",
        "securityContext": {"capabilities": {"drop": ["ALL"]}},
    });
    json!({
        "apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview",
        "request": {
            "uid": "remora-injector-try", "operation": "CREATE", "dryRun": true,
            "kind": {"group": "", "version": "v1", "kind": "Pod"},
            "resource": {"group": "", "version": "v1", "resource": "pods"},
            "namespace": "default",
            "object": {
                "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "example"},
                "spec": {"containers": [container]},
            },
        },
    })
}
