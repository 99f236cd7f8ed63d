//! Random policies, as users write them, and what they allow, reckoned here
//! once more and more simply.

use fastrand::Rng;
use remora_parsers::{Judge, Request, Verdict};
use remora_policy::{Slice, TrafficDirection};

use super::oracle::Effect;
use crate::slice;

const CLIENT: u32 = 7;

/// Which tables a rule is about.
#[derive(Debug, Clone, Copy)]
enum Tables {
    Any,
    Of(&'static str),
    One(&'static str),
}

#[derive(Debug)]
struct Rule {
    action: Option<&'static str>,
    tables: Tables,
}

pub(crate) struct RandomPolicy {
    pub(crate) yaml: String,
    rules: Vec<Rule>,
    slice: Slice,
}

const ACTIONS: [&str; 14] = [
    "select",
    "select",
    "insert",
    "insert",
    "update",
    "delete",
    "truncate-table",
    "use",
    "use",
    "use",
    "drop-table",
    "create-table",
    "alter-table",
    "select",
];

/// What a rule with tables and without an action is about.
const ON_TABLES: [&str; 8] = [
    "select",
    "insert",
    "update",
    "delete",
    "create-table",
    "alter-table",
    "drop-table",
    "truncate-table",
];

impl RandomPolicy {
    pub(crate) fn generate(random: &mut Rng) -> Self {
        let mut rules = vec![
            Rule { action: Some("select"), tables: Tables::Of("pub") },
            Rule { action: Some("use"), tables: Tables::Any },
        ];
        if random.bool() {
            rules.push(Rule { action: Some("insert"), tables: Tables::Of("pub") });
        }
        for _ in 0..random.usize(0..4) {
            let action = *random.choice(&ACTIONS).expect("some");
            let tables = match (action, random.u8(..10)) {
                ("use", ..5) => Tables::Any,
                ("use", _) => Tables::One("secret"),
                (_, ..6) => Tables::Of("pub"),
                (_, 6) => Tables::Of("secret"),
                (_, 7) => Tables::One("secret.u"),
                _ => Tables::One("pub.u"),
            };
            let action = (action == "use" || random.u8(..12) > 0).then_some(action);
            rules.push(Rule { action, tables });
        }
        let yaml = to_yaml(&rules);
        let slice = slice::compile(&yaml, "app=cassandra", CLIENT);
        Self { yaml, rules, slice }
    }

    /// What the policy has to say against an effect.
    pub(crate) fn violation(&self, effects: &[Effect]) -> Option<String> {
        let forbidden = effects.iter().find(|effect| {
            !self
                .rules
                .iter()
                .any(|rule| effect.actions.iter().any(|action| rule.covers(action, &effect.table)))
        });
        forbidden.map(|effect| format!("{effect:?}, and no rule allows that"))
    }
}

impl Rule {
    fn covers(&self, action: &str, table: &str) -> bool {
        let on_tables = ON_TABLES.contains(&action);
        let named = match self.action {
            Some(own) => own == action,
            None => on_tables,
        };
        let keyspace = table.split('.').next().unwrap_or(table);
        named
            && match self.tables {
                Tables::Any => true,
                Tables::Of(own) => on_tables && own == keyspace,
                Tables::One(own) => on_tables && own == table,
            }
    }
}

/// A connection's judge.
pub(crate) struct BySlice<'a>(pub(crate) &'a RandomPolicy);

impl Judge for BySlice<'_> {
    fn judge(&mut self, request: &Request<'_>) -> Verdict {
        let ingress = TrafficDirection::Ingress;
        let slice = &self.0.slice;
        let decision = slice.request(ingress, 9042, Some(CLIENT), "cassandra", request);
        if decision.is_forwarded() { Verdict::Allow } else { Verdict::Deny }
    }
}

impl remora_parsers::Host for BySlice<'_> {}

fn to_yaml(rules: &[Rule]) -> String {
    let mut yaml = String::from(
        "apiVersion: cilium.io/v2\nkind: CiliumNetworkPolicy\nmetadata: {name: random}\nspec:\n  \
         endpointSelector: {matchLabels: {app: cassandra}}\n  ingress:\n  - fromEndpoints:\n    - \
         matchLabels: {app: client}\n    toPorts:\n    - ports: [{port: \"9042\", protocol: TCP}]\n      \
         rules:\n        l7proto: cassandra\n        l7:\n",
    );
    for rule in rules {
        let table = match rule.tables {
            Tables::Any => None,
            Tables::Of(keyspace) => Some(format!("query_table: '{keyspace}\\..*'")),
            Tables::One(table) => Some(format!("query_table: '{}'", table.replace('.', "\\."))),
        };
        let action = rule.action.map(|action| format!("query_action: {action}"));
        let keys: Vec<_> = action.into_iter().chain(table).collect();
        yaml += &format!("        - {{{}}}\n", keys.join(", "));
    }
    yaml
}
