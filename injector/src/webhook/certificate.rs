//! The certificate that is served: that of a Secret, as it is now.

use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use k8s_openapi::api::core::v1::Secret;
use kube::runtime::watcher::{self, Event, watcher};
use kube::{Api, Client};
use remora_certs::{Given, Serving};
use tokio_stream::StreamExt;

use super::counters::{family, line};

/// How long until a watch that failed is begun anew, at first and at most.
const PAUSES: [Duration; 2] = [Duration::from_millis(250), Duration::from_secs(5)];
/// The least of its life that a certificate must have left for us to be ready: one that ends
/// under way would be refused by the API server.
const MARGIN: Duration = Duration::from_secs(60);

/// When the certificate in use ends, in unix seconds; 0 while there is none.
#[derive(Debug, Default)]
pub struct Expiry(AtomicU64);

impl Expiry {
    /// Notes the end of what is served now.
    pub fn set(&self, end: SystemTime) {
        let since = end.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        self.0.store(since.as_secs(), Ordering::Relaxed);
    }

    /// Why nobody should call now; none if they should.
    #[must_use]
    pub fn problem(&self, now: SystemTime) -> Option<&'static str> {
        let now = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        match self.0.load(Ordering::Relaxed) {
            0 => Some("there is no certificate yet"),
            end if end <= now.saturating_add(MARGIN).as_secs() => {
                Some("the certificate has expired, or is about to")
            }
            _ => None,
        }
    }

    /// Appends the metric in Prometheus' text format (version 0.0.4).
    pub fn render(&self, text: &mut String) {
        let name = "remora_injector_certificate_expiry_timestamp_seconds";
        family(text, name, "gauge", "When the certificate in use ends; 0 without one.");
        line(text, format_args!("{name} {}", self.0.load(Ordering::Relaxed)));
    }
}

/// Serves what stands in the Secret for as long as this is polled. What cannot be read is told
/// and passed over: what was served before goes on.
pub(super) async fn follow(
    client: Client,
    (namespace, name): (&str, &str),
    serving: &Serving,
    expiry: &Expiry,
) {
    let api: Api<Secret> = Api::namespaced(client, namespace);
    let only = watcher::Config::default().fields(&format!("metadata.name={name}"));
    let origin = format!("secret {namespace}/{name}");
    let mut events = pin!(watcher(api, only));
    let mut pause = PAUSES[0];
    while let Some(event) = events.next().await {
        match event {
            Ok(Event::InitApply(secret) | Event::Apply(secret)) => {
                pause = PAUSES[0];
                take(&secret, &origin, serving, expiry);
            }
            Ok(_) => pause = PAUSES[0],
            Err(error) => {
                tracing::error!(
                    "watching {origin}: {}; see that the injector's role allows it",
                    explain_watch(&error)
                );
                tokio::time::sleep(pause).await;
                pause = pause.saturating_mul(2).min(PAUSES[1]);
            }
        }
    }
}

fn take(secret: &Secret, origin: &str, serving: &Serving, expiry: &Expiry) {
    let field = |name: &str| {
        let data = secret.data.as_ref().and_then(|data| data.get(name));
        data.map(|bytes| bytes.0.as_slice()).unwrap_or_default()
    };
    match Given::parse(field("tls.crt"), field("tls.key"), origin) {
        Ok(given) => {
            serving.set(given.certified());
            expiry.set(given.not_after());
            tracing::info!("serving the certificate of {origin}");
        }
        Err(error) => tracing::error!("{error}; what was served before goes on"),
    }
}

/// What the API server said, in one bounded line.
pub(super) fn explain(error: &kube::Error) -> String {
    let text = match error {
        kube::Error::Api(status) => format!("{} ({})", status.message, status.code),
        error => error.to_string(),
    };
    text.escape_debug().to_string().chars().take(1000).collect()
}

/// What the API server said to a watch.
pub(super) fn explain_watch(error: &watcher::Error) -> String {
    match error {
        watcher::Error::InitialListFailed(error)
        | watcher::Error::WatchStartFailed(error)
        | watcher::Error::WatchFailed(error) => explain(error),
        watcher::Error::WatchError(status) => {
            format!("{} ({})", status.message.escape_debug(), status.code)
        }
        error @ watcher::Error::NoResourceVersion => error.to_string(),
    }
}
