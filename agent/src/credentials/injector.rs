//! The injector's certificate, and who vouches for it to the API server.
//!
//! The injector answers whoever reaches its port, so it holds no key but its own: the leader
//! issues that, into a Secret which the injector follows, and writes the bundle into the
//! webhook configuration, whose `caBundle` nobody else renders.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use k8s_openapi::ByteString;
use k8s_openapi::api::admissionregistration::v1::MutatingWebhookConfiguration;
use k8s_openapi::api::core::v1::Secret;
use kube::api::{ObjectMeta, Patch, PatchParams, PostParams};
use kube::{Api, Client};
use remora_certs::{Authority, Given, Schedule};
use serde_json::json;
use tokio::sync::watch;

use super::named::{State, follow};
use super::{Config, MANAGER, Owners, explain, is_owned};

/// The fields of a Secret of type `kubernetes.io/tls`; the third is who issued.
const CERTIFICATE: &str = "tls.crt";
const KEY: &str = "tls.key";
const ISSUER: &str = "ca.crt";

/// The leader's tools for the injector.
pub(super) struct Injector {
    client: Client,
    namespace: String,
    /// Of the webhook configuration, and of the Service that it names.
    name: String,
    owners: Owners,
    pub(super) leaves: watch::Receiver<State<Leaf>>,
    pub(super) hooks: watch::Receiver<State<Hooks>>,
}

/// Where both states come from.
pub(super) struct Followed {
    leaves: watch::Sender<State<Leaf>>,
    hooks: watch::Sender<State<Hooks>>,
}

/// The Secret as it was read.
#[derive(Clone, PartialEq)]
pub(super) struct Leaf {
    version: Option<String>,
    owners: Owners,
    fields: BTreeMap<String, Vec<u8>>,
}

/// The webhooks of the configuration, each with its bundle.
pub(super) type Hooks = Vec<(String, Vec<u8>)>;

impl Injector {
    pub(super) fn new(config: &Config, name: &str) -> (Self, Followed) {
        let (leaves, leaf) = watch::channel(State::Unknown);
        let (hooks, hook) = watch::channel(State::Unknown);
        let injector = Self {
            client: config.client.clone(),
            namespace: config.namespace.clone(),
            name: name.to_owned(),
            owners: config.owners.clone(),
            leaves: leaf,
            hooks: hook,
        };
        (injector, Followed { leaves, hooks })
    }

    /// Follows both objects for as long as this is polled.
    pub(super) async fn follow(&self, followed: &Followed) {
        let secrets: Api<Secret> = Api::namespaced(self.client.clone(), &self.namespace);
        let hooks: Api<MutatingWebhookConfiguration> = Api::all(self.client.clone());
        let name = self.secret();
        tokio::join!(
            follow(secrets, ("the injector's secret", &name), followed.leaves.clone(), Leaf::read),
            follow(hooks, ("webhooks", &self.name), followed.hooks.clone(), read_hooks),
        );
    }

    /// Sees to it that the certificate is one of the active CA's, and not old; says when to
    /// look again.
    pub(super) async fn keep(
        &self,
        authority: &Authority,
        now: SystemTime,
        schedule: &Schedule,
    ) -> Result<Option<SystemTime>, String> {
        let state = self.leaves.borrow().clone();
        let before = match &state {
            State::Unknown => return Ok(None),
            State::Absent => None,
            State::Present(leaf) => Some(leaf),
        };
        let owned = before.filter(|leaf| is_owned(&leaf.owners, &self.owners));
        let due = owned.and_then(|leaf| leaf.renew_at(authority));
        if due.is_some_and(|due| now < due) {
            return Ok(due);
        }
        let names = [format!("{}.{}.svc", self.name, self.namespace)];
        let leaf = authority.issue(&names, now, schedule).map_err(|error| error.to_string())?;
        let fields = [
            (CERTIFICATE, leaf.certificate()),
            (KEY, leaf.key()),
            (ISSUER, authority.active().certificate()),
        ];
        match self.write(&fields, before).await {
            Ok(()) => tracing::info!(
                "secret {}: a new certificate for {}",
                self.secret(),
                names.join(", ")
            ),
            // Another leader was first: the watch will tell.
            Err(kube::Error::Api(status)) if status.code == 409 => {}
            Err(error) => {
                let error = explain(&error);
                return Err(format!(
                    "secret {}/{}: {error}; the injector keeps its last certificate while it lasts: see that the agent's role allows it",
                    self.namespace,
                    self.secret()
                ));
            }
        }
        Ok(None)
    }

    /// Says whether all webhooks that there are were found to have this bundle.
    pub(super) async fn publish(&self, bundle: &str) -> Result<bool, String> {
        let state = self.hooks.borrow().clone();
        let hooks = match state {
            State::Unknown => return Ok(false),
            // Nobody is called, so nobody need be believed.
            State::Absent => return Ok(true),
            State::Present(hooks) => hooks,
        };
        let stale = hooks.iter().filter(|(_, found)| found != bundle.as_bytes());
        let patches: Vec<_> = stale
            .map(|(name, _)| json!({"name": name, "clientConfig": {"caBundle": ByteString(bundle.into())}}))
            .collect();
        if patches.is_empty() {
            return Ok(true);
        }
        let api: Api<MutatingWebhookConfiguration> = Api::all(self.client.clone());
        // By name, and never making one: the rest of a webhook is the installation's.
        let patch = Patch::Strategic(json!({ "webhooks": patches }));
        let params =
            PatchParams { field_manager: Some(MANAGER.to_owned()), ..PatchParams::default() };
        match api.patch(&self.name, &params, &patch).await {
            // It counts once the watch has seen it.
            Ok(_) => Ok(false),
            Err(kube::Error::Api(status)) if status.code == 404 => Ok(true),
            Err(error) => Err(format!(
                "webhook configuration {}: {}; API servers do not believe the injector until its caBundle can be written: see that the agent's role allows it",
                self.name,
                explain(&error)
            )),
        }
    }

    fn secret(&self) -> String {
        format!("{}-tls", self.name)
    }

    async fn write(&self, fields: &[(&str, &str)], before: Option<&Leaf>) -> kube::Result<()> {
        let api: Api<Secret> = Api::namespaced(self.client.clone(), &self.namespace);
        let field = |(name, text): &(&str, &str)| {
            ((*name).to_owned(), ByteString(text.as_bytes().to_owned()))
        };
        let name = self.secret();
        let secret = Secret {
            metadata: ObjectMeta {
                name: Some(name.clone()),
                namespace: Some(self.namespace.clone()),
                owner_references: self.owners.clone(),
                resource_version: before.and_then(|before| before.version.clone()),
                ..ObjectMeta::default()
            },
            data: Some(fields.iter().map(field).collect()),
            type_: Some("kubernetes.io/tls".to_owned()),
            ..Secret::default()
        };
        let params =
            PostParams { field_manager: Some(MANAGER.to_owned()), ..PostParams::default() };
        match before {
            None => api.create(&params, &secret).await.map(drop),
            Some(_) => api.replace(&name, &params, &secret).await.map(drop),
        }
    }
}

impl Leaf {
    fn read(secret: Secret) -> Self {
        let fields = secret.data.unwrap_or_default().into_iter();
        let fields = fields.map(|(name, value)| (name, value.0)).collect();
        let ObjectMeta { resource_version, owner_references, .. } = secret.metadata;
        Self { version: resource_version, owners: owner_references, fields }
    }

    /// When to issue the next: at two thirds of its life. None for what cannot be served, or is
    /// not of the active CA.
    fn renew_at(&self, authority: &Authority) -> Option<SystemTime> {
        let field = |name: &str| self.fields.get(name).map(Vec::as_slice).unwrap_or_default();
        let is_active = field(ISSUER) == authority.active().certificate().as_bytes();
        let given = Given::parse(field(CERTIFICATE), field(KEY), "the injector's secret").ok();
        let given = given.filter(|_| is_active)?;
        let life = given.not_after().duration_since(given.not_before()).unwrap_or(Duration::ZERO);
        given.not_before().checked_add(life / 3 * 2)
    }
}

fn read_hooks(configuration: MutatingWebhookConfiguration) -> Hooks {
    let hooks = configuration.webhooks.unwrap_or_default().into_iter();
    hooks
        .map(|hook| (hook.name, hook.client_config.ca_bundle.map(|all| all.0).unwrap_or_default()))
        .collect()
}
