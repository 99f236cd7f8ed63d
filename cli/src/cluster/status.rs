//! `remora status`: how each pod stands.

use std::process::ExitCode;
use std::time::SystemTime;

use k8s_openapi::api::core::v1::Pod;
use kube::api::ListParams;
use kube::{Api, Client};
use remora_injector::admission::{Standing, State};
use remora_injector::{ProxyMode, proxy_mode};
use serde_json::{Value, json};

use super::{Format, Target, certificates, explain, installed, metrics, run};

/// Show how each pod of the labelled namespaces stands
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Policy is the version that is in force, as the agent counts, and since when: that is what the sidecar
has told the agent (ACK). Agent is whether the sidecar is connected; forwarded and dropped are requests since it started.

Exit status: 0; 1 if a pod that should be injected is not; 2 if there is no cluster.")]
pub(crate) struct Args {
    /// Only this namespace
    #[arg(short = 'n', long, value_name = "NAMESPACE")]
    namespace: Option<String>,
    #[command(flatten)]
    target: Target,
}

/// Runs `remora status`.
pub(crate) fn status(args: &Args) -> ExitCode {
    run(&args.target, |client| look(args, client))
}

/// How a pod stands.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) namespace: String,
    pub(super) pod: String,
    pub(super) state: State,
    /// Where its proxy stands, if it has one.
    pub(super) mode: Option<ProxyMode>,
    /// What its sidecar says, or why it says nothing.
    pub(super) sidecar: Option<Result<Sidecar, String>>,
}

/// What a sidecar says of itself.
#[derive(Debug, PartialEq)]
pub(super) struct Sidecar {
    /// The policy in force, as the agent counts.
    pub(super) policy_version: u64,
    /// When it came, in unix seconds.
    pub(super) policy_since: Option<f64>,
    pub(super) is_connected: bool,
    pub(super) forwarded: f64,
    pub(super) dropped: f64,
}

async fn look(args: &Args, client: Client) -> ExitCode {
    let install = &args.target.install_namespace;
    match rows(&client, install, args.namespace.as_deref()).await {
        Err(error) => {
            eprintln!("remora: {error}; see that you may list namespaces and pods");
            ExitCode::from(2)
        }
        Ok(rows) => {
            let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
            let now = now.as_secs_f64();
            let ends = certificates::ends(&client, install, now).await;
            match args.target.output {
                Format::Table => {
                    print!("{}", table(&rows, now));
                    println!("\ncertificates end in: {}", certificates::line(&ends));
                }
                Format::Json => {
                    let certificates = certificates::to_json(&ends);
                    println!(
                        "{:#}",
                        json!({"pods": to_json(&rows, now), "certificates": certificates})
                    );
                }
            }
            ExitCode::from(u8::from(rows.iter().any(|row| row.state == State::Missed)))
        }
    }
}

pub(super) async fn rows(
    client: &Client,
    install: &str,
    only: Option<&str>,
) -> Result<Vec<Row>, String> {
    let mut rows = Vec::new();
    for namespace in installed::namespaces(client).await? {
        let Standing::In(mode) = namespace.standing(install) else { continue };
        if only.is_some_and(|only| only != namespace.name) {
            continue;
        }
        let api: Api<Pod> = Api::namespaced(client.clone(), &namespace.name);
        let pods = api.list(&ListParams::default()).await.map_err(|error| explain(&error))?;
        for pod in pods {
            let json = serde_json::to_value(&pod).unwrap_or_default();
            let (state, name) = (State::of(&json, mode), pod.metadata.name.unwrap_or_default());
            let proxy = proxy_mode(&json).filter(|_| state == State::Injected);
            let sidecar = match state {
                State::Injected => {
                    let text = metrics::scrape(client, &namespace.name, &name).await;
                    Some(text.map(|text| Sidecar::read(&text)))
                }
                _ => None,
            };
            let namespace = namespace.name.clone();
            rows.push(Row { namespace, pod: name, state, mode: proxy, sidecar });
        }
    }
    Ok(rows)
}

impl Sidecar {
    pub(super) fn read(text: &str) -> Self {
        let requests = |verdict: &str| {
            let label = format!("verdict=\"{verdict}\"");
            metrics::sum(text, "remora_requests_total", &label).unwrap_or(0.0)
        };
        let since = metrics::sum(text, "remora_policy_version_timestamp_seconds", "");
        Self {
            policy_version: metrics::whole(text, "remora_policy_version").unwrap_or(0),
            policy_since: since.filter(|since| *since > 0.0),
            is_connected: metrics::sum(text, "remora_agent_connected", "") == Some(1.0),
            forwarded: requests("FORWARDED"),
            dropped: requests("DROPPED"),
        }
    }
}

impl Row {
    fn cells(&self, now: f64) -> [String; 8] {
        let state = match self.state {
            State::Skipped(skip) => format!("no: {}", skip.because()),
            State::Missed => "NO: older than the label, or than the webhook's return".to_owned(),
            state if self.mode == Some(ProxyMode::Node) => format!("{}, by its node", state.word()),
            state => state.word().to_owned(),
        };
        let of_sidecar = match &self.sidecar {
            None => ["-"; 5].map(str::to_owned),
            Some(Err(_)) => ["?"; 5].map(str::to_owned),
            Some(Ok(sidecar)) => [
                sidecar
                    .policy_since
                    .map_or("none".to_owned(), |_| sidecar.policy_version.to_string()),
                sidecar.policy_since.map_or("-".to_owned(), |since| age(now - since)),
                if sidecar.is_connected { "connected" } else { "AWAY" }.to_owned(),
                format!("{:.0}", sidecar.forwarded),
                format!("{:.0}", sidecar.dropped),
            ],
        };
        let [policy, since, agent, forwarded, dropped] = of_sidecar;
        [self.namespace.clone(), self.pod.clone(), state, policy, since, agent, forwarded, dropped]
    }
}

/// For people.
pub(super) fn table(rows: &[Row], now: f64) -> String {
    let head = ["NAMESPACE", "POD", "REMORA", "POLICY", "SINCE", "AGENT", "FORWARDED", "DROPPED"];
    let mut all = vec![head.map(str::to_owned)];
    all.extend(rows.iter().map(|row| row.cells(now)));
    let width =
        |column: usize| all.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..head.len()).map(width).collect();
    let line = |row: &[String; 8]| {
        let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}"));
        format!("{}\n", cells.collect::<Vec<_>>().join("  ").trim_end())
    };
    all.iter().map(line).collect()
}

/// For programs.
pub(super) fn to_json(rows: &[Row], now: f64) -> Value {
    let one = |row: &Row| {
        let why = match row.state {
            State::Skipped(skip) => Some(skip.because()),
            _ => None,
        };
        let sidecar = row.sidecar.as_ref().map(|sidecar| match sidecar {
            Err(error) => json!({ "error": error }),
            Ok(one) => json!({
                "policyVersion": one.policy_version, "policySince": one.policy_since, "ackAgeSeconds": one.policy_since.map(|since| now - since),
                "agentConnected": one.is_connected, "forwarded": one.forwarded, "dropped": one.dropped,
            }),
        });
        json!({
            "namespace": row.namespace, "pod": row.pod, "state": row.state.word(), "why": why,
            "mode": row.mode.map(ProxyMode::word), "sidecar": sidecar,
        })
    };
    rows.iter().map(one).collect()
}

/// Seconds, as people say them.
pub(super) fn age(seconds: f64) -> String {
    match seconds {
        s if s < 0.0 => "the past".to_owned(),
        s if s < 120.0 => format!("{s:.0} s"),
        s if s < 7200.0 => format!("{:.0} min", s / 60.0),
        s if s < 172_800.0 => format!("{:.0} h", s / 3600.0),
        s => format!("{:.0} d", s / 86_400.0),
    }
}
