//! What becomes of each kind of probe and hook, and which are refused.

use serde_json::{Value, json};

use crate::{InjectConfig, MAX_PROBES_BYTES, inject, uninject};

/// A pod whose container has these fields as well.
fn pod(container: &Value) -> Value {
    let mut app = json!({
        "name": "app",
        "ports": [{"containerPort": 53, "protocol": "UDP"}, {"name": "http", "containerPort": 8080}],
    });
    for (name, value) in container.as_object().expect("a map") {
        app[name] = value.clone();
    }
    json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a"},
        "spec": {"containers": [app]},
    })
}

fn injected(pod: &Value) -> Value {
    let injected = inject(pod, &InjectConfig::default()).expect("injectable");
    assert_eq!(&uninject(&injected).expect("ours"), pod);
    assert_eq!(inject(&injected, &InjectConfig::default()).expect("injectable"), injected);
    injected
}

/// What the sidecar is told to ask.
fn questions(injected: &Value) -> Value {
    let env = injected["spec"]["initContainers"][1]["env"].as_array().expect("a list");
    let probes = env.iter().find(|variable| variable["name"] == "REMORA_PROBES");
    probes.map_or(Value::Null, |probes| {
        let text = probes["value"].as_str().expect("a string");
        assert!(!text.contains('$'), "the kubelet would expand {text}");
        serde_json::from_str(text).expect("JSON")
    })
}

#[test]
fn each_kind_of_probe_is_led_to_the_sidecar() {
    let table = [
        (json!({"httpGet": {"port": 80}}), json!({"httpGet": {"port": 80}, "timeoutSeconds": 1})),
        (
            json!({"httpGet": {
                "host": "", "path": "/live?a=$(b)", "port": "http", "scheme": "HTTPS",
                "httpHeaders": [{"name": "Host", "value": "a.example"}],
            }, "timeoutSeconds": 4}),
            json!({"httpGet": {
                "path": "/live?a=$(b)", "port": 8080, "scheme": "HTTPS",
                "httpHeaders": [{"name": "Host", "value": "a.example"}],
            }, "timeoutSeconds": 4}),
        ),
        (
            json!({"tcpSocket": {"port": "http", "host": null}, "httpGet": null}),
            json!({"tcpSocket": {"port": 8080}, "timeoutSeconds": 1}),
        ),
        (
            json!({"grpc": {"port": 9000, "service": "store"}, "timeoutSeconds": 0}),
            json!({"grpc": {"port": 9000, "service": "store"}, "timeoutSeconds": 1}),
        ),
        (
            json!({"timeoutSeconds": null, "grpc": {"port": 9000}}),
            json!({"grpc": {"port": 9000}, "timeoutSeconds": 1}),
        ),
    ];
    let kinds = [
        ("livenessProbe", "liveness"),
        ("readinessProbe", "readiness"),
        ("startupProbe", "startup"),
    ];
    for (field, kind) in kinds {
        for (mut probe, question) in table.clone() {
            probe["periodSeconds"] = json!(7);
            let injected = injected(&pod(&json!({(field): probe})));
            let path = format!("/probe/app/{kind}");
            let timeout = question["timeoutSeconds"].as_i64().expect("seconds") + 1;
            let ours = json!({
                "httpGet": {"path": path, "port": 16021}, "timeoutSeconds": timeout, "periodSeconds": 7,
            });
            assert_eq!(injected["spec"]["containers"][0][field], ours);
            assert_eq!(questions(&injected), json!({(path): question}));
        }
    }
}

#[test]
fn http_hooks_are_led_to_the_sidecar() {
    for hook in ["postStart", "preStop"] {
        let get = json!({"httpGet": {"path": "/bye", "port": "http", "scheme": "HTTP"}});
        let injected = injected(&pod(&json!({"lifecycle": {(hook): get}})));
        let path = format!("/lifecycle/app/{hook}");
        let ours = json!({(hook): {"httpGet": {"path": path, "port": 16021}}});
        assert_eq!(injected["spec"]["containers"][0]["lifecycle"], ours);
        let question = json!({"httpGet": {"path": "/bye", "port": 8080, "scheme": "HTTP"}});
        assert_eq!(questions(&injected), json!({(path): question}));
    }
}

#[test]
fn what_the_kubelet_does_not_call_stays() {
    let table = [
        json!({"livenessProbe": {"exec": {"command": ["true"]}, "timeoutSeconds": 2}}),
        json!({"readinessProbe": {"periodSeconds": 1}, "startupProbe": null}),
        json!({"lifecycle": {"postStart": {"exec": {"command": ["true"]}}, "preStop": {"sleep": {"seconds": 5}}}}),
        json!({"lifecycle": {"preStop": {"tcpSocket": {"port": 1}}, "stopSignal": "SIGUSR1"}}),
        json!({"lifecycle": null}),
    ];
    for fields in table {
        let pod = pod(&fields);
        let injected = injected(&pod);
        assert_eq!(injected["spec"]["containers"], pod["spec"]["containers"]);
        assert_eq!(questions(&injected), Value::Null);
    }
}

#[test]
fn native_sidecars_are_containers_too_and_init_containers_are_not() {
    let probe = json!({"tcpSocket": {"port": 1}});
    let mut pod = pod(&json!({"readinessProbe": probe}));
    pod["spec"]["initContainers"] = json!([
        {"name": "cache", "restartPolicy": "Always", "startupProbe": probe},
        // The API refuses this one; that is not ours to tell.
        {"name": "migrate", "startupProbe": probe},
    ]);
    let injected = injected(&pod);
    let asked = questions(&injected);
    let paths: Vec<&String> = asked.as_object().expect("a map").keys().collect();
    assert_eq!(paths, ["/probe/cache/startup", "/probe/app/readiness"]);
    assert_eq!(injected["spec"]["initContainers"][3], pod["spec"]["initContainers"][1]);
}

#[test]
fn what_cannot_be_asked_from_inside_is_refused() {
    let live = |get: Value| json!({"livenessProbe": {"httpGet": get}});
    let table = [
        (
            live(json!({"port": "web"})),
            "livenessProbe.httpGet.port: `web` is the name of no port of this container; \
             write the port's number, or one of: http",
        ),
        (
            json!({"ports": null, "startupProbe": {"tcpSocket": {"port": "8080"}}}),
            "startupProbe.tcpSocket.port: `8080` is the name of no port of this container; \
             write the port's number, or give the container's port that name",
        ),
        (
            live(json!({"port": 80, "host": "127.0.0.1"})),
            "livenessProbe.httpGet.host: is `127.0.0.1`, and the sidecar asks its own pod alone; \
             remove it, so that the pod is asked, or ask elsewhere with exec",
        ),
        (
            json!({"lifecycle": {"preStop": {"httpGet": {"port": 80, "host": "lb.example"}}}}),
            "lifecycle.preStop.httpGet.host: is `lb.example`, and the sidecar asks its own pod \
             alone; remove it, so that the pod is asked, or ask elsewhere with exec",
        ),
        (live(json!({})), "livenessProbe.httpGet.port: is missing; add it"),
        (
            live(json!({"port": 0})),
            "livenessProbe.httpGet.port: is no port; write a number from 1 to 65535",
        ),
        (
            live(json!({"port": true})),
            "livenessProbe.httpGet.port: expected a whole number, found a boolean; \
             write a whole number",
        ),
        (
            live(json!({"port": 16020})),
            "livenessProbe.httpGet.port: 16020 is a port of Remora's sidecar; \
             point it at the application",
        ),
        (
            live(json!({"port": 80, "pathh": "/"})),
            "livenessProbe.httpGet.pathh: is not a field that is known here; did you mean `path`?",
        ),
        (
            live(json!({"port": 80, "scheme": "https"})),
            "livenessProbe.httpGet.scheme: is no scheme of probes; write HTTP or HTTPS",
        ),
        (
            live(json!({"port": 80, "httpHeaders": [{"name": "A"}]})),
            "livenessProbe.httpGet.httpHeaders[0].value: is missing; add it",
        ),
        (
            live(json!({"port": 80, "httpHeaders": [{"name": "A:", "value": ""}]})),
            "livenessProbe.httpGet.httpHeaders[0].name: is no name of an HTTP header; \
             write letters, digits and '-'",
        ),
        (
            live(json!({"port": 80, "httpHeaders": [{"name": "A", "value": "a\r\nB: c"}]})),
            "livenessProbe.httpGet.httpHeaders[0].value: is no value of an HTTP header; \
             leave out line breaks and other control characters",
        ),
        (
            json!({"readinessProbe": {"grpc": {"port": "http"}}}),
            "readinessProbe.grpc.port: expected a whole number, found a string; \
             write a whole number",
        ),
        (
            json!({"readinessProbe": {"exec": {}, "grpc": {"port": 1}}}),
            "readinessProbe.grpc: stands beside exec; keep one of the two",
        ),
        (
            json!({"readinessProbe": {"tcpSocket": {"port": 1}, "timeoutSeconds": -1}}),
            "readinessProbe.timeoutSeconds: is no time that a probe can take; \
             write whole seconds from 1",
        ),
        (
            json!({"readinessProbe": []}),
            "readinessProbe: expected a map, found a list; write a map",
        ),
    ];
    for (fields, message) in table {
        let error = inject(&pod(&fields), &InjectConfig::default()).expect_err(message);
        assert_eq!(error.to_string(), format!("spec.containers[0].{message}"));
    }
    // Ours, without our annotation.
    let mut stripped = injected(&pod(&live(json!({"port": 80}))));
    stripped["metadata"] = json!({"name": "a"});
    stripped["spec"].as_object_mut().expect("a map").retain(|name, _| name == "containers");
    let error = inject(&stripped, &InjectConfig::default()).expect_err("refused").to_string();
    assert!(error.contains("16021 is a port of Remora's sidecar; point it at"), "{error}");
}

#[test]
fn probes_have_to_fit_a_variable() {
    let with_header = |length: usize| {
        let headers = json!([{"name": "A", "value": "x".repeat(length)}]);
        pod(&json!({"livenessProbe": {"httpGet": {"port": 1, "httpHeaders": headers}}}))
    };
    let empty = questions(&injected(&with_header(0))).to_string().len();
    injected(&with_header(MAX_PROBES_BYTES - empty));
    let error = inject(&with_header(MAX_PROBES_BYTES - empty + 1), &InjectConfig::default());
    let message = "spec.containers: have probes and hooks of 65537 bytes; \
                   shorten their headers to 65536 bytes in all";
    assert_eq!(error.expect_err("refused").to_string(), message);
}

#[test]
fn what_others_changed_since_stays() {
    let probe = json!({"tcpSocket": {"port": 1}, "periodSeconds": 5});
    let original =
        pod(&json!({"livenessProbe": probe, "readinessProbe": probe, "startupProbe": probe}));
    let mut changed = injected(&original);
    let app = &mut changed["spec"]["containers"][0];
    // The API server's defaults, another period, another handler, and a removal.
    app["livenessProbe"]["httpGet"]["scheme"] = json!("HTTP");
    app["livenessProbe"]["periodSeconds"] = json!(9);
    app["readinessProbe"] = json!({"exec": {"command": ["true"]}});
    app.as_object_mut().expect("a map").remove("startupProbe");
    let back = uninject(&changed).expect("ours");
    let mut expected = original;
    let app = &mut expected["spec"]["containers"][0];
    app["livenessProbe"]["periodSeconds"] = json!(9);
    app["readinessProbe"] = json!({"exec": {"command": ["true"]}});
    app.as_object_mut().expect("a map").remove("startupProbe");
    assert_eq!(back, expected);
}

#[test]
fn a_forged_original_restores_nothing_but_handlers() {
    let mut forged = injected(&pod(&json!({"livenessProbe": {"tcpSocket": {"port": 1}}})));
    let status = &mut forged["metadata"]["annotations"]["remora.dev/status"];
    let mut content: Value = serde_json::from_str(status.as_str().expect("text")).expect("JSON");
    content["probes"]["/probe/app/liveness"]["exec"] = json!({"command": ["evil"]});
    content["probes"]["/probe/app/readiness"] = json!({"httpGet": {"port": 1}});
    *status = content.to_string().into();
    let back = uninject(&forged).expect("ours");
    assert_eq!(back, pod(&json!({"livenessProbe": {"tcpSocket": {"port": 1}}})));
}
