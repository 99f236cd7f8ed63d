//! The labels of an endpoint, as selectors see them.

use std::{collections::BTreeMap, fmt};

use crate::prefix::Prefix;

/// The label that holds a pod's namespace, without its source.
pub const NAMESPACE_KEY: &str = "io.kubernetes.pod.namespace";

/// The label that holds a pod's service account, without its source.
pub const SERVICE_ACCOUNT_KEY: &str = "io.cilium.k8s.policy.serviceaccount";

/// What stands before each label of a pod's namespace, without its source.
pub const NAMESPACE_LABELS_PREFIX: &str = "io.cilium.k8s.namespace.labels.";

/// Labels under this prefix are given by Cilium or by us, never by a pod.
const RESERVED_PREFIX: &str = "io.cilium.k8s.";

/// The source of every label that comes from Kubernetes.
const KUBERNETES: &str = "k8s";

/// The source of labels of what is no pod: `reserved:world`.
const RESERVED: &str = "reserved";

/// The source of a prefix's label: `cidr:10.0.0.0/8`.
const CIDR: &str = "cidr";

/// The labels of one endpoint, each key with its source: `k8s:app`.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Labels(BTreeMap<String, String>);

/// Why a text is no list of labels.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LabelsError {
    /// An entry without `=`.
    #[error("`{0}` is no label: write KEY=VALUE")]
    NoValue(String),
    /// An entry with nothing before `=`.
    #[error("`{0}` has no key: write KEY=VALUE")]
    NoKey(String),
    /// A key that stands there twice.
    #[error("`{0}` is given twice: leave one out")]
    Twice(String),
}

impl Labels {
    /// The labels of a pod, from what Kubernetes says of it.
    ///
    /// A pod's own labels cannot pose as its namespace, as its service account
    /// or as a label of its namespace: such keys are left out.
    pub fn of_pod<'a>(
        namespace: &str,
        pod_labels: impl IntoIterator<Item = (&'a str, &'a str)>,
        namespace_labels: impl IntoIterator<Item = (&'a str, &'a str)>,
        service_account: &str,
    ) -> Self {
        let mut labels: BTreeMap<_, _> = pod_labels
            .into_iter()
            .filter(|(key, _)| *key != NAMESPACE_KEY && !key.starts_with(RESERVED_PREFIX))
            .map(|(key, value)| (kubernetes(key), value.to_owned()))
            .collect();
        for (key, value) in namespace_labels {
            let key = kubernetes(&format!("{NAMESPACE_LABELS_PREFIX}{key}"));
            labels.insert(key, value.to_owned());
        }
        labels.insert(kubernetes(NAMESPACE_KEY), namespace.to_owned());
        if !service_account.is_empty() {
            labels.insert(kubernetes(SERVICE_ACCOUNT_KEY), service_account.to_owned());
        }
        Self(labels)
    }

    /// The labels of an object of Kubernetes that is no pod.
    pub fn of_object<'a>(labels: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        labels.into_iter().map(|(key, value)| (kubernetes(key), value)).collect()
    }

    /// The labels of what is no pod: `host`, `world`.
    #[must_use]
    pub fn reserved(names: &[&str]) -> Self {
        names.iter().map(|name| (format!("{RESERVED}:{name}"), "")).collect()
    }

    /// The labels of a part of the world.
    #[must_use]
    pub fn of_prefix(prefix: Prefix) -> Self {
        [(format!("{CIDR}:{prefix}"), ""), (format!("{RESERVED}:world"), "")].into_iter().collect()
    }

    /// Whether these are of what is reserved under this name.
    #[must_use]
    pub fn is_reserved(&self, name: &str) -> bool {
        self.0.contains_key(&format!("{RESERVED}:{name}"))
    }

    /// The same labels, and one more that is reserved.
    #[must_use]
    pub fn and_reserved(mut self, name: &str) -> Self {
        self.0.insert(format!("{RESERVED}:{name}"), String::new());
        self
    }

    /// The part of the world that these are the labels of.
    #[must_use]
    pub fn prefix(&self) -> Option<Prefix> {
        let (full, _) = self.0.range(format!("{CIDR}:")..).next()?;
        full.strip_prefix(CIDR)?.strip_prefix(':')?.parse().ok()
    }

    /// Reads `k=v,k=v`. A key without a source is Kubernetes's, and without a
    /// namespace the labels are of one in `default`. An empty text is a pod in
    /// `default` that has no labels of its own. `reserved:host` and its like are
    /// of no namespace and need no value.
    ///
    /// # Errors
    /// A [`LabelsError`] that names the entry.
    pub fn parse(text: &str) -> Result<Self, LabelsError> {
        let mut labels = BTreeMap::new();
        for entry in text.split(',').map(str::trim).filter(|entry| !entry.is_empty()) {
            let is_reserved = entry.starts_with("reserved:");
            let Some((key, value)) =
                entry.split_once('=').or_else(|| is_reserved.then_some((entry, "")))
            else {
                return Err(LabelsError::NoValue(entry.to_owned()));
            };
            if key.is_empty() {
                return Err(LabelsError::NoKey(entry.to_owned()));
            }
            let key = if key.contains(':') { key.to_owned() } else { kubernetes(key) };
            if labels.insert(key.clone(), value.to_owned()).is_some() {
                return Err(LabelsError::Twice(key));
            }
        }
        if !labels.keys().any(|key| key.starts_with("reserved:")) {
            labels.entry(kubernetes(NAMESPACE_KEY)).or_insert_with(|| "default".to_owned());
        }
        Ok(Self(labels))
    }

    /// The namespace of the endpoint, if it has one.
    #[must_use]
    pub fn namespace(&self) -> Option<&str> {
        self.0.get(&kubernetes(NAMESPACE_KEY)).map(String::as_str)
    }

    /// Every label as source, key and value.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str, &str)> {
        self.0.iter().map(|(full, value)| {
            let (source, key) = full.split_once(':').unwrap_or(("", full));
            (source, key, value.as_str())
        })
    }
}

fn kubernetes(key: &str) -> String {
    format!("{KUBERNETES}:{key}")
}

impl fmt::Display for Labels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (key, value)) in self.0.iter().enumerate() {
            let comma = if index == 0 { "" } else { "," };
            write!(f, "{comma}{key}={value}")?;
        }
        Ok(())
    }
}

impl<K: Into<String>, V: Into<String>> FromIterator<(K, V)> for Labels {
    /// Labels from full keys: `k8s:app`.
    fn from_iter<I: IntoIterator<Item = (K, V)>>(pairs: I) -> Self {
        Self(pairs.into_iter().map(|(key, value)| (key.into(), value.into())).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pod_cannot_pose_as_another_namespace_or_service_account() {
        let forged = [
            ("app", "web"),
            (NAMESPACE_KEY, "kube-system"),
            (SERVICE_ACCOUNT_KEY, "admin"),
            ("io.cilium.k8s.namespace.labels.team", "root"),
        ];
        let labels = Labels::of_pod("shop", forged, [("team", "blue")], "web");
        assert_eq!(
            labels.to_string(),
            "k8s:app=web,k8s:io.cilium.k8s.namespace.labels.team=blue,\
             k8s:io.cilium.k8s.policy.serviceaccount=web,k8s:io.kubernetes.pod.namespace=shop"
        );
        let without_account = Labels::of_pod("shop", forged, [], "");
        assert_eq!(without_account.to_string(), "k8s:app=web,k8s:io.kubernetes.pod.namespace=shop");
    }

    #[test]
    fn labels_are_read_from_a_list() {
        let labels = Labels::parse("app=web, any:role=jedi").expect("labels");
        assert_eq!(
            labels.to_string(),
            "any:role=jedi,k8s:app=web,k8s:io.kubernetes.pod.namespace=default"
        );
        let elsewhere = Labels::parse("k8s:io.kubernetes.pod.namespace=shop").expect("labels");
        assert_eq!(elsewhere.namespace(), Some("shop"));
        assert_eq!(Labels::parse("").expect("labels").namespace(), Some("default"));
        let host = Labels::parse("reserved:host").expect("labels");
        assert_eq!((host.to_string().as_str(), host.namespace()), ("reserved:host=", None));
    }

    #[test]
    fn a_prefix_is_told_by_its_labels() {
        let prefix = Prefix::read("fd00::/8").expect("a prefix");
        let labels = Labels::of_prefix(prefix);
        assert_eq!(labels.to_string(), "cidr:fd00::/8=,reserved:world=");
        assert_eq!(labels.prefix(), Some(prefix));
        assert_eq!(Labels::reserved(&["world"]).prefix(), None);
    }

    #[test]
    fn what_is_no_list_of_labels_is_refused_by_name() {
        assert_eq!(Labels::parse("a=1,b"), Err(LabelsError::NoValue("b".into())));
        assert_eq!(Labels::parse("=1"), Err(LabelsError::NoKey("=1".into())));
        assert_eq!(Labels::parse("a=1,k8s:a=2"), Err(LabelsError::Twice("k8s:a".into())));
    }
}
