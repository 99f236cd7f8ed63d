//! What a text that cannot be read may have been meant to close.

use std::collections::BTreeSet;
use std::fmt;

/// The namespaces whose pods a broken file closes, as long as no good version
/// of it is known.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub enum Scope {
    /// It shows no sign of a policy.
    #[default]
    Nothing,
    /// Policies of these namespaces.
    Namespaces(BTreeSet<String>),
    /// A policy of the cluster.
    Everywhere,
}

/// Either in a text: it may hold a policy of the cluster.
const CLUSTER_SIGNS: [&str; 2] = ["CiliumClusterwideNetworkPolicy", "ClusterL7Policy"];
/// Any in a text: it may hold a policy. The groups also tell a text that ends before its `kind`.
const SIGNS: [&str; 4] = ["CiliumNetworkPolicy", "L7Policy", "cilium.io/v", "policy.remora.dev/v"];

impl Scope {
    /// Looks for signs of policies in a text, document by document.
    pub(crate) fn of(text: &str) -> Self {
        let mut namespaces = BTreeSet::new();
        for document in text.split("\n---") {
            if CLUSTER_SIGNS.iter().any(|sign| document.contains(sign)) {
                return Self::Everywhere;
            }
            if SIGNS.iter().any(|sign| document.contains(sign)) {
                let mut own: BTreeSet<_> = named(document).map(str::to_owned).collect();
                if own.is_empty() {
                    own.insert("default".to_owned());
                }
                namespaces.append(&mut own);
            }
        }
        if namespaces.is_empty() { Self::Nothing } else { Self::Namespaces(namespaces) }
    }

    /// The namespaces, `None` standing for all; empty where nothing is closed.
    pub(crate) fn closed(&self) -> Vec<Option<String>> {
        match self {
            Self::Nothing => Vec::new(),
            Self::Namespaces(names) => names.iter().cloned().map(Some).collect(),
            Self::Everywhere => vec![None],
        }
    }
}

/// What this means for pods, for the log.
impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nothing => f.write_str("nothing of it is in force"),
            Self::Everywhere => f.write_str(
                "it may hold a policy of the cluster: EVERY POD IS CLOSED until the file is mended or removed",
            ),
            Self::Namespaces(names) => {
                let names: Vec<_> = names.iter().map(String::as_str).collect();
                let names = names.join(", ");
                write!(
                    f,
                    "it may hold a policy: EVERY POD OF NAMESPACE {names} IS CLOSED until the file is mended or removed"
                )
            }
        }
    }
}

/// The values of all fields called `namespace`, in YAML or JSON.
fn named(document: &str) -> impl Iterator<Item = &str> {
    let is_quote = |c: char| c == '"' || c == '\'';
    document.match_indices("namespace").filter_map(move |(at, word)| {
        let before = document.get(..at)?.chars().next_back();
        if before.is_some_and(|c| !(c.is_whitespace() || is_quote(c) || c == '{' || c == ',')) {
            return None;
        }
        let rest = document.get(at + word.len()..)?;
        let value = rest.trim_start_matches(is_quote).trim_start().strip_prefix(':')?;
        let value = value.trim_start_matches([' ', '\t']).trim_start_matches(is_quote);
        let end = value.find(|c: char| !(c.is_ascii_alphanumeric() || c == '-'));
        value.get(..end.unwrap_or(value.len())).filter(|name| !name.is_empty())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn namespaces(names: &[&str]) -> Scope {
        Scope::Namespaces(names.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn a_broken_policy_closes_the_namespace_that_it_names() {
        let yaml = "apiVersion: cilium.io/v2\nkind: CiliumNetworkPolicy\nmetadata:\n  namespace: shop\nspec: [";
        assert_eq!(Scope::of(yaml), namespaces(&["shop"]));
        let json = r#"{"kind":"L7Policy","metadata":{"namespace": "web-1","name":"x""#;
        assert_eq!(Scope::of(json), namespaces(&["web-1"]));
        let flow = "kind: L7Policy\nmetadata: {name: x, namespace: 'a'";
        assert_eq!(Scope::of(flow), namespaces(&["a"]));
    }

    #[test]
    fn one_that_names_none_closes_default() {
        assert_eq!(Scope::of("apiVersion: cilium.io/v2\nki"), namespaces(&["default"]));
        let label = "kind: L7Policy\nspec:\n  k8s:io.kubernetes.pod.namespace: other\n  x";
        assert_eq!(Scope::of(label), namespaces(&["default"]));
        let cut = "kind: L7Policy\nmetadata:\n  namespace: \n  name: x";
        assert_eq!(Scope::of(cut), namespaces(&["default"]));
    }

    #[test]
    fn each_document_counts_for_itself() {
        let text = "kind: Pod\nmetadata: {namespace: a}\n---\nkind: L7Policy\n---\nkind: L7Policy\nmetadata:\n  namespace: b\n---\nkind: L7Policy\nmetadata:\n  namespace: b\n";
        assert_eq!(Scope::of(text), namespaces(&["b", "default"]));
    }

    #[test]
    fn a_policy_of_the_cluster_closes_everything() {
        assert_eq!(Scope::of("kind: ClusterL7Policy\n: ["), Scope::Everywhere);
        assert_eq!(Scope::of("kind: CiliumClusterwideNetworkPolicy"), Scope::Everywhere);
    }

    #[test]
    fn a_broken_pod_closes_nothing() {
        let pod = "kind: Pod\nmetadata:\n  namespace: shop\n  annotations:\n    policy.cilium.io/x: y\n: [";
        assert_eq!(Scope::of(pod), Scope::Nothing);
        assert_eq!(Scope::of(""), Scope::Nothing);
    }
}
