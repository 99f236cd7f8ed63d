//! `remora policy explain`: what becomes of a request, by which rule, and why.

use std::{
    collections::BTreeMap,
    io::{self, Read as _, Write},
    net::{IpAddr, SocketAddr},
    path::PathBuf,
    process::ExitCode,
};

use remora_api::cilium;
use remora_parsers::{Field, Protocol, Registry, Request, Value, Words, nearest};
use remora_policy::{
    Admission, Catalog, ClusterView, Decision, Endpoint, Hosts, Identity, Labels, NamedPorts,
    PolicySet, Reason, Slice, TrafficDirection, Verdict, WORLD, encode,
};
use serde_json::json;

use super::{EX_REFUSED, EX_UNREADABLE, Output, load, miss::Asked, pods};

const AFTER_HELP: &str = "\
Examples:
  remora policy explain --policy policy.yaml --from role=jedi --to app=cache \\
      --port 11211 command=get key=alliance/fleet/1
  kubectl logs cache-0 -c remora | tail -1 | \\
      remora policy explain --policy policy.yaml --pods pods.yaml --log -

FROM and TO are labels (k=v,k=v; the namespace is k8s:io.kubernetes.pod.namespace=NS),
an address, or an entity such as reserved:host. With pods, an address is that
pod's, and an entry of the access log says itself who spoke to whom.

Without fields, only the connection is decided on. The exit status is 0 whatever
the verdict; 2 a policy is refused; 3 a file or an entry cannot be read; 64 wrong
arguments.";

/// Decides on one request, and says why.
#[derive(clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct Args {
    /// Manifests of policies.
    #[arg(long, required = true, num_args = 1.., value_name = "FILE")]
    policy: Vec<PathBuf>,
    /// The client: labels, or an address.
    #[arg(long, value_name = "FROM")]
    from: Option<String>,
    /// The server: labels, or an address.
    #[arg(long, value_name = "TO")]
    to: Option<String>,
    /// The server's port.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..), required_unless_present = "log")]
    port: Option<u16>,
    /// Whose policy is asked: the server's (ingress) or the client's (egress).
    #[arg(long, value_name = "DIRECTION", value_parser = ["ingress", "egress"])]
    direction: Option<String>,
    /// Manifests of pods and namespaces, by which addresses are known, and of
    /// the Services and CIDR groups that policies name.
    #[arg(long, num_args = 1.., value_name = "FILE")]
    pods: Vec<PathBuf>,
    /// An entry of the access log, or `-` to read one.
    #[arg(long, value_name = "ENTRY")]
    log: Option<String>,
    /// Lines for people, or one JSON object.
    #[arg(long, short, value_enum, default_value_t = Output::Text)]
    output: Output,
    /// The request's fields, as the protocol's page has them. One that comes
    /// twice has several values.
    #[arg(value_name = "FIELD=VALUE", value_parser = field)]
    fields: Vec<(String, String)>,
}

fn field(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("write FIELD=VALUE")?;
    Ok((name.to_owned(), value.to_owned()))
}

/// Who asks whom for what.
struct Question {
    from: Party,
    to: Party,
    port: u16,
    direction: TrafficDirection,
    fields: BTreeMap<String, Vec<String>>,
}

/// One side of a connection.
#[derive(Clone)]
enum Party {
    Endpoint(Labels, NamedPorts),
    Address(IpAddr),
}

pub(super) fn run(args: &Args, out: &mut dyn Write) -> io::Result<ExitCode> {
    let (set, warnings) = match load::set(&args.policy) {
        Ok(loaded) => loaded,
        Err(errors) => {
            eprintln!("remora: {errors}");
            return Ok(ExitCode::from(EX_REFUSED));
        }
    };
    let answered = pods::read(&args.pods).and_then(|cluster| {
        let question = question(args, &cluster.pods)?;
        answer(&set, &cluster.catalog, &question).map(|answer| (question, answer))
    });
    let (question, answer) = match answered {
        Ok(answered) => answered,
        Err(error) => {
            eprintln!("remora: {error}");
            return Ok(ExitCode::from(EX_UNREADABLE));
        }
    };
    for warning in warnings.iter().chain(&answer.warnings) {
        eprintln!("remora: warning: {warning}");
    }
    match args.output {
        Output::Text => answer.text(out)?,
        Output::Json => answer.json(&question, out)?,
    }
    Ok(ExitCode::SUCCESS)
}

/// What is asked, from the arguments and the entry of the log.
fn question(args: &Args, pods: &[pods::Pod]) -> Result<Question, String> {
    let entry = args.log.as_deref().map(entry).transpose()?.unwrap_or_default();
    let of_log = |name: &str| entry.get(name).and_then(serde_json::Value::as_str);
    let socket = |name: &str| of_log(name).and_then(|text| text.parse::<SocketAddr>().ok());
    let direction = match args.direction.as_deref().or(of_log("direction")) {
        Some("egress") => TrafficDirection::Egress,
        _ => TrafficDirection::Ingress,
    };
    let party = |given: &Option<String>, name: &str| match (given, socket(name)) {
        (Some(text), _) => read_party(text, pods),
        (None, Some(socket)) => Ok(known(socket.ip(), pods)),
        (None, None) => {
            Ok(Party::Endpoint(Labels::parse("").unwrap_or_default(), NamedPorts::default()))
        }
    };
    // A Service is judged by who stands behind it.
    let server = if socket("backend").is_some() { "backend" } else { "destination" };
    let (mut from, mut to) = (party(&args.from, "source")?, party(&args.to, server)?);
    // Whose log it is says more than the address that was dialled.
    let own = pods.iter().find(|pod| {
        of_log("namespace") == Some(&pod.namespace) && of_log("pod") == Some(&pod.name)
    });
    if let Some(pod) = own {
        let own = Party::Endpoint(pod.labels.clone(), pod.ports.clone());
        match direction {
            TrafficDirection::Ingress if args.to.is_none() => to = own,
            TrafficDirection::Egress if args.from.is_none() => from = own,
            _ => {}
        }
    }
    let port = args.port.or(socket(server).map(|socket| socket.port()));
    let mut fields: BTreeMap<String, Vec<String>> = log_fields(&entry);
    for (name, value) in &args.fields {
        fields.entry(name.clone()).or_default().push(value.clone());
    }
    let port = port.ok_or("the entry has no destination; give --port")?;
    Ok(Question { from, to, port, direction, fields })
}

fn entry(text: &str) -> Result<serde_json::Value, String> {
    let mut read = String::new();
    let text = match text {
        "-" => {
            io::stdin().read_to_string(&mut read).map_err(|error| format!("stdin: {error}"))?;
            read.as_str()
        }
        text => text,
    };
    serde_json::from_str(text.trim())
        .map_err(|error| format!("the entry is no JSON object: {error}"))
}

fn log_fields(entry: &serde_json::Value) -> BTreeMap<String, Vec<String>> {
    let Some(fields) = entry.get("fields").and_then(serde_json::Value::as_object) else {
        return BTreeMap::new();
    };
    let text = |value: &serde_json::Value| value.as_str().map(str::to_owned);
    let values = |value: &serde_json::Value| match value.as_array() {
        Some(list) => list.iter().filter_map(text).collect(),
        None => text(value).into_iter().collect(),
    };
    fields.iter().map(|(name, value)| (name.clone(), values(value))).collect()
}

fn read_party(text: &str, pods: &[pods::Pod]) -> Result<Party, String> {
    if let Ok(address) = text.parse() {
        return Ok(known(address, pods));
    }
    let labels = Labels::parse(text).map_err(|error| format!("{text}: {error}"))?;
    Ok(Party::Endpoint(labels, NamedPorts::default()))
}

/// Whose address it is: a pod's, if one has it.
fn known(address: IpAddr, pods: &[pods::Pod]) -> Party {
    match pods.iter().find(|pod| pod.addresses.contains(&address)) {
        Some(pod) => Party::Endpoint(pod.labels.clone(), pod.ports.clone()),
        None => Party::Address(address),
    }
}

/// What came of it.
struct Answer {
    decision: Decision,
    protocol: Option<&'static str>,
    nearest: Option<String>,
    warnings: Vec<String>,
}

/// The number of the other side.
const PEER: u32 = 1000;

/// Decides the way that agent and sidecar do.
fn answer(set: &PolicySet, catalog: &Catalog, question: &Question) -> Result<Answer, String> {
    let (own, other) = match question.direction {
        TrafficDirection::Ingress => (&question.to, &question.from),
        TrafficDirection::Egress => (&question.from, &question.to),
    };
    let Party::Endpoint(subject, ports) = own else {
        let remedy = "give its labels, or its manifest with --pods";
        return Err(format!("whose policy it is cannot be told from an address: {remedy}"));
    };
    let mut identities = world(set, catalog);
    if let Party::Endpoint(labels, ports) = other {
        let peer = Identity { labels: labels.clone(), ports: ports.clone() };
        identities.insert(PEER, peer);
    }
    let endpoint = Endpoint { id: 1, ips: &[], labels: subject, ports };
    let view = ClusterView { identities: &identities, catalog };
    let encoded = encode(set, &endpoint, &view);
    let slice =
        Slice::compile(&encoded.policy, Registry::BUILT_IN).map_err(|error| error.to_string())?;
    let number = match other {
        Party::Endpoint(..) => Some(PEER),
        Party::Address(address) => recognise(&encoded.identities, &identities, *address),
    };
    let unlabelled = Labels::default();
    let peer =
        number.and_then(|number| identities.get(&number)).map_or(&unlabelled, |own| &own.labels);
    let asked = Asked { set, subject, peer, direction: question.direction, port: question.port };
    let fields = request_fields(&question.fields)?;
    let fields: Vec<_> = fields.iter().map(as_field).collect();
    let request = Request::new(&fields);
    let (decision, protocol) = decide(&slice, question, number, &request);
    let nearest = match decision.verdict {
        Verdict::Forwarded => None,
        Verdict::Dropped | Verdict::Audit => asked.nearest(&decision.reason, &request),
    };
    Ok(Answer {
        decision: Decision { reason: plain(decision.reason), ..decision },
        protocol: protocol.map(|own| own.name),
        nearest,
        warnings: encoded.warnings,
    })
}

/// The reason, without a nearest miss: there is a better one.
fn plain(reason: Reason) -> Reason {
    match reason {
        Reason::RequestUnmatched { words, .. } => Reason::RequestUnmatched { words, nearest: None },
        other => other,
    }
}

fn decide(
    slice: &Slice,
    question: &Question,
    peer: Option<u32>,
    request: &Request<'_>,
) -> (Decision, Option<&'static Protocol>) {
    let Question { direction, port, .. } = question;
    match slice.connection(*direction, *port, peer) {
        Admission::Deny(decision) | Admission::Opaque(decision) => (decision, None),
        Admission::Parse(protocol) => {
            let decision = slice.request(*direction, *port, peer, protocol.name, request);
            (decision, Some(protocol))
        }
    }
}

/// The parts of the world that the policies name.
fn world(set: &PolicySet, catalog: &Catalog) -> BTreeMap<u32, Identity> {
    let prefixes = set.prefixes(catalog).into_iter();
    let parts = (PEER.saturating_add(1)..).zip(prefixes.map(Labels::of_prefix));
    let world = (WORLD, Labels::reserved(&["world"]));
    parts.chain([world]).map(|(number, labels)| (number, labels.into())).collect()
}

/// By which identity an address outside the cluster is known.
fn recognise(
    named: &std::collections::BTreeSet<u32>,
    identities: &BTreeMap<u32, Identity>,
    address: IpAddr,
) -> Option<u32> {
    let entry = |number: u32, addresses: Vec<String>| cilium::NetworkPolicyHosts {
        policy: number.into(),
        host_addresses: addresses,
    };
    let prefix = |number: &u32| Some(identities.get(number)?.labels.prefix()?.to_string());
    let parts = named.iter().filter_map(|number| Some(entry(*number, vec![prefix(number)?])));
    let world = entry(WORLD, vec!["0.0.0.0/0".to_owned(), "::/0".to_owned()]);
    let hosts: Vec<_> = parts.chain([world]).collect();
    Hosts::compile(&hosts).ok()?.lookup(address)
}

/// A request's fields, with the names that protocols have for them. Several
/// values are words of a line.
fn request_fields(
    fields: &BTreeMap<String, Vec<String>>,
) -> Result<Vec<(&'static str, String, bool)>, String> {
    let names = Registry::BUILT_IN.names().filter_map(|name| Registry::BUILT_IN.find(name));
    let names: Vec<_> = names.flat_map(|protocol| protocol.keys).map(|key| key.field).collect();
    let own = |(name, values): (&String, &Vec<String>)| {
        let known = names.iter().copied().find(|own| own == name);
        let hint = || nearest(name, names.iter().copied()).unwrap_or_default().to_owned();
        let known = known.ok_or_else(|| {
            format!("no protocol has a field `{name}`; did you mean `{}`?", hint())
        })?;
        Ok((known, values.join(" "), values.len() > 1))
    };
    fields.iter().map(own).collect()
}

fn as_field<'a>((name, text, several): &'a (&'static str, String, bool)) -> Field<'a> {
    let value = match several {
        true => Value::Words(Words::new(text.as_bytes())),
        false => Value::One(text.as_bytes()),
    };
    Field { name, value }
}

impl Answer {
    fn text(&self, out: &mut dyn Write) -> io::Result<()> {
        let Decision { verdict, rule, reason } = &self.decision;
        writeln!(out, "{verdict}: {reason}")?;
        if let Some(rule) = rule {
            writeln!(out, "  rule: {rule}")?;
        }
        if let Some(protocol) = self.protocol {
            writeln!(out, "  l7proto: {protocol}")?;
        }
        if let Some(nearest) = &self.nearest {
            writeln!(out, "  nearest: {nearest}")?;
        }
        Ok(())
    }

    fn json(&self, question: &Question, out: &mut dyn Write) -> io::Result<()> {
        let Decision { verdict, rule, reason } = &self.decision;
        let object = json!({
            "verdict": verdict.to_string(),
            "rule": rule.as_deref(),
            "reason": reason.to_string(),
            "nearest": self.nearest,
            "l7proto": self.protocol,
            "direction": question.direction.to_string(),
            "port": question.port,
            "fields": question.fields,
        });
        writeln!(out, "{object}")
    }
}
