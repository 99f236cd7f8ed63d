//! Which pods are their node's, and what is taken from their manifests.

use std::path::Path;

use super::*;

fn pod(containers: &str, more: &str, status: &str) -> Pod {
    let text = format!(
        "metadata: {{name: cache, namespace: shop, uid: 7a}}\n\
         spec: {{initContainers: [{{name: remora-init}}, {containers}]{more}}}\nstatus: {{{status}}}\n"
    );
    let document = remora_manifest::read(&text, Path::new("x")).remove(0).expect("readable");
    let key = PodKey { namespace: "shop".to_owned(), name: "cache".to_owned() };
    Pod::read(key, &document, 1).expect("a pod")
}

const ON: &str = ", nodeName: n1";
const UP: &str = "hostIP: 192.0.2.1, podIPs: [{ip: 10.0.0.7}, {ip: 'fd00::7'}]";

fn given(pod: &Pod) -> BTreeMap<String, String> {
    let on_node = pod.on_node.as_ref().expect("served by its node");
    let variables = on_node.endpoint.variables.iter();
    variables.map(|own| (own.name.clone(), own.value.clone())).collect()
}

#[test]
fn who_waits_and_has_an_address_is_served_by_its_node() {
    let own = pod("{name: remora}", ON, UP);
    let on_node = own.on_node.as_ref().expect("served by its node");
    assert_eq!(on_node.node, "n1");
    let Endpoint { namespace, name, uid, .. } = &on_node.endpoint;
    assert_eq!([namespace, name, uid], ["shop", "cache", "7a"]);
    let expected = [
        ("REMORA_HOST_IP", "192.0.2.1"),
        ("REMORA_POD_IPS", "10.0.0.7,fd00::7"),
        ("REMORA_POD_NAME", "cache"),
        ("REMORA_POD_NAMESPACE", "shop"),
        ("REMORA_POD_UID", "7a"),
    ];
    assert_eq!(given(&own), expected.map(|(name, value)| (name.into(), value.into())).into());
    for (containers, more, status) in [
        ("{name: remora, restartPolicy: Always}", ON, UP),
        ("{name: other}", ON, UP),
        ("{name: remora}", "", UP),
        ("{name: remora}", ", nodeName: ''", UP),
        ("{name: remora}", ON, "hostIP: 192.0.2.1"),
        ("{name: remora}", ", nodeName: n1, hostNetwork: true", UP),
    ] {
        let pod = pod(containers, more, status);
        assert!(pod.on_node.is_none(), "{containers} {more} {status}");
        assert_eq!(pod.is_of_node, containers == "{name: remora}", "{containers}");
        assert_eq!(pod.is_injected, containers.contains("remora"), "{containers}");
    }
}

#[test]
fn a_pod_decides_about_itself_alone() {
    let env = "{name: remora, env: [{name: REMORA_MAX_CONNECTIONS, value: '7'}, \
        {name: REMORA_PROBES, value: '{\"/$$x\": 1}'}, {name: REMORA_LOG, value: debug}, \
        {name: REMORA_POD_UID, value: other}, {name: REMORA_POD_IPS, valueFrom: {fieldRef: {}}}, \
        {name: REMORA_AGENT, value: 'unix:/x'}, {name: REMORA_TOKEN, value: /x}, \
        {name: REMORA_SNAPSHOT, value: /etc/passwd}, {name: REMORA_ACCESS_LOG_SOCKET, value: /x}, \
        {name: LD_PRELOAD, value: /x}, {name: REMORA_MAX_CONNECTIONS, valueFrom: {}}, 7]}";
    let pod = pod(env, ON, UP);
    let given = given(&pod);
    assert_eq!(given["REMORA_MAX_CONNECTIONS"], "7");
    assert_eq!(given["REMORA_PROBES"], "{\"/$x\": 1}", "as the kubelet would give it");
    assert_eq!(given["REMORA_POD_UID"], "7a", "who it is, is not its to say");
    assert_eq!(given.len(), 7, "{given:?}");
    let text = left_out(&pod).expect("a word about it").text;
    let names = "REMORA_POD_UID, REMORA_AGENT, REMORA_TOKEN, REMORA_SNAPSHOT, REMORA_ACCESS_LOG_SOCKET, LD_PRELOAD";
    assert!(text.contains(names) && text.contains("remove"), "{text}");
}
