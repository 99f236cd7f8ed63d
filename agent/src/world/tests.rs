//! Pure tests of the world: documents in, slices and notices out.

mod cluster;
mod incremental;
mod references;

use std::path::Path;
use std::sync::Arc;

use remora_api::cilium::NetworkPolicyHosts;
use remora_manifest::read;

use super::*;
use crate::directory::{Document, Scope, Unreadable};
use crate::notice::Severity;

const POLICY: &str = "
apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata: {name: droids, namespace: shop}
spec:
  endpointSelector: {matchLabels: {app: droid}}
  ingress:
  - fromEndpoints: [{matchLabels: {role: jedi}}]
    toPorts:
    - ports: [{port: '4040', protocol: TCP}]
      rules: {l7proto: r2d2, l7: [{cmd: READ}]}
";

fn pod(name: &str, labels: &str, address: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Pod\nmetadata: {{name: {name}, namespace: shop, uid: uid-{name}, labels: {{{labels}}}}}\n\
         spec: {{initContainers: [{{name: remora}}]}}\nstatus: {{podIPs: [{{ip: {address}}}]}}\n"
    )
}

/// A world and the manifests in it, each file with its own reading.
struct Scene {
    world: World,
    revision: u64,
    files: BTreeMap<String, Vec<Document>>,
    unreadable: Vec<Unreadable>,
}

impl Scene {
    fn new(files: &[(&str, &str)]) -> Self {
        let world = World::new(Registry::BUILT_IN);
        let mut scene = Self { world, revision: 0, files: BTreeMap::new(), unreadable: Vec::new() };
        files.iter().for_each(|(file, text)| scene.write(file, text));
        scene
    }

    fn write(&mut self, file: &str, text: &str) {
        self.revision += 1;
        let nodes = read(text, Path::new(file)).into_iter();
        let document = |(index, node): (usize, Result<_, _>)| Document {
            revision: self.revision,
            index,
            node: Arc::new(node.expect("readable")),
        };
        self.files.insert(file.to_owned(), nodes.enumerate().map(document).collect());
    }

    fn update(&mut self) -> Vec<Notice> {
        let documents = self.files.values().flatten().cloned().collect();
        self.world.update(&Manifests { documents, unreadable: self.unreadable.clone() })
    }

    fn errors(&mut self) -> Vec<String> {
        let notices = self.update().into_iter();
        notices.filter(|n| n.severity == Severity::Error).map(|n| n.text).collect()
    }

    fn slice(&self, name: &str) -> Arc<PodSlice> {
        Arc::clone(self.world.slice_for(&key(name)).expect("a slice"))
    }
}

fn key(name: &str) -> PodKey {
    PodKey { namespace: "shop".to_owned(), name: name.to_owned() }
}

/// Who is recognised, beside the entries that every slice of a cluster has.
fn peers(slice: &PodSlice) -> &[NetworkPolicyHosts] {
    &slice.hosts[reserved(slice).len()..]
}

/// The entries about nobody in particular.
fn reserved(slice: &PodSlice) -> Vec<u64> {
    slice.hosts.iter().map(|hosts| hosts.policy).take_while(|policy| *policy < 256).collect()
}

fn addresses(slice: &PodSlice) -> Vec<&str> {
    peers(slice).iter().flat_map(|hosts| &hosts.host_addresses).map(String::as_str).collect()
}

/// Identities that the slice's policy names.
fn named(slice: &PodSlice) -> Vec<u64> {
    let rules = slice.policy.ingress_per_port_policies.iter().flat_map(|port| &port.rules);
    rules.flat_map(|rule| &rule.remote_policies).map(|number| u64::from(*number)).collect()
}

#[test]
fn a_slice_holds_only_the_identities_that_its_policy_names() {
    let mut scene = Scene::new(&[
        ("droid.yaml", &pod("droid", "app: droid", "10.0.0.1")),
        ("luke.yaml", &pod("luke", "role: jedi", "10.0.0.2")),
        ("leia.yaml", &pod("leia", "role: jedi", "'fd00::3'")),
        ("vader.yaml", &pod("vader", "role: sith", "10.0.0.4")),
        ("policy.yaml", POLICY),
    ]);
    assert_eq!(scene.errors(), [""; 0]);
    let droid = scene.slice("droid");
    assert_eq!(addresses(&droid), ["10.0.0.2", "fd00::3"]);
    assert!(reserved(&droid).is_empty(), "a directory has nobody more to wait for");
    assert_eq!(named(&droid), [peers(&droid)[0].policy], "two pods with equal labels are one");
    assert_eq!(droid.policy.endpoint_ips, ["10.0.0.1"]);
    let vader = scene.slice("vader");
    assert_eq!((peers(&vader).len(), named(&vader).len()), (0, 0), "no policy is about it");
    assert!(scene.world.slice_for(&key("nobody")).is_none());
}

#[test]
fn identities_keep_their_numbers_and_no_number_comes_back() {
    let mut scene = Scene::new(&[
        ("droid.yaml", &pod("droid", "app: droid", "10.0.0.1")),
        ("luke.yaml", &pod("luke", "role: jedi", "10.0.0.2")),
        ("policy.yaml", POLICY),
    ]);
    scene.update();
    let first = named(&scene.slice("droid"));
    assert!(first[0] >= 256);
    scene.write("leia.yaml", &pod("leia", "role: jedi, sex: f", "10.0.0.3"));
    scene.update();
    let both = named(&scene.slice("droid"));
    assert!(both.len() == 2 && both.contains(&first[0]));
    scene.files.remove("luke.yaml");
    scene.update();
    scene.write("luke.yaml", &pod("luke", "role: jedi", "10.0.0.2"));
    scene.update();
    assert!(!named(&scene.slice("droid")).contains(&first[0]));
}

#[test]
fn nobody_is_recognised_without_an_address_of_its_own() {
    let mut scene = Scene::new(&[
        ("droid.yaml", &pod("droid", "app: droid", "10.0.0.1")),
        ("luke.yaml", &pod("luke", "role: jedi", "10.0.0.2")),
        ("policy.yaml", POLICY),
    ]);
    let luke = pod("luke", "role: jedi", "10.0.0.2");
    scene.write("luke.yaml", luke.split("status").next().expect("a part"));
    let notices = scene.update();
    let told: Vec<_> = notices.iter().map(|n| (n.severity, n.text.as_str())).collect();
    assert_eq!(
        told,
        [(
            Severity::Info,
            "luke.yaml:1: pod shop/luke: status.podIPs: it has no address yet, so nobody is recognised as it"
        )]
    );
    let droid = scene.slice("droid");
    assert_eq!((peers(&droid).len(), named(&droid).len()), (0, 0), "left out whole");
    assert!(!droid.policy.ingress_per_port_policies.iter().any(|port| port.rules.is_empty()));
    scene.write("luke.yaml", &luke);
    scene.update();
    assert_eq!(addresses(&scene.slice("droid")), ["10.0.0.2"]);
}

#[test]
fn an_address_that_two_pods_claim_belongs_to_neither() {
    let mut scene = Scene::new(&[
        ("droid.yaml", &pod("droid", "app: droid", "10.0.0.1")),
        ("luke.yaml", &pod("luke", "role: jedi", "10.0.0.2")),
        ("vader.yaml", &pod("vader", "role: sith", "'::ffff:10.0.0.2'")),
        ("policy.yaml", POLICY),
    ]);
    assert_eq!(
        scene.errors(),
        [
            "luke.yaml:1: status.podIPs: 10.0.0.2 is claimed by several pods, so it belongs to none of them: shop/luke (luke.yaml:1), shop/vader (vader.yaml:1); remove the manifests that are out of date"
        ]
    );
    assert_eq!(peers(&scene.slice("droid")), []);
    let vader = pod("vader", "role: sith", "10.0.0.2");
    scene.write("vader.yaml", &vader.replace("status: {", "status: {phase: Succeeded, "));
    assert_eq!(scene.errors(), [""; 0], "a completed pod claims nothing");
    assert_eq!(addresses(&scene.slice("droid")), ["10.0.0.2"]);
    assert!(scene.world.slice_for(&key("vader")).is_none());
}

#[test]
fn a_pod_on_its_hosts_network_is_not_recognised_by_the_hosts_address() {
    let luke = pod("luke", "role: jedi", "10.0.0.2");
    let mut scene = Scene::new(&[
        ("droid.yaml", &pod("droid", "app: droid", "10.0.0.1")),
        ("luke.yaml", &luke.replace("spec: {", "spec: {hostNetwork: true, ")),
        ("policy.yaml", POLICY),
    ]);
    scene.update();
    assert_eq!(peers(&scene.slice("droid")), []);
}

#[test]
fn labels_of_the_namespace_and_the_service_account_count() {
    let policy = POLICY.replace(
        "role: jedi",
        "io.cilium.k8s.namespace.labels.team: rebels, io.cilium.k8s.policy.serviceaccount: pilot",
    );
    let luke = pod("luke", "", "10.0.0.2");
    let mut scene = Scene::new(&[
        ("droid.yaml", &pod("droid", "app: droid", "10.0.0.1")),
        ("luke.yaml", &luke.replace("spec: {", "spec: {serviceAccountName: pilot, ")),
        ("policy.yaml", &policy),
    ]);
    scene.update();
    assert_eq!(peers(&scene.slice("droid")), []);
    scene.write(
        "namespace.yaml",
        "apiVersion: v1\nkind: Namespace\nmetadata: {name: shop, labels: {team: rebels}}",
    );
    scene.update();
    assert_eq!(addresses(&scene.slice("droid")), ["10.0.0.2"]);
}

#[test]
fn only_pods_with_a_sidecar_are_served_and_one_with_a_new_uid_is_another() {
    let luke = pod("luke", "role: jedi", "10.0.0.2");
    let mut scene = Scene::new(&[
        ("droid.yaml", &pod("droid", "app: droid", "10.0.0.1")),
        ("luke.yaml", &luke.replace("name: remora", "name: other")),
    ]);
    scene.update();
    assert_eq!(scene.world.injected().collect::<Vec<_>>(), [&key("droid")]);
    let before = scene.slice("droid").policy.endpoint_id;
    scene.write("droid.yaml", &pod("droid", "app: r2d2", "10.0.0.9"));
    scene.update();
    assert_eq!(scene.slice("droid").policy.endpoint_id, before);
    scene.write("droid.yaml", &pod("droid", "", "10.0.0.9").replace("uid-droid", "uid-2"));
    scene.update();
    assert_ne!(scene.slice("droid").policy.endpoint_id, before);
}

#[test]
fn of_two_objects_with_one_name_the_first_counts() {
    let mut scene = Scene::new(&[
        ("a.yaml", &pod("luke", "role: jedi", "10.0.0.2")),
        ("b.yaml", &pod("luke", "role: sith", "10.0.0.3")),
        ("c.yaml", POLICY),
        ("d.yaml", &POLICY.replace("jedi", "sith")),
        ("e.yaml", &pod("droid", "app: droid", "10.0.0.1")),
    ]);
    let errors = [
        "b.yaml:1: pod shop/luke stands in a.yaml:1 already, and the first counts; remove one of them",
        "d.yaml:2: CiliumNetworkPolicy shop/droids stands in c.yaml:2 already, and the first counts; remove one of them",
    ];
    assert_eq!(scene.errors(), errors);
    assert_eq!(addresses(&scene.slice("droid")), ["10.0.0.2"]);
    scene.files.remove("a.yaml");
    scene.files.remove("c.yaml");
    assert_eq!(scene.errors(), [""; 0]);
    assert_eq!(addresses(&scene.slice("droid")), ["10.0.0.3"]);
}

#[test]
fn a_refused_policy_keeps_its_last_good_version_or_closes() {
    let refused = POLICY.replace("cmd: READ", "comand: READ");
    let mut scene = Scene::new(&[
        ("droid.yaml", &pod("droid", "app: droid", "10.0.0.1")),
        ("luke.yaml", &pod("luke", "role: jedi", "10.0.0.2")),
        ("policy.yaml", POLICY),
    ]);
    scene.update();
    let good = scene.slice("droid");
    scene.write("policy.yaml", &refused);
    let errors = scene.errors();
    assert!(errors[0].starts_with("policy.yaml:11: "), "{errors:?}");
    let end = "CiliumNetworkPolicy shop/droids is refused: its last good version stays in force";
    assert!(errors[0].ends_with(end), "{errors:?}");
    assert_eq!(scene.slice("droid"), good);

    let mut fresh = Scene::new(&[]);
    fresh.files.clone_from(&scene.files);
    assert!(fresh.errors()[0].contains("is CLOSED until it is mended"));
    assert!(is_closed(&fresh, "droid") && !is_closed(&fresh, "luke"));
    fresh.files.remove("policy.yaml");
    fresh.update();
    assert!(!is_closed(&fresh, "droid"));
}

#[test]
fn a_file_that_cannot_be_read_closes_what_it_may_be_about() {
    let mut scene = Scene::new(&[("droid.yaml", &pod("droid", "app: droid", "10.0.0.1"))]);
    let unreadable = |scope| Unreadable {
        file: Path::new("bad.yaml").into(),
        line: 7,
        error: "bad.yaml:7: broken".to_owned(),
        scope,
    };
    let namespaces = |name: &str| Scope::Namespaces([name.to_owned()].into());
    for (scope, closed) in [
        (Scope::Nothing, false),
        (namespaces("default"), false),
        (namespaces("shop"), true),
        (Scope::Everywhere, true),
    ] {
        scene.unreadable = vec![unreadable(scope.clone())];
        scene.update();
        assert_eq!(is_closed(&scene, "droid"), closed, "{scope:?}");
    }
    scene.unreadable.clear();
    scene.update();
    assert!(!is_closed(&scene, "droid"));
}

#[test]
fn a_bad_document_is_named_and_the_others_count() {
    let mut scene = Scene::new(&[
        ("droid.yaml", &pod("droid", "app: droid", "10.0.0.1")),
        ("luke.yaml", &pod("luke", "role: jedi", "10.0.0.2")),
        ("policy.yaml", POLICY),
    ]);
    scene.update();
    scene.write("luke.yaml", &pod("luke", "role: jedi", "10.0.0.300"));
    scene.write("bad.yaml", &pod("../../etc", "", "10.0.0.5"));
    scene.write("far.yaml", &pod("far", "", "127.0.0.1"));
    assert_eq!(
        scene.errors(),
        [
            "bad.yaml:3: metadata.name: `../../etc` is no name that Kubernetes allows here; write lower-case letters, digits, `-` and, in a pod's name, `.`: this document is ignored",
            "far.yaml:5: status.podIPs[0].ip: 127.0.0.1 can be no pod's address; write the pod's address as the kubelet reports it: this document is ignored",
            "luke.yaml:5: status.podIPs[0].ip: `10.0.0.300` is no IP address; write the pod's address as the kubelet reports it: its last good version stays in force",
        ]
    );
    assert_eq!(addresses(&scene.slice("droid")), ["10.0.0.2"]);
}

#[test]
fn what_the_agent_does_not_read_is_told() {
    let mut scene = Scene::new(&[("x.yaml", "apiVersion: v1\nkind: Secret\n")]);
    let notices = scene.update();
    assert_eq!(notices[0].severity, Severity::Warning);
    let text = "x.yaml:1: kind: `Secret` is ignored; the agent reads Pod, Namespace, Service, EndpointSlice, CiliumCIDRGroup and policies";
    assert_eq!(notices[0].text, text);
}

/// Nothing may come in.
fn is_closed(scene: &Scene, name: &str) -> bool {
    use remora_api::cilium::port_network_policy_rule::Verdict;
    let slice = scene.slice(name);
    slice
        .policy
        .ingress_per_port_policies
        .iter()
        .all(|port| port.rules.iter().any(|rule| rule.verdict == Some(Verdict::Deny(true))))
}
