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
    assert_eq!(config.agent, Path::new("/run/remora/agent.sock"));
    assert_eq!(config.inbound, "[::]:16006".parse().unwrap());
    assert_eq!(config.admin, "127.0.0.1:16000".parse().unwrap());
    assert_eq!(config.pod.ips, ["10.0.0.1".parse::<IpAddr>().unwrap(), "fd00::1".parse().unwrap()]);
    assert_eq!(config.log, LevelFilter::INFO);
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
        ("REMORA_AGENT", "tcp:10.0.0.1:1", "only unix sockets"),
        ("REMORA_AGENT", "unix:agent.sock", "absolute"),
        ("REMORA_POD_IPS", "10.0.0.1,ten", "`ten` is no IP address"),
        ("REMORA_POD_IPS", "127.0.0.1", "cannot be a pod's own address"),
        ("REMORA_POD_IPS", "::ffff:127.0.0.1", "cannot be a pod's own address"),
        ("REMORA_INBOUND_PORT", "70000", "up to 65535"),
        ("REMORA_ADMIN_PORT", "x", "up to 65535"),
        ("REMORA_LOG", "loud", "say off, error"),
    ];
    for (name, value, says) in cases {
        let error = read(&[(name, value)]).unwrap_err();
        assert!(error.starts_with(name) && error.contains(says), "{name}={value}: {error}");
    }
}

#[test]
fn a_socket_path_fits_up_to_its_cap() {
    let path = |length: usize| format!("unix:/{}", "a".repeat(length - 1));
    assert!(read(&[("REMORA_AGENT", &path(MAX_SOCKET_PATH))]).is_ok());
    assert!(read(&[("REMORA_AGENT", &path(MAX_SOCKET_PATH + 1))]).is_err());
}
