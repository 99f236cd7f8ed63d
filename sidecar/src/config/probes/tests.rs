//! Reading the probes.

use super::*;

fn read(json: &str) -> Result<Probes, String> {
    Probes::read(json, &["10.0.0.1".parse().unwrap(), "fd00::1".parse().unwrap()])
}

fn one(handler: &str) -> Result<Probe, String> {
    let path = "/probe/app/liveness";
    let mut probes = read(&format!("{{\"{path}\":{{{handler}}}}}"))?;
    Ok(probes.0.remove(path).unwrap())
}

#[test]
fn every_kind_of_handler_is_read() {
    let probe = one(r#""httpGet":{"scheme":"HTTPS","path":"/live?x=1","port":8443,"host":null,
           "httpHeaders":[{"name":"X-One","value":"1"},{"name":"X-One","value":""}]},
           "timeoutSeconds":3"#)
    .unwrap();
    assert_eq!((probe.kind, probe.timeout), (Kind::Probe, Duration::from_secs(3)));
    let Call::Http(get) = probe.call else { panic!("{probe:?}") };
    assert!(get.tls);
    assert_eq!(get.address, "10.0.0.1:8443".parse().unwrap());
    assert_eq!(get.path, "/live?x=1");
    assert_eq!(get.headers.len(), 2);

    let probe = one(r#""tcpSocket":{"port":80,"host":"127.0.0.1"}"#).unwrap();
    assert_eq!(probe.timeout, Duration::from_secs(1), "Kubernetes' default");
    assert!(matches!(probe.call, Call::Tcp(address) if address == "127.0.0.1:80".parse().unwrap()));

    let probe = one(r#""grpc":{"port":80,"service":null}"#).unwrap();
    assert!(matches!(probe.call, Call::Grpc { service, .. } if service.is_empty()));

    let hooks = read(r#"{"/lifecycle/app/preStop":{"httpGet":{"port":80,"host":"fd00::1"}}}"#);
    let hooks = hooks.unwrap();
    assert!(hooks.has_hooks());
    assert_eq!(hooks.0["/lifecycle/app/preStop"].kind, Kind::Hook);
}

#[test]
fn what_is_not_understood_is_refused_with_its_path() {
    for (handler, says) in [
        (r#""exec":{"command":["true"]}"#, "unknown field `exec`"),
        (r#""httpGet":{"port":80,"paths":"/"}"#, "unknown field `paths`"),
        (r#""httpGet":{"port":"web"}"#, "invalid type: string \"web\""),
        (r#""httpGet":{"port":0}"#, "nonzero"),
        (r#""httpGet":{"port":70000}"#, "70000"),
        (r#""httpGet":{}"#, "missing field `port`"),
        (r#""httpGet":{"port":80,"scheme":"http"}"#, "unknown variant `http`"),
        (r#""httpGet":{"port":80},"timeoutSeconds":0"#, "nonzero"),
        (r#""httpGet":{"port":80},"tcpSocket":{"port":80}"#, "/probe/app/liveness: exactly one"),
        ("", "/probe/app/liveness: exactly one"),
        (r#""httpGet":{"port":80,"host":"10.0.0.2"}"#, "`10.0.0.2` is no address of this pod"),
        (r#""tcpSocket":{"port":80,"host":"db"}"#, "`db` is no address of this pod"),
        (r#""httpGet":{"port":80,"httpHeaders":[{"name":"a b","value":"1"}]}"#, "`a b`"),
        (r#""httpGet":{"port":80,"httpHeaders":[{"name":"a","value":"\n"}]}"#, "`a` or its value"),
    ] {
        let problem = one(handler).unwrap_err();
        assert!(problem.contains(says), "{handler}: {problem}");
    }
}

#[test]
fn only_the_known_paths_are_taken() {
    for path in [
        "/probe/app/ready",
        "/probe//liveness",
        "/probe/app/liveness/",
        "/probe/app",
        "probe/app/liveness",
        "/lifecycle/app/liveness",
        "/probe/app/preStop",
        "/",
        "",
    ] {
        let problem = read(&format!("{{\"{path}\":{{\"tcpSocket\":{{\"port\":1}}}}}}"));
        assert!(problem.unwrap_err().contains("the path is neither"), "{path}");
    }
}

#[test]
fn a_path_that_is_there_twice_is_refused() {
    let probe = r#""/probe/app/liveness":{"tcpSocket":{"port":1}}"#;
    let problem = read(&format!("{{{probe},{probe}}}")).unwrap_err();
    assert!(problem.contains("/probe/app/liveness is there twice"), "{problem}");
    assert!(read("[]").is_err() && read("{").is_err() && read("{}").is_ok());
}
