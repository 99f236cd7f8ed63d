//! What Prometheus reads on the agent's metrics port.

use std::fmt::Write;

use remora_policy::Inserted;

use crate::credentials::Expiries;
use crate::server::Counters;
use crate::world::PolicyState;

/// Everything in Prometheus' text format (version 0.0.4).
pub(super) fn render(counters: &Counters, expiries: &Expiries, policies: &[PolicyState]) -> String {
    let mut text = String::new();
    counters.render(&mut text);
    expiries.render(&mut text);
    let name = "remora_agent_policies";
    // Writing to a string cannot fail.
    let _ = writeln!(text, "# HELP {name} Policies by what became of them.\n# TYPE {name} gauge");
    for (label, outcome) in [
        ("in_force", Inserted::InForce),
        ("refused_last_good_in_force", Inserted::KeptLastGood),
        ("refused_and_closed", Inserted::Closed),
    ] {
        let count = policies.iter().filter(|state| state.outcome == outcome).count();
        let _ = writeln!(text, "{name}{{state=\"{label}\"}} {count}");
    }
    text
}

#[cfg(test)]
mod tests {
    use remora_policy::{PolicyKind, PolicyName};

    use super::*;

    #[test]
    fn policies_are_counted_by_what_became_of_them() {
        let state = |outcome| PolicyState {
            kind: PolicyKind::L7Policy,
            name: PolicyName { namespace: None, name: "x".to_owned() },
            version: None,
            outcome,
            errors: Vec::new(),
            warnings: Vec::new(),
            selected: 0,
        };
        let states = [Inserted::InForce, Inserted::InForce, Inserted::Closed].map(state);
        let text = render(&Counters::default(), &Expiries::default(), &states);
        assert!(text.contains("\nremora_agent_policies{state=\"in_force\"} 2\n"), "{text}");
        assert!(text.contains("{state=\"refused_and_closed\"} 1\n"), "{text}");
        assert!(text.contains("# TYPE remora_agent_sidecars gauge\n"), "{text}");
    }
}
