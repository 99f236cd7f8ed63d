//! From NPDS to a slice. What cannot be honoured is an error, whose text goes
//! back to the server as a NACK; nothing is skipped but what is no TCP.

use std::sync::Arc;

use remora_api::{
    cilium::{self, port_network_policy_rule as wire},
    core::socket_address::Protocol as Transport,
};
use remora_parsers::{Protocol, Registry, nearest};

use super::{
    Reason, Ruling, Slice, Suspects, Tables, TrafficDirection,
    draft::{Draft, Effect, Filter, L7Rule, Peers, Rule},
    table::{MAX_RANGES_OF_A_PORT, Table},
};
use crate::matcher::{Matcher, MatcherError, Patterns};

/// How many rules a slice may have: ports, L4 rules and L7 rules together.
pub const MAX_RULES: usize = 10_000;

/// How many identities the rules of a slice may name, each as often as it is.
pub const MAX_PEERS: usize = 1 << 20;

/// Why a policy cannot be enforced as it was sent.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{place}: {problem}")]
pub struct CompileError {
    /// The port and the rule.
    pub place: String,
    /// What is wrong there.
    pub problem: Problem,
}

/// What is wrong in a policy that was sent.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// A number that is no port, or a range that ends before it begins.
    #[error("{first} to {last} is no range of ports")]
    Ports {
        /// Its first port.
        first: u32,
        /// Its last.
        last: u32,
    },
    /// A transport protocol that the API does not know.
    #[error("transport protocol {0} is not known")]
    Transport(i32),
    /// A field that is not supported.
    #[error("`{0}` is not supported")]
    Unsupported(&'static str),
    /// An `l7_proto` that no parser is for.
    #[error("l7_proto `{name}` is not known{}", hint(.nearest))]
    UnknownProtocol {
        /// What was sent.
        name: String,
        /// The nearest that is known.
        nearest: Option<&'static str>,
    },
    /// L7 rules, but for what?
    #[error("has l7_rules, but no l7_proto")]
    NoProtocol,
    /// A rule that denies the connection and judges its requests too.
    #[error("denies the peer, so its l7_proto and l7_rules would never be looked at")]
    DenyWithL7,
    /// A rule that is none of its protocol.
    #[error("{0}")]
    Rule(String),
    /// More than [`MAX_RULES`].
    #[error("more than {MAX_RULES} rules")]
    TooManyRules,
    /// More than [`MAX_PEERS`].
    #[error("more than {MAX_PEERS} identities")]
    TooManyPeers,
    /// More than [`MAX_RANGES_OF_A_PORT`].
    #[error("more than {MAX_RANGES_OF_A_PORT} ranges hold port {port}: write fewer, wider ones")]
    NestedRanges {
        /// The port.
        port: u16,
    },
}

fn hint(nearest: &Option<&'static str>) -> String {
    nearest.map(|name| format!(": did you mean `{name}`?")).unwrap_or_default()
}

impl Slice {
    /// Compiles a policy.
    ///
    /// # Errors
    /// A [`CompileError`] that names what cannot be honoured: the NACK's text.
    pub fn compile(
        policy: &cilium::NetworkPolicy,
        registry: Registry,
    ) -> Result<Self, CompileError> {
        let (ingress, egress) =
            (&policy.ingress_per_port_policies, &policy.egress_per_port_policies);
        let audit = policy.audit.as_ref();
        let audited = audit.map(|own| {
            let (ingress, egress) = (&own.ingress_per_port_policies, &own.egress_per_port_policies);
            Ruling::compile(ingress, egress, registry)
        });
        Ok(Self {
            enforced: Ruling::compile(ingress, egress, registry)?,
            audited: audited.transpose()?,
        })
    }
}

impl Ruling {
    fn compile(
        ingress: &[cilium::PortNetworkPolicy],
        egress: &[cilium::PortNetworkPolicy],
        registry: Registry,
    ) -> Result<Self, CompileError> {
        let suspects = Suspects::new(ingress, egress);
        let mut compiler = Compiler { registry, patterns: Patterns::default(), rules: 0, peers: 0 };
        let ingress = compiler.draft(TrafficDirection::Ingress, ingress)?;
        let egress = compiler.draft(TrafficDirection::Egress, egress)?;
        let patterns = compiler.patterns.compile().map_err(|error| CompileError {
            place: "regular expressions".to_owned(),
            problem: Problem::Rule(error.to_string()),
        })?;
        let table = |direction: TrafficDirection, draft| {
            let at = |problem| CompileError { place: direction.to_string(), problem };
            Table::new(draft).map_err(at)
        };
        Ok(Self {
            suspects,
            tables: Some(Tables {
                ingress: table(TrafficDirection::Ingress, &ingress)?,
                egress: table(TrafficDirection::Egress, &egress)?,
                patterns,
            }),
        })
    }
}

struct Compiler {
    registry: Registry,
    patterns: Patterns,
    rules: usize,
    peers: usize,
}

impl Compiler {
    fn draft(
        &mut self,
        direction: TrafficDirection,
        policies: &[cilium::PortNetworkPolicy],
    ) -> Result<Draft, CompileError> {
        let mut draft = Draft::default();
        for policy in policies {
            let port = format!("{direction} port {}", policy.port);
            let at_port = |problem| CompileError { place: port.clone(), problem };
            if !is_tcp(policy.protocol).map_err(at_port)? {
                continue;
            }
            let (first, last) = ports(policy).map_err(at_port)?;
            self.count(1).map_err(at_port)?;
            let mut rules = Vec::with_capacity(policy.rules.len());
            for (index, rule) in policy.rules.iter().enumerate() {
                let place = if rule.name.is_empty() { &index.to_string() } else { &rule.name };
                let at_rule =
                    |problem| CompileError { place: format!("{port}, rule {place}"), problem };
                rules.push(self.rule(rule).map_err(at_rule)?);
            }
            if rules.is_empty() {
                rules.push(Rule {
                    name: None,
                    peers: Peers::Any,
                    effect: Effect::Open(Reason::Unrestricted),
                });
            }
            if first == last {
                draft.exact.entry(first).or_default().append(&mut rules);
            } else {
                draft.ranges.push((first..=last, rules));
            }
        }
        Ok(draft)
    }

    fn rule(&mut self, rule: &cilium::PortNetworkPolicyRule) -> Result<Rule, Problem> {
        if rule.precedence != 0 {
            return Err(Problem::Unsupported("precedence"));
        }
        let deny = match rule.verdict {
            None | Some(wire::Verdict::Deny(false)) => false,
            Some(wire::Verdict::Deny(true)) => true,
            Some(wire::Verdict::PassPrecedence(_)) => {
                return Err(Problem::Unsupported("pass_precedence"));
            }
        };
        self.count(1)?;
        let name = shared(&rule.name);
        let effect = if !deny {
            self.effect(rule, name.as_ref())?
        } else if rule.l7_proto.is_empty() && rule.l7.is_none() {
            Effect::Deny
        } else {
            return Err(Problem::DenyWithL7);
        };
        Ok(Rule { name, peers: self.peers(&rule.remote_policies)?, effect })
    }

    fn peers(&mut self, peers: &[u32]) -> Result<Peers, Problem> {
        self.peers = self.peers.saturating_add(peers.len());
        if self.peers > MAX_PEERS {
            return Err(Problem::TooManyPeers);
        }
        if peers.is_empty() {
            return Ok(Peers::Any);
        }
        let mut peers = peers.to_vec();
        peers.sort_unstable();
        peers.dedup();
        Ok(Peers::These(peers.into()))
    }

    /// What a rule that does not deny lets through. Without L7 rules, or with
    /// empty lists of them, that is everything: npds.proto, L7NetworkPolicyRules.
    fn effect(
        &mut self,
        rule: &cilium::PortNetworkPolicyRule,
        name: Option<&Arc<str>>,
    ) -> Result<Effect, Problem> {
        let rules = rule.l7.as_ref().map(|wire::L7::L7Rules(rules)| rules);
        if rule.l7_proto.is_empty() {
            return match rules {
                None => Ok(Effect::Open(Reason::PortAllowed)),
                Some(_) => Err(Problem::NoProtocol),
            };
        }
        let Some(protocol) = self.registry.find(&rule.l7_proto) else {
            return Err(Problem::UnknownProtocol {
                name: rule.l7_proto.clone(),
                nearest: nearest(&rule.l7_proto, self.registry.names()),
            });
        };
        let Some(rules) = rules else { return Ok(Effect::Open(Reason::PortAllowed)) };
        let mut allow = self.l7_rules(protocol, &rules.l7_allow_rules)?;
        let deny = self.l7_rules(protocol, &rules.l7_deny_rules)?;
        if allow.is_empty() {
            if deny.is_empty() {
                return Ok(Effect::Open(Reason::PortAllowed));
            }
            allow.push(L7Rule { name: name.cloned(), matcher: Matcher::default() });
        }
        Ok(Effect::Filter(Filter { protocol, allow, deny }))
    }

    fn l7_rules(
        &mut self,
        protocol: &'static Protocol,
        rules: &[cilium::L7NetworkPolicyRule],
    ) -> Result<Vec<L7Rule>, Problem> {
        self.count(rules.len())?;
        let mut compiled = Vec::with_capacity(rules.len());
        for rule in rules {
            let keys = rule.rule.iter().map(|(key, value)| (key.as_str(), value.as_str()));
            let matcher = Matcher::compile(protocol, keys, &mut self.patterns)
                .map_err(|error| Problem::Rule(l7_error(&rule.name, &error)))?;
            compiled.push(L7Rule { name: shared(&rule.name), matcher });
        }
        Ok(compiled)
    }

    fn count(&mut self, more: usize) -> Result<(), Problem> {
        self.rules = self.rules.saturating_add(more);
        if self.rules > MAX_RULES { Err(Problem::TooManyRules) } else { Ok(()) }
    }
}

fn l7_error(name: &str, error: &MatcherError) -> String {
    if name.is_empty() { error.to_string() } else { format!("l7 rule {name}: {error}") }
}

fn shared(name: &str) -> Option<Arc<str>> {
    (!name.is_empty()).then(|| name.into())
}

pub(super) fn is_tcp(protocol: i32) -> Result<bool, Problem> {
    match Transport::try_from(protocol) {
        Ok(Transport::Tcp) => Ok(true),
        Ok(Transport::Udp | Transport::Icmp) => Ok(false),
        Err(_) => Err(Problem::Transport(protocol)),
    }
}

/// First and last port. Port 0 stands for all of them.
pub(super) fn ports(policy: &cilium::PortNetworkPolicy) -> Result<(u16, u16), Problem> {
    let (first, last) = (policy.port, policy.end_port);
    let wrong = || Problem::Ports { first, last };
    match (u16::try_from(first).map_err(|_| wrong())?, u16::try_from(last).map_err(|_| wrong())?) {
        (0, 0) => Ok((0, u16::MAX)),
        (0, _) => Err(wrong()),
        (port, 0) => Ok((port, port)),
        (first, last) if first <= last => Ok((first, last)),
        _ => Err(wrong()),
    }
}
