//! Reading the environment.

use super::*;

const GOOD: [(&str, &str); 5] = [
    ("REMORA_AGENT", "unix:/run/remora/agent.sock"),
    ("REMORA_POD_NAMESPACE", "default"),
    ("REMORA_POD_NAME", "droid"),
    ("REMORA_POD_UID", "7a"),
    ("REMORA_POD_IPS", "10.0.0.1,fd00::1"),
];

fn read(changes: &[(&str, &str)]) -> Result<Config, String> {
    let get = |name: &str| {
        let found = changes.iter().chain(&GOOD).find(|(key, _)| *key == name);
        found.map(|(_, value)| (*value).to_owned())
    };
    Config::read(get).map_err(|error| error.to_string())
}

#[test]
fn the_injected_environment_is_enough() {
    let config = read(&[]).unwrap();
    assert_eq!(config.agent, Agent::Unix("/run/remora/agent.sock".into()));
    assert_eq!(config.inbound, "[::]:16006".parse().unwrap());
    let outbound = ["127.0.0.1:16001", "[::1]:16001"].map(|it| it.parse().unwrap());
    assert_eq!(config.outbound, outbound);
    assert_eq!(config.admin, "127.0.0.1:16000".parse().unwrap());
    assert_eq!(config.metrics, "[::]:16020".parse().unwrap());
    assert_eq!(config.health, "[::]:16021".parse().unwrap());
    assert_eq!(config.unknown_wait, Duration::from_secs(5));
    assert_eq!(config.pod.ips, ["10.0.0.1".parse::<IpAddr>().unwrap(), "fd00::1".parse().unwrap()]);
    assert_eq!((config.log, config.threads), (LevelFilter::INFO, 1));
    assert_eq!(config.original_destination, OriginalDestination::Kernel);
}

#[test]
fn everything_wrong_is_said_at_once() {
    let error = Config::read(|_| None).unwrap_err().to_string();
    let lines: Vec<_> = error.lines().map(|line| line.split(':').next().unwrap()).collect();
    assert_eq!(lines.len(), GOOD.len());
    for (name, _) in GOOD {
        assert!(lines.contains(&name), "{name} is not in {error}");
    }
}

#[test]
fn each_bad_value_names_its_variable_and_a_remedy() {
    let cases = [
        ("REMORA_AGENT", "tcp:10.0.0.1:1", "neither https://HOST:PORT nor unix:"),
        ("REMORA_AGENT", "http://10.0.0.1:1", "neither https://HOST:PORT nor unix:"),
        ("REMORA_AGENT", "https://agent", "neither https://HOST:PORT nor unix:"),
        ("REMORA_AGENT", "https://agent:0", "neither https://HOST:PORT nor unix:"),
        ("REMORA_AGENT", "https://agent:16010/x", "neither https://HOST:PORT nor unix:"),
        ("REMORA_AGENT", "https://fd00::1:16010", "neither https://HOST:PORT nor unix:"),
        ("REMORA_AGENT", "https://a_b!:16010", "neither https://HOST:PORT nor unix:"),
        ("REMORA_AGENT", "unix:agent.sock", "absolute"),
        ("REMORA_POD_IPS", "10.0.0.1,ten", "`ten` is no IP address"),
        ("REMORA_POD_IPS", "127.0.0.1", "cannot be a pod's own address"),
        ("REMORA_POD_IPS", "::ffff:127.0.0.1", "cannot be a pod's own address"),
        ("REMORA_INBOUND_PORT", "70000", "up to 65535"),
        ("REMORA_OUTBOUND_PORT", "-1", "up to 65535"),
        ("REMORA_ADMIN_PORT", "x", "up to 65535"),
        ("REMORA_METRICS_PORT", "x", "up to 65535"),
        ("REMORA_HEALTH_PORT", "x", "up to 65535"),
        ("REMORA_HOST_IP", "node", "`node` is no IP address"),
        ("REMORA_UNKNOWN_WAIT_SECONDS", "61", "no number of seconds from 0 to 60"),
        ("REMORA_UNKNOWN_WAIT_SECONDS", "-1", "no number of seconds from 0 to 60"),
        ("REMORA_PROBES", "{", "inject the pod anew"),
        (
            "REMORA_PROBES",
            r#"{"/probe/app/startup":{"tcpSocket":{"port":16021}}}"#,
            "/probe/app/startup: the port is the sidecar's own",
        ),
        ("REMORA_LOG", "loud", "say off, error"),
        ("REMORA_THREADS", "0", "no number from 1 to 64"),
        ("REMORA_THREADS", "65", "no number from 1 to 64"),
    ];
    for (name, value, says) in cases {
        let error = read(&[(name, value)]).unwrap_err();
        assert!(error.starts_with(name) && error.contains(says), "{name}={value}: {error}");
    }
}

#[test]
fn a_socket_path_fits_up_to_its_cap() {
    let path = |length: usize| format!("unix:/{}", "a".repeat(length - 1));
    assert!(read(&[("REMORA_AGENT", &path(agent::MAX_SOCKET_PATH))]).is_ok());
    assert!(read(&[("REMORA_AGENT", &path(agent::MAX_SOCKET_PATH + 1))]).is_err());
}

const TLS: [(&str, &str); 3] = [
    ("REMORA_AGENT", "https://remora-agent.remora.svc:16010"),
    ("REMORA_CA", "/run/remora/ca/ca.crt"),
    ("REMORA_TOKEN", "/run/remora/token/token"),
];

#[test]
fn an_agent_behind_tls_is_read_and_shown_as_it_was_written() {
    let config = read(&TLS).unwrap();
    let Agent::Tls(tls) = &config.agent else { panic!("{:?}", config.agent) };
    assert_eq!((tls.server.to_str().as_ref(), tls.port), ("remora-agent.remora.svc", 16010));
    assert_eq!(tls.ca.to_str(), Some("/run/remora/ca/ca.crt"));
    assert_eq!(tls.token.to_str(), Some("/run/remora/token/token"));
    for address in ["https://10.0.0.1:1", "https://[fd00::1]:16010", TLS[0].1] {
        let config = read(&[[("REMORA_AGENT", address)].as_slice(), &TLS].concat()).unwrap();
        assert_eq!(config.agent.to_string(), address);
    }
}

#[test]
fn an_agent_behind_tls_needs_a_ca_and_a_token() {
    for (name, value) in [("REMORA_CA", ""), ("REMORA_TOKEN", ""), ("REMORA_TOKEN", "token")] {
        let error = read(&[[(name, value)].as_slice(), &TLS].concat()).unwrap_err();
        assert!(error.starts_with(name) && error.contains("absolute path"), "{error}");
    }
}

#[test]
fn hooks_need_the_nodes_address() {
    let hook = r#"{"/lifecycle/app/preStop":{"httpGet":{"port":80}}}"#;
    let error = read(&[("REMORA_PROBES", hook)]).unwrap_err();
    assert!(error.starts_with("REMORA_HOST_IP") && error.contains("status.hostIP"), "{error}");
    let config = read(&[("REMORA_PROBES", hook), ("REMORA_HOST_IP", "192.0.2.1")]).unwrap();
    assert_eq!(config.node, ["192.0.2.1".parse::<IpAddr>().unwrap()]);
}
