//! The kinds that are watched, as the API server knows them, and their objects
//! as the world reads them.

use std::path::Path;
use std::sync::Arc;

use kube::api::{ApiResource, DynamicObject};
use kube::core::TypeMeta;
use remora_manifest::{Location, Node, Value};
use remora_parsers::Registry;
use remora_policy::{PolicyKind, PolicyName};

use crate::world::{Key, Kind, Object, ObjectVersion, PodKey, ServiceKey};

/// What every cluster has.
pub(super) const BUILT_IN: [Kind; 5] =
    [Kind::Namespace, Kind::Node, Kind::Pod, Kind::Service, Kind::EndpointSlice];

/// The kind's place in the API.
pub(super) fn resource(kind: Kind) -> ApiResource {
    let (api_version, name, plural) = match kind {
        Kind::Pod => ("v1", "Pod", "pods"),
        Kind::Namespace => ("v1", "Namespace", "namespaces"),
        Kind::Node => ("v1", "Node", "nodes"),
        Kind::Service => ("v1", "Service", "services"),
        Kind::EndpointSlice => ("discovery.k8s.io/v1", "EndpointSlice", "endpointslices"),
        Kind::CidrGroup => ("cilium.io/v2", "CiliumCIDRGroup", "ciliumcidrgroups"),
        Kind::Policy(kind) => (kind.api_version(), kind.name(), plural(kind)),
    };
    let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
    ApiResource {
        group: group.to_owned(),
        version: version.to_owned(),
        api_version: api_version.to_owned(),
        kind: name.to_owned(),
        plural: plural.to_owned(),
    }
}

/// The name of the definition without which there is no such kind.
pub(super) fn definition(kind: Kind) -> String {
    let resource = resource(kind);
    format!("{}.{}", resource.plural, resource.group)
}

/// The definitions themselves.
pub(super) fn definitions() -> ApiResource {
    ApiResource {
        group: "apiextensions.k8s.io".to_owned(),
        version: "v1".to_owned(),
        api_version: "apiextensions.k8s.io/v1".to_owned(),
        kind: "CustomResourceDefinition".to_owned(),
        plural: "customresourcedefinitions".to_owned(),
    }
}

const fn plural(kind: PolicyKind) -> &'static str {
    match kind {
        PolicyKind::CiliumNetworkPolicy => "ciliumnetworkpolicies",
        PolicyKind::CiliumClusterwideNetworkPolicy => "ciliumclusterwidenetworkpolicies",
        PolicyKind::L7Policy => "l7policies",
        PolicyKind::ClusterL7Policy => "clusterl7policies",
    }
}

/// An object of the API server as the world reads it.
pub(super) fn read(kind: Kind, mut object: DynamicObject, registry: Registry) -> Object {
    let resource = resource(kind);
    object.types = Some(TypeMeta { api_version: resource.api_version, kind: resource.kind });
    // Who wrote which field is the larger half of many objects.
    object.metadata.managed_fields = None;
    let version = ObjectVersion {
        uid: object.metadata.uid.clone().unwrap_or_default(),
        generation: object.metadata.generation.unwrap_or_default(),
        status: object.data.get("status").cloned().unwrap_or_default(),
    };
    let place = key(kind, &object).map_or_else(String::new, |key| key.to_string());
    // Metadata always is a JSON value; were it none, an object without a name is told.
    let json = serde_json::to_value(object).unwrap_or_default();
    let mut node = Node::from_json(&json);
    if !matches!(kind, Kind::Policy(_)) {
        locate(&mut node, &Path::new(&place).into());
    }
    Object::read(&node, 0, registry).at(version)
}

/// The name of an object.
pub(super) fn key(kind: Kind, object: &DynamicObject) -> Option<Key> {
    let name = object.metadata.name.clone()?;
    let namespace = object.metadata.namespace.clone();
    Some(match kind {
        Kind::Pod => Key::Pod(PodKey { namespace: namespace?, name }),
        Kind::Namespace => Key::Namespace(name),
        Kind::Node => Key::Node(name),
        Kind::Service => Key::Service(ServiceKey { namespace: namespace?, name }),
        Kind::EndpointSlice => Key::EndpointSlice(ServiceKey { namespace: namespace?, name }),
        Kind::CidrGroup => Key::CidrGroup(name),
        Kind::Policy(kind) => {
            let namespace = namespace.filter(|_| kind.is_namespaced());
            Key::Policy(kind, PolicyName { namespace, name })
        }
    })
}

/// Has all errors about this tree name the object that it is of.
fn locate(node: &mut Node, place: &Arc<Path>) {
    let location = Location { file: Some(Arc::clone(place)), ..Location::nowhere() };
    match &mut node.value {
        Value::List(items) => items.iter_mut().for_each(|item| locate(item, place)),
        Value::Map(entries) => {
            for (key, value) in entries {
                key.location = location.clone();
                locate(value, place);
            }
        }
        _ => {}
    }
    node.location = location;
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn object(json: serde_json::Value) -> DynamicObject {
        serde_json::from_value(json).expect("an object")
    }

    #[test]
    fn every_kind_has_its_place() {
        let cnp = resource(Kind::Policy(PolicyKind::CiliumNetworkPolicy));
        assert_eq!((cnp.group.as_str(), cnp.version.as_str()), ("cilium.io", "v2"));
        assert_eq!(resource(Kind::Pod).group, "");
        assert_eq!(definition(Kind::Policy(PolicyKind::L7Policy)), "l7policies.policy.remora.dev");
    }

    #[test]
    fn an_object_is_read_as_its_manifest_is() {
        // Items of a list come without kind and version.
        let pod = object(json!({
            "metadata": {"name": "luke", "namespace": "shop", "uid": "u", "managedFields": [{}]},
            "spec": {"containers": []},
        }));
        let key = Key::Pod(PodKey { namespace: "shop".to_owned(), name: "luke".to_owned() });
        assert_eq!(super::key(Kind::Pod, &pod), Some(key.clone()));
        assert_eq!(read(Kind::Pod, pod, Registry::BUILT_IN).key(), Some(key));
    }

    #[test]
    fn errors_name_the_object() {
        let node = object(json!({
            "metadata": {"name": "n1"},
            "spec": {"podCIDRs": ["10.0.0.1/8"]},
        }));
        let read = read(Kind::Node, node, Registry::BUILT_IN);
        let mut world = crate::world::World::of_cluster(Registry::BUILT_IN, Vec::new());
        world.apply(crate::world::Change::Applied(read));
        let texts: Vec<_> = world.settle().into_iter().map(|notice| notice.text).collect();
        assert!(texts[0].starts_with("node n1: spec.podCIDRs[0]: "), "{texts:?}");
    }
}
