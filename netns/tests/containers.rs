//! Containers as the manifest wants them: order, restarts, environment, user,
//! capabilities, files.

mod common;

use std::os::unix::fs::PermissionsExt;

use common::{LIMIT, node, pod, run, server, shell};
use remora_netns::{Error, Job, Signal};
use serde_json::{Value, json};

/// Adds init containers.
fn with_init(mut manifest: Value, init: Value) -> Value {
    manifest["spec"]["initContainers"] = init;
    manifest
}

/// Puts an emptyDir at `/shared` into every container.
fn with_shared_volume(mut manifest: Value) -> Value {
    manifest["spec"]["volumes"] = json!([{ "name": "shared", "emptyDir": {} }]);
    for list in ["initContainers", "containers"] {
        for container in manifest["spec"][list].as_array_mut().into_iter().flatten() {
            container["volumeMounts"] = json!([{ "name": "shared", "mountPath": "/shared" }]);
        }
    }
    manifest
}

#[test]
fn init_containers_run_one_after_the_other_and_before_the_rest() {
    let step = |name: &str| shell(name, &format!("sleep 0.05; echo {name} >> /shared/order"));
    let manifest = pod("order", json!([shell("main", "echo main >> /shared/order; sleep 60")]));
    let manifest =
        with_shared_volume(with_init(manifest, json!([step("one"), step("two"), step("three")])));
    let node = node();
    let pod = run(&node, &manifest);
    common::eventually("the main container wrote", || {
        pod.exec("main", &["cat", "/shared/order"])
            .is_ok_and(|order| order.stdout == "one\ntwo\nthree\nmain\n")
    });
}

#[test]
fn a_failed_init_container_fails_the_pod_and_shows_its_log() {
    let manifest = pod("broken", json!([shell("main", "sleep 60")]));
    let manifest = with_init(manifest, json!([shell("setup", "echo no such table; exit 3")]));
    let error = node().run_pod(&manifest, |_| Ok(())).unwrap_err().to_string();
    assert!(error.contains("default/broken, container setup"), "{error}");
    assert!(error.contains("code 3") && error.contains("no such table"), "{error}");
}

#[test]
fn a_native_sidecar_holds_the_pod_back_until_its_startup_probe_passes() {
    let mut sidecar = shell("sidecar", "sleep 0.3; echo up > /shared/up; sleep 60");
    sidecar["restartPolicy"] = json!("Always");
    sidecar["startupProbe"] =
        json!({ "exec": { "command": ["test", "-e", "/shared/up"] }, "periodSeconds": 1 });
    let manifest =
        pod("gated", json!([shell("main", "test -e /shared/up && echo after; sleep 60")]));
    let manifest = with_shared_volume(with_init(manifest, json!([sidecar])));
    let node = node();
    let pod = run(&node, &manifest);
    pod.wait_log("main", |log| log == "after\n", LIMIT).unwrap();
    assert_eq!(pod.restarts("sidecar").unwrap(), 0);
}

#[test]
fn a_killed_sidecar_comes_back_and_the_others_go_on() {
    let mut sidecar = shell("sidecar", "echo started; sleep 60");
    sidecar["restartPolicy"] = json!("Always");
    sidecar["startupProbe"] = json!({ "exec": { "command": ["true"] }, "periodSeconds": 1 });
    let manifest = with_init(pod("restart", json!([shell("main", "sleep 60")])), json!([sidecar]));
    let node = node();
    let pod = run(&node, &manifest);
    let (before, main) = (pod.pid("sidecar").unwrap(), pod.pid("main").unwrap());
    pod.kill("sidecar", Signal::KILL).unwrap();
    pod.wait_restarted("sidecar", 1, LIMIT).unwrap();
    assert_ne!(pod.pid("sidecar").unwrap(), before);
    assert_eq!(pod.pid("main").unwrap(), main);
    assert_eq!((pod.restarts("sidecar").unwrap(), pod.restarts("main").unwrap()), (1, 0));
    pod.wait_log("sidecar", |log| log == "started\nstarted\n", LIMIT).unwrap();
}

#[test]
fn readiness_is_probed_from_the_node() {
    let mut server = server();
    server["ports"] = json!([{ "name": "http", "containerPort": 8080 }]);
    server["startupProbe"] = json!({ "tcpSocket": { "port": "http" }, "periodSeconds": 1 });
    server["readinessProbe"] =
        json!({ "httpGet": { "path": "/", "port": 8080 }, "periodSeconds": 1 });
    let node = node();
    let pod = run(&node, &pod("web", json!([server])));
    assert!(pod.ready("server").unwrap());
    let log = pod.logs("server").unwrap();
    assert!(log.contains("10.77.0.1 GET / HTTP/1.1"), "{log}");
}

#[test]
fn the_environment_tells_the_downward_api() {
    let mut main = shell("main", "echo $NAME $NS $UID_ $IPS $APP $BOTH; echo \"$0\"; sleep 60");
    let field = |name: &str, path: &str| json!({ "name": name, "valueFrom": { "fieldRef": { "fieldPath": path } } });
    main["args"] = json!(["$(NAME) $(UNKNOWN) $$(NAME)"]);
    main["env"] = json!([
        field("NAME", "metadata.name"),
        field("NS", "metadata.namespace"),
        field("UID_", "metadata.uid"),
        field("IPS", "status.podIPs"),
        field("APP", "metadata.labels['app']"),
        { "name": "BOTH", "value": "$(NS)/$(NAME)" },
    ]);
    let node = node();
    let pod = run(&node, &pod("down", json!([main])));
    let expected = format!(
        "down default {} {},{} test default/down\ndown $(UNKNOWN) $(NAME)\n",
        pod.uid(),
        pod.ipv4(),
        pod.ipv6()
    );
    pod.wait_log("main", |log| log == expected, LIMIT).unwrap();
}

/// Lines of `/proc/self/status` in the container, by name.
fn status(pod: &remora_netns::Pod, container: &str, field: &str) -> String {
    let status = pod.exec(container, &["cat", "/proc/self/status"]).unwrap().stdout;
    let line = status.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
    line.unwrap_or_else(|| panic!("no {field} in {status}")).trim().to_owned()
}

#[test]
fn user_and_capabilities_are_the_manifests() {
    let mut proxy =
        shell("proxy", "id; grep -E 'Cap(Eff|Bnd)|NoNewPrivs' /proc/self/status; sleep 60");
    proxy["securityContext"] = json!({
        "runAsUser": 16006, "runAsGroup": 16006, "runAsNonRoot": true,
        "allowPrivilegeEscalation": false, "capabilities": { "drop": ["ALL"] }, "readOnlyRootFilesystem": true,
    });
    let mut admin = shell("admin", "sleep 60");
    admin["securityContext"] = json!({ "capabilities": { "drop": ["ALL"], "add": ["NET_ADMIN"] } });
    let node = node();
    let pod = run(&node, &pod("rights", json!([proxy, admin, shell("plain", "sleep 60")])));
    let log = pod.wait_log("proxy", |log| log.contains("NoNewPrivs"), LIMIT).unwrap();
    assert!(log.starts_with("uid=16006 gid=16006 groups=16006\n"), "{log}");
    assert!(
        log.contains("CapEff:\t0000000000000000\nCapBnd:\t0000000000000000\nNoNewPrivs:\t1"),
        "{log}"
    );
    assert_eq!(status(&pod, "proxy", "CapBnd"), "0000000000000000");
    assert_eq!(status(&pod, "proxy", "Uid"), "16006\t16006\t16006\t16006");
    assert_eq!(status(&pod, "admin", "CapEff"), "0000000000001000");
    assert_eq!(status(&pod, "admin", "NoNewPrivs"), "0");
    // What container runtimes grant by default.
    assert_eq!(status(&pod, "plain", "CapEff"), "00000000a80425fb");
    assert_ne!(pod.exec("proxy", &["touch", "/tmp/x"]).unwrap().code, 0);
    assert_eq!(pod.exec("admin", &["touch", "/tmp/x"]).unwrap().code, 0);
}

#[test]
fn a_volume_is_the_pods_own_and_read_only_where_it_says_so() {
    let node = node();
    let manifest = |name: &str| {
        let mut manifest =
            with_shared_volume(pod(name, json!([shell("a", "sleep 60"), shell("b", "sleep 60")])));
        manifest["spec"]["containers"][1]["volumeMounts"][0]["readOnly"] = json!(true);
        manifest
    };
    let (one, two) = (run(&node, &manifest("one")), run(&node, &manifest("two")));
    assert_eq!(one.exec("a", &["sh", "-c", "echo mine > /shared/file"]).unwrap().code, 0);
    assert_eq!(one.exec("b", &["cat", "/shared/file"]).unwrap().stdout, "mine\n");
    assert_ne!(one.exec("b", &["touch", "/shared/other"]).unwrap().code, 0);
    assert_ne!(two.exec("a", &["cat", "/shared/file"]).unwrap().code, 0);
    // Nor is there a way around: the host's files are not in the container.
    let work = node.work_dir().to_str().unwrap();
    assert_ne!(two.exec("a", &["ls", work]).unwrap().code, 0);
}

#[test]
fn a_host_path_is_waited_for() {
    let directory = tempfile::tempdir().unwrap();
    let later = directory.path().join("later");
    let mut manifest = pod("patient", json!([shell("main", "cat /host/file; sleep 60")]));
    manifest["spec"]["volumes"] =
        json!([{ "name": "v", "hostPath": { "path": later, "type": "Directory" } }]);
    manifest["spec"]["containers"][0]["volumeMounts"] =
        json!([{ "name": "v", "mountPath": "/host" }]);
    // The agent makes such a directory once it has seen the pod's report.
    let report = |pod: &Value| {
        assert!(pod["status"]["podIPs"][1]["ip"].as_str().unwrap().starts_with("fd77::"));
        let later = later.clone();
        std::thread::spawn(move || {
            let half = later.with_extension("half");
            std::fs::create_dir(&half).unwrap();
            std::fs::write(half.join("file"), "there").unwrap();
            std::fs::rename(half, later).unwrap();
        });
        Ok(())
    };
    let node = node();
    let pod = node.run_pod(&manifest, report).unwrap();
    pod.wait_log("main", |log| log == "there", LIMIT).unwrap();
}

#[test]
fn stopping_asks_first_and_ends_sidecars_last() {
    let script = |name: &str| {
        format!(
            "trap 'echo {name} >> /shared/order; exit 7' TERM; echo up; while :; do sleep 0.02; done"
        )
    };
    let mut sidecar = shell("sidecar", &script("sidecar"));
    sidecar["restartPolicy"] = json!("Always");
    let deaf = shell("deaf", "trap '' TERM; echo up; while :; do sleep 0.1; done");
    let manifest = pod("stop", json!([shell("main", &script("main")), deaf]));
    let manifest = with_shared_volume(with_init(manifest, json!([sidecar])));
    let node = node();
    let mut pod = run(&node, &manifest);
    for container in ["sidecar", "main", "deaf"] {
        pod.wait_log(container, |log| log == "up\n", LIMIT).unwrap();
    }
    let ended: Vec<_> = pod.stop();
    let expected = [("main", 7), ("deaf", 137), ("sidecar", 7)];
    assert_eq!(ended, expected.map(|(name, code)| (name.to_owned(), code)));
}

#[test]
fn what_cannot_be_honoured_is_named() {
    let node = node();
    let cases = [
        ("/spec/hostNetwork", json!(true), "spec.hostNetwork"),
        (
            "/spec/volumes",
            json!([{ "name": "c", "secret": { "secretName": "x" } }]),
            "spec.volumes[0].secret",
        ),
        (
            "/spec/containers/0/lifecycle",
            json!({ "preStop": { "sleep": { "seconds": 1 } } }),
            "spec.containers[0].lifecycle.preStop.exec",
        ),
        ("/spec/containers/0/envFrom", json!([]), "spec.containers[0].envFrom"),
        ("/spec/containers/0/image", json!("nginx"), "spec.containers[0].image"),
        (
            "/spec/containers/0/securityContext",
            json!({ "privileged": true }),
            "spec.containers[0].securityContext.privileged",
        ),
        (
            "/spec/containers/0/readinessProbe",
            json!({ "grpc": { "port": 1 } }),
            "spec.containers[0].readinessProbe.exec",
        ),
        (
            "/spec/containers/0/volumeMounts",
            json!([{ "name": "x", "mountPath": "/x" }]),
            "spec.containers[0].volumeMounts[0].name",
        ),
    ];
    for (pointer, value, field) in cases {
        let mut manifest = pod("strange", json!([shell("main", "sleep 60")]));
        let (parent, key) = pointer.rsplit_once('/').unwrap();
        manifest.pointer_mut(parent).unwrap()[key] = value;
        match node.run_pod(&manifest, |_| Ok(())).unwrap_err() {
            Error::Field { field: named, .. } => assert_eq!(named, field),
            other => panic!("{pointer}: {other}"),
        }
    }
}

#[test]
fn a_job_runs_in_the_pods_network_as_whom_it_says_and_ends_with_its_owner() {
    let (node, scratch) = (node(), tempfile::tempdir().expect("a directory"));
    let pod = run(&node, &pod("host", json!([shell("main", "sleep 60")])));
    let output = scratch.path().join("output");
    let script = "echo $NAME; id -u; id -g; grep CapBnd /proc/self/status; cat /proc/net/fib_trie; \
                  echo done >&2; exec sleep 60";
    let job = Job {
        name: "job",
        argv: &["/bin/sh", "-c", script],
        env: &[("NAME", "value")],
        uid: Some(12345),
        stdout: Some(&output),
    };
    std::fs::set_permissions(scratch.path(), PermissionsExt::from_mode(0o755)).expect("open");
    let process = pod.start(&job).expect("started");
    process.wait_log(|log| log == "done\n", LIMIT).expect("its errors go to the log");
    let said = std::fs::read_to_string(&output).expect("its output goes to the file");
    let mut lines = said.lines();
    assert_eq!(
        [lines.next(), lines.next(), lines.next()],
        [Some("value"), Some("12345"), Some("12345")]
    );
    assert_eq!(lines.next(), Some("CapBnd:\t0000000000000000"));
    assert!(said.contains(&pod.ipv4().to_string()), "{said}");
    let pid = process.pid();
    drop(process);
    assert!(!std::path::Path::new(&format!("/proc/{pid}")).exists(), "it ends with its owner");

    let on_node = Job { argv: &["/bin/cat", "/proc/net/fib_trie"], stdout: None, ..job };
    let process = node.start(&on_node).expect("started");
    assert_eq!(process.wait(LIMIT).expect("ended"), 0);
    assert!(process.logs().contains(&node.addresses()[0].to_string()), "{}", process.logs());
}
