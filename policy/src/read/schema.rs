//! The fields of a policy: which are read, which are words to people only, and
//! which are Cilium's but not ours. Source: the CRDs of Cilium 1.19.

/// The fields of one kind of map.
pub(super) struct Schema {
    /// What is read.
    pub(super) read: &'static [&'static str],
    /// What changes nothing.
    pub(super) ignored: &'static [&'static str],
    /// What is refused by name.
    pub(super) later: &'static [&'static str],
}

pub(super) const DOCUMENT: Schema = Schema {
    read: &["apiVersion", "kind", "metadata", "spec", "specs"],
    ignored: &["status"],
    later: &[],
};

/// `spec`, and each of `specs`.
pub(super) const RULE: Schema = Schema {
    read: &[
        "endpointSelector",
        "ingress",
        "ingressDeny",
        "egress",
        "egressDeny",
        "enableDefaultDeny",
    ],
    ignored: &["description", "labels"],
    later: &["nodeSelector", "log"],
};

/// What our own kinds have in their `spec` besides.
pub(super) const OWN_RULE: Schema = Schema {
    read: &[
        "endpointSelector",
        "ingress",
        "ingressDeny",
        "egress",
        "egressDeny",
        "enableDefaultDeny",
        "mode",
    ],
    ..RULE
};

pub(super) const DEFAULT_DENY: Schema =
    Schema { read: &["ingress", "egress"], ignored: &[], later: &[] };

pub(super) const INGRESS: Schema = Schema {
    read: &["fromEndpoints", "fromEntities", "fromCIDR", "fromCIDRSet", "toPorts"],
    ignored: &[],
    later: &["fromNodes", "fromGroups", "fromRequires", "icmps", "authentication"],
};

pub(super) const INGRESS_DENY: Schema =
    Schema { later: &["fromNodes", "fromGroups", "fromRequires", "icmps"], ..INGRESS };

pub(super) const EGRESS: Schema = Schema {
    read: &["toEndpoints", "toEntities", "toCIDR", "toCIDRSet", "toServices", "toPorts"],
    ignored: &[],
    later: &["toFQDNs", "toNodes", "toGroups", "toRequires", "icmps", "authentication"],
};

pub(super) const EGRESS_DENY: Schema =
    Schema { later: &["toNodes", "toGroups", "toRequires", "icmps"], ..EGRESS };

pub(super) const PORT_RULE: Schema = Schema {
    read: &["ports", "rules"],
    ignored: &[],
    later: &["listener", "originatingTLS", "terminatingTLS", "serverNames"],
};

pub(super) const DENY_PORT_RULE: Schema = Schema { read: &["ports"], ignored: &[], later: &[] };

pub(super) const PORT: Schema =
    Schema { read: &["port", "protocol", "endPort"], ignored: &[], later: &[] };

pub(super) const L7: Schema =
    Schema { read: &["l7proto", "l7"], ignored: &[], later: &["http", "kafka", "dns"] };

pub(super) const SELECTOR: Schema =
    Schema { read: &["matchLabels", "matchExpressions"], ignored: &[], later: &[] };

pub(super) const EXPRESSION: Schema =
    Schema { read: &["key", "operator", "values"], ignored: &[], later: &[] };

pub(super) const CIDR_RULE: Schema = Schema {
    read: &["cidr", "cidrGroupRef", "cidrGroupSelector", "except"],
    ignored: &[],
    later: &[],
};

pub(super) const SERVICE: Schema =
    Schema { read: &["k8sService", "k8sServiceSelector"], ignored: &[], later: &[] };

pub(super) const NAMED_SERVICE: Schema =
    Schema { read: &["serviceName", "namespace"], ignored: &[], later: &[] };

pub(super) const LABELLED_SERVICES: Schema =
    Schema { read: &["selector", "namespace"], ignored: &[], later: &[] };

/// Where a field belongs that stands somewhere else: most often, a slip of
/// indentation.
pub(super) fn home(field: &str) -> Option<&'static str> {
    let homes: [(&Schema, &str); 8] = [
        (&RULE, "in `spec`"),
        (&INGRESS, "in an entry of `ingress`"),
        (&EGRESS, "in an entry of `egress`"),
        (&PORT_RULE, "in an entry of `toPorts`"),
        (&PORT, "in an entry of `ports`"),
        (&L7, "in `rules`"),
        (&SELECTOR, "in a selector, such as `endpointSelector`"),
        (&SERVICE, "in an entry of `toServices`"),
    ];
    if matches!(field, "name" | "namespace") {
        return Some("in `metadata`");
    }
    homes
        .into_iter()
        .find(|(schema, _)| schema.read.contains(&field) || schema.later.contains(&field))
        .map(|(_, home)| home)
}

impl Schema {
    /// Every name, for messages.
    pub(super) fn names(&self) -> impl Iterator<Item = &'static str> {
        self.read.iter().chain(self.ignored).chain(self.later).copied()
    }
}
