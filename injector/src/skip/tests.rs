//! Which exceptions reach the init container, and which are refused.

use serde_json::{Value, json};

use crate::{InjectConfig, inject};

fn injected(annotations: &Value) -> Result<Value, String> {
    let pod = json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a", "annotations": annotations},
        "spec": {"containers": [{"name": "app"}]},
    });
    let injected = inject(&pod, &InjectConfig::default()).map_err(|error| error.to_string())?;
    Ok(injected["spec"]["initContainers"][0]["args"].clone())
}

fn refusal(name: &str, value: &str) -> String {
    let annotation = format!("remora.dev/{name}");
    let error = injected(&json!({(annotation.clone()): value})).expect_err(value);
    let place = format!("metadata.annotations[\"{annotation}\"]: ");
    error.strip_prefix(&place).unwrap_or_else(|| panic!("{error}")).to_owned()
}

#[test]
fn exceptions_reach_the_init_container() {
    let usual = ["--inbound-port", "16006", "--outbound-port", "16001", "--proxy-uid", "16006"];
    assert_eq!(injected(&json!({})).expect("valid"), json!(usual));
    let args = injected(&json!({
        "remora.dev/skip-inbound-ports": "9090, 9100-9110",
        "remora.dev/skip-outbound-ports": "5432",
        "remora.dev/skip-outbound-cidrs": "10.9.0.0/16,fd09::/32, 10.1.2.3",
    }));
    let skips = [
        "--skip-inbound-ports",
        "9090,9100-9110",
        "--skip-outbound-ports",
        "5432",
        "--skip-outbound-cidrs",
        "10.9.0.0/16,fd09::/32,10.1.2.3",
    ];
    assert_eq!(args.expect("valid"), json!([&usual[..], &skips[..]].concat()));
}

#[test]
fn wrong_ports_are_refused_with_a_remedy() {
    for ports in
        ["", "0", "65536", "http", "80,", "90-80", "80:90", "80-90-100", "+80", "080", "-1"]
    {
        for name in ["skip-inbound-ports", "skip-outbound-ports"] {
            let error = refusal(name, ports);
            assert!(error.contains("is no port, nor a range of ports; write ports"), "{error}");
        }
    }
    for own in ["16000", "16001", "16006", "16020", "16021", "1-65535"] {
        let error = refusal("skip-inbound-ports", own);
        assert!(error.contains("a port of Remora's sidecar; leave it out"), "{error}");
    }
    // Elsewhere these are ports like any other.
    injected(&json!({"remora.dev/skip-outbound-ports": "16006"})).expect("valid");
}

#[test]
fn wrong_networks_are_refused_with_a_remedy() {
    for (cidr, says) in [
        ("", "is no network; write networks such as"),
        ("example.org", "is no network; write"),
        ("10.0.0/8", "is no network; write"),
        ("10.0.0.0/33", "is no network; write"),
        ("10.0.0.0/08", "is no network; write"),
        ("fd00::/129", "is no network; write"),
        ("10.0.0.1/8", "has bits set beyond its length; write"),
        ("fd00::1/64", "has bits set beyond its length; write"),
        ("0.0.0.0/0", "is every address there is; name"),
        ("10.0.0.0/8,::/0", "is every address there is; name"),
        ("::ffff:10.0.0.0/104", "maps IPv4 into IPv6; write"),
    ] {
        let error = refusal("skip-outbound-cidrs", cidr);
        assert!(error.contains(says), "{cidr}: {error}");
    }
}

#[test]
fn so_many_entries_and_no_more() {
    let ports = |count: u16| {
        let list: Vec<String> = (1..=count).map(|port| port.to_string()).collect();
        list.join(",")
    };
    injected(&json!({"remora.dev/skip-outbound-ports": ports(32)})).expect("valid");
    let error = refusal("skip-outbound-ports", &ports(33));
    assert_eq!(error, "has more than 32 entries; join some: a range of ports, or a larger network");
}
