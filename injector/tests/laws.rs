//! The laws of injection, over generated pods.

use proptest::prelude::*;
use proptest::sample::select;
use remora_injector::{AgentAddress, InjectConfig, ProxyMode, inject, is_injected, uninject};
use serde_json::{Map, Value, json};

/// Fields that we know nothing about.
fn unknown() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 12, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
            prop::collection::hash_map("[a-z]{1,6}", inner, 0..3)
                .prop_map(|entries| Value::Object(entries.into_iter().collect())),
        ]
    })
}

fn object(
    known: impl Strategy<Value = Map<String, Value>>,
) -> impl Strategy<Value = Map<String, Value>> {
    let extra = prop::collection::hash_map("x[A-Z][a-z/~]{0,6}", unknown(), 0..3);
    (known, extra).prop_map(|(mut known, extra)| {
        known.extend(extra);
        known
    })
}

/// A list that is there, empty, null or absent. No name comes twice.
fn named_list(
    names: &'static [&'static str],
    fields: impl Strategy<Value = Map<String, Value>> + Clone,
) -> impl Strategy<Value = Option<Value>> {
    let items = prop::sample::subsequence(names, 0..=names.len()).prop_flat_map(move |names| {
        let item = |name: &'static str| {
            object(fields.clone()).prop_map(move |mut fields| {
                fields.insert("name".to_owned(), name.into());
                Value::Object(fields)
            })
        };
        names.into_iter().map(item).collect::<Vec<_>>()
    });
    prop_oneof![
        1 => Just(None),
        1 => Just(Some(Value::Null)),
        3 => items.prop_map(|items| Some(items.into())),
    ]
}

/// What a kubelet calls: every kind of handler, spelt in every way.
fn handler() -> impl Strategy<Value = Map<String, Value>> {
    let port = select(vec![json!(1), json!(65535), json!("http"), json!("grpc")]);
    let host = select(vec![None, Some(Value::Null), Some(json!(""))]);
    let path = select(vec![None, Some(Value::Null), Some(json!("/a?b=$(C)"))]);
    let http = (port.clone(), host.clone(), path).prop_map(|(port, host, path)| {
        ("httpGet", vec![("port", Some(port)), ("host", host), ("path", path)])
    });
    let tcp = (port, host)
        .prop_map(|(port, host)| ("tcpSocket", vec![("host", host), ("port", Some(port))]));
    let service = select(vec![None, Some(Value::Null), Some(json!("a.B"))]);
    let grpc =
        service.prop_map(|service| ("grpc", vec![("port", Some(json!(9))), ("service", service)]));
    let exec = Just(("exec", vec![("command", Some(json!(["true"])))]));
    let empty = select(vec![None, Some("exec"), Some("grpc"), Some("httpGet")]);
    (prop_oneof![http, tcp, grpc, exec], empty).prop_map(|((kind, fields), empty)| {
        let mut handler = Map::new();
        handler.extend(empty.map(|kind| (kind.to_owned(), Value::Null)));
        handler.insert(kind.to_owned(), map(fields).into());
        handler
    })
}

fn probe() -> impl Strategy<Value = Option<Value>> {
    let timeout =
        select(vec![None, Some(Value::Null), Some(json!(0)), Some(json!(1)), Some(json!(30))]);
    let probe =
        (object(handler()), timeout, any::<bool>()).prop_map(|(mut probe, timeout, first)| {
            let mut timed = map(vec![("timeoutSeconds", timeout)]);
            if first {
                timed.append(&mut probe);
                timed
            } else {
                probe.append(&mut timed);
                probe
            }
        });
    prop_oneof![
        2 => Just(None),
        1 => Just(Some(Value::Null)),
        4 => probe.prop_map(|probe| Some(probe.into())),
    ]
}

fn hook() -> impl Strategy<Value = Option<Value>> {
    prop_oneof![
        Just(None),
        Just(Some(json!({"sleep": {"seconds": 1}}))),
        handler().prop_map(|handler| Some(handler.into())),
    ]
}

fn lifecycle() -> impl Strategy<Value = Option<Value>> {
    let hooks = (hook(), hook())
        .prop_map(|(start, stop)| Some(map(vec![("preStop", stop), ("postStart", start)]).into()));
    prop_oneof![2 => Just(None), 1 => Just(Some(Value::Null)), 3 => hooks]
}

/// A container's fields beside its name.
fn container() -> impl Strategy<Value = Map<String, Value>> + Clone {
    let policy = select(vec![None, Some(json!("Always"))]);
    (probe(), probe(), probe(), lifecycle(), policy).prop_map(
        |(liveness, readiness, startup, lifecycle, policy)| {
            let ports = json!([
                {"containerPort": 80, "name": "http"}, {"containerPort": 9, "name": "grpc"}, {"containerPort": 7},
            ]);
            map(vec![
                ("livenessProbe", liveness),
                ("readinessProbe", readiness),
                ("startupProbe", startup),
                ("lifecycle", lifecycle),
                ("restartPolicy", policy),
                ("ports", Some(ports)),
            ])
        },
    ).boxed()
}

fn annotations() -> impl Strategy<Value = Option<Value>> {
    prop_oneof![
        Just(None),
        Just(Some(Value::Null)),
        Just(Some(json!({}))),
        Just(Some(json!({"a~/b": "", "team": "shop"}))),
        Just(Some(json!({"kubectl.kubernetes.io/default-container": "second"}))),
        Just(Some(json!({"remora.dev/cpu-limit": "1", "remora.dev/log-level": "off"}))),
    ]
}

fn map(entries: Vec<(&str, Option<Value>)>) -> Map<String, Value> {
    entries.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect()
}

fn pod() -> impl Strategy<Value = Value> {
    let namespace = select(vec![None, Some(json!("shop"))]);
    let metadata = object((annotations(), namespace).prop_map(|(annotations, namespace)| {
        map(vec![
            ("name", Some(json!("cart-0"))),
            ("namespace", namespace),
            ("annotations", annotations),
        ])
    }));
    let volume = Just(Map::new());
    let lists = (
        named_list(&["migrate", "warm-up", "helper"], container()),
        named_list(&["app", "second"], container()),
        named_list(&["data", "cache"], volume),
    );
    let spec = object(lists.prop_map(|(init, containers, volumes)| {
        map(vec![("initContainers", init), ("containers", containers), ("volumes", volumes)])
    }));
    object((metadata, spec).prop_map(|(metadata, spec)| {
        map(vec![
            ("apiVersion", Some(json!("v1"))),
            ("kind", Some(json!("Pod"))),
            ("metadata", Some(metadata.into())),
            ("spec", Some(spec.into())),
        ])
    }))
    .prop_map(Value::Object)
}

/// The same pod as the template of a workload.
fn templated(pod: &Value, cron: bool, metadata: Option<Value>) -> Value {
    let mut template = map(vec![("metadata", metadata), ("spec", Some(pod["spec"].clone()))]);
    template.insert("x".to_owned(), json!(1));
    if cron {
        let job = json!({"spec": {"template": template}});
        json!({"apiVersion": "batch/v1", "kind": "CronJob", "spec": {"jobTemplate": job}})
    } else {
        json!({"apiVersion": "apps/v1", "kind": "Deployment", "spec": {"template": template}})
    }
}

fn sockets() -> InjectConfig {
    let agent = AgentAddress::Sockets("/run/remora/pods".into());
    InjectConfig { agent, ..InjectConfig::default() }
}

fn on_the_node() -> InjectConfig {
    InjectConfig { mode: ProxyMode::Node, ..InjectConfig::default() }
}

fn injected(pod: &Value) -> Value {
    inject(pod, &InjectConfig::default()).expect("a pod that can be injected")
}

fn names(list: &Value) -> Vec<&str> {
    list.as_array().into_iter().flatten().filter_map(|item| item["name"].as_str()).collect()
}

/// Where the kubelet's network calls of a container go.
fn ports_called(container: &Value) -> Vec<&Value> {
    let probes = ["livenessProbe", "readinessProbe", "startupProbe"].map(|name| &container[name]);
    let hooks = ["postStart", "preStop"].map(|name| &container["lifecycle"][name]);
    let mut ports: Vec<&Value> = Vec::new();
    for probe in probes {
        ports.extend(["httpGet", "tcpSocket", "grpc"].map(|kind| &probe[kind]["port"]));
    }
    ports.extend(hooks.map(|hook| &hook["httpGet"]["port"]));
    ports.retain(|port| !port.is_null());
    ports
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn injecting_twice_is_injecting_once(pod in pod()) {
        let once = injected(&pod);
        prop_assert_eq!(injected(&once), once);
    }

    #[test]
    fn uninjecting_gives_the_same_value(pod in pod()) {
        let back = uninject(&injected(&pod)).expect("ours");
        prop_assert_eq!(&uninject(&back).expect("a pod"), &back);
        prop_assert_eq!(back, pod);
    }

    #[test]
    fn both_hold_with_sockets_and_on_the_node_and_between_any_two(pod in pod()) {
        for config in [sockets(), on_the_node()] {
            let once = inject(&pod, &config).expect("injectable");
            prop_assert_eq!(&inject(&once, &config).expect("injectable"), &once);
            prop_assert_eq!(&injected(&once), &injected(&pod));
            prop_assert_eq!(&inject(&injected(&pod), &config).expect("injectable"), &once);
            prop_assert_eq!(&uninject(&once).expect("ours"), &pod);
        }
    }

    #[test]
    fn both_hold_for_templates(pod in pod(), cron in any::<bool>(), metadata in annotations()) {
        let metadata = metadata.map(|annotations| match annotations {
            Value::Null => Value::Null,
            annotations => json!({"annotations": annotations}),
        });
        let workload = templated(&pod, cron, metadata);
        let once = injected(&workload);
        prop_assert!(is_injected(&once));
        prop_assert_eq!(&injected(&once), &once);
        prop_assert_eq!(uninject(&once).expect("ours"), workload);
    }

    #[test]
    fn a_pod_that_was_not_injected_is_left_alone(pod in pod()) {
        prop_assert!(!is_injected(&pod));
        prop_assert_eq!(uninject(&pod).expect("a pod"), pod);
    }

    #[test]
    fn ours_come_first_and_everything_else_survives(pod in pod()) {
        let injected = injected(&pod);
        prop_assert!(is_injected(&injected));
        let all = names(&injected["spec"]["initContainers"]);
        prop_assert_eq!(&all[..2], ["remora-init", "remora"]);
        prop_assert_eq!(&all[2..], names(&pod["spec"]["initContainers"]));
        let containers = &injected["spec"]["containers"];
        prop_assert_eq!(names(containers), names(&pod["spec"]["containers"]));
        for container in containers.as_array().into_iter().flatten() {
            prop_assert!(ports_called(container).into_iter().all(|port| port == 16021));
        }
        for part in ["metadata", "spec"] {
            for (name, value) in pod[part].as_object().expect("a map") {
                if !["annotations", "initContainers", "containers", "volumes"].contains(&name.as_str()) {
                    prop_assert_eq!(&injected[part][name], value);
                }
            }
        }
    }

    #[test]
    fn what_others_added_after_us_stays(pod in pod(), at in 0usize..3) {
        let mut changed = injected(&pod);
        let theirs = json!({"name": "theirs"});
        for list in ["initContainers", "volumes"] {
            let items = changed["spec"][list].as_array_mut().expect("a list");
            items.insert(at.min(items.len()), theirs.clone());
        }
        changed["metadata"]["annotations"]["theirs"] = json!("x");
        let again = injected(&changed);
        prop_assert_eq!(&injected(&again), &again);
        let back = uninject(&again).expect("ours");
        for ours in ["remora.dev/status", "remora/", "remora-"] {
            prop_assert!(!back.to_string().contains(ours), "{} in {}", ours, back);
        }
        for container in back["spec"]["containers"].as_array().into_iter().flatten() {
            prop_assert!(ports_called(container).into_iter().all(|port| port != 16021));
        }
        for list in ["initContainers", "volumes"] {
            prop_assert!(names(&back["spec"][list]).contains(&"theirs"));
        }
        prop_assert_eq!(&back["metadata"]["annotations"]["theirs"], "x");
    }

    #[test]
    fn another_version_of_the_settings_replaces_the_first(pod in pod()) {
        let other = InjectConfig { sidecar_image: "r/s:2".to_owned(), ..InjectConfig::default() };
        let direct = inject(&pod, &other).expect("injectable");
        prop_assert_eq!(inject(&injected(&pod), &other).expect("injectable"), direct);
    }
}
