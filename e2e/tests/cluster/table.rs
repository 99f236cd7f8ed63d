//! The demo's table, from pods in two namespaces and through Service names.

use std::{
    io::{Read as _, Write as _},
    thread::{self, ScopedJoinHandle},
};

use crate::{
    client::Answer,
    stage::{Forward, Stage},
};

const POLICY: &str =
    include_str!("../../../cli/src/demo/manifests/secure-rebel-alliance-memcache.yaml");
pub(crate) const MEMCACHED: &str = include_str!("manifests/memcached.yaml");
const CLIENTS: &str = include_str!("manifests/clients.yaml");

const FLEET_KEY: &str = "alliance/fleet/xwing";
const OTHER_KEY: &str = "empire/deathstar";

/// What a policy promises for a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Promise {
    Allowed,
    Denied,
    Reset,
}

use Promise::{Allowed, Denied, Reset};

/// Each client's pod, its promises in the policy's namespace, and in another
/// one, whose `monitoring` alone has a policy of its own.
const PROMISES: [(&str, [Promise; 4], [Promise; 4]); 5] = [
    ("maintenance", [Allowed, Allowed, Allowed, Denied], [Reset; 4]),
    ("monitoring", [Allowed, Denied, Denied, Denied], [Allowed, Denied, Denied, Denied]),
    ("jedi", [Allowed, Allowed, Allowed, Allowed], [Reset; 4]),
    ("outsider", [Reset; 4], [Reset; 4]),
    ("nobody", [Reset; 4], [Reset; 4]),
];

/// A request, its reply if it is let through, and what the fleet's key holds
/// afterwards. Before each, that holds `red` and the other key `secret`.
const REQUESTS: [(&str, &str, Option<&str>); 4] = [
    (
        "get alliance/fleet/xwing\r\n",
        "VALUE alliance/fleet/xwing 0 3\r\nred\r\nEND\r\n",
        Some("red"),
    ),
    ("set alliance/fleet/xwing 0 0 4\r\ngold\r\n", "STORED\r\n", Some("gold")),
    ("delete alliance/fleet/xwing\r\n", "DELETED\r\n", None),
    ("get empire/deathstar\r\n", "VALUE empire/deathstar 0 6\r\nsecret\r\nEND\r\n", Some("red")),
];

/// The policy of the demo as the kind that is always there: that has one spec,
/// and the API server does not take the field that stands outside it.
fn as_l7_policy(policy: &str) -> String {
    policy
        .replace("\"cilium.io/v2\"", "policy.remora.dev/v1alpha1")
        .replace("kind: CiliumNetworkPolicy", "kind: L7Policy")
        .replace("specs:\n  - ", "spec:\n    ")
        .replace("description: \"Secure the Rebel memcached service\"\n", "")
}

/// Lets the `monitoring` of another namespace read the fleet's keys.
fn visitors(namespace: &str) -> String {
    format!(
        r#"
apiVersion: policy.remora.dev/v1alpha1
kind: L7Policy
metadata: {{name: visitors}}
spec:
  endpointSelector: {{matchLabels: {{app: memcached}}}}
  ingress:
  - fromEndpoints:
    - matchLabels:
        k8s:io.kubernetes.pod.namespace: {namespace}
        function: fleet-monitoring
    toPorts:
    - ports: [{{port: "11211", protocol: TCP}}]
      rules:
        l7proto: memcache
        l7:
        - {{command: get, keyPrefix: alliance/fleet/}}
"#
    )
}

#[test]
fn the_demo_table_is_true_from_two_namespaces_through_service_names() {
    true_table(&Stage::set("alliance"), &Stage::set("outer-rim"), Stage::inject);
}

/// Plays the table in these namespaces; how the server gets there says `place`.
pub(crate) fn true_table(alliance: &Stage, rim: &Stage, place: fn(&Stage, &str)) {
    alliance.apply(&as_l7_policy(POLICY));
    alliance.apply(&visitors(&rim.namespace));
    place(alliance, MEMCACHED);
    for stage in [alliance, rim] {
        stage.apply(CLIENTS);
    }
    alliance.ready("memcached");
    for policy in ["secure-rebel-alliance-memcache", "visitors"] {
        alliance.accepted(policy);
    }
    let service = alliance.service("memcached", 11211);
    let mut table = Table::default();
    let mut direct = Direct::open(alliance);
    for (pod, here, there) in PROMISES {
        for (stage, promises, service) in
            [(alliance, here, "memcached:11211"), (rim, there, service.as_str())]
        {
            if promises != [Reset; 4] {
                table.play(stage, pod, service, promises, &mut direct);
            }
        }
    }
    direct.prepare();
    let strangers = PROMISES.into_iter().flat_map(|(pod, here, there)| {
        let reset = |promises, stage| (promises == [Reset; 4]).then_some((stage, pod));
        [reset(here, alliance), reset(there, rim)].into_iter().flatten()
    });
    table.knock(strangers, &service, &mut direct);
    assert!(table.wrong.is_empty(), "rows that did not come true:\n{}", table.wrong.join("\n"));
}

#[derive(Default)]
struct Table {
    wrong: Vec<String>,
}

impl Table {
    /// Plays one client's requests over one connection, for as long as it
    /// holds: a denial in the protocol does not end it.
    fn play(
        &mut self,
        stage: &Stage,
        pod: &str,
        service: &str,
        promises: [Promise; 4],
        direct: &mut Direct,
    ) {
        let mut client = stage.client(pod);
        client.reach_with(service, REQUESTS[0].0);
        let open = client.open(service).expect("the policy lets the client in");
        for ((request, reply, leaves), promise) in REQUESTS.into_iter().zip(promises) {
            direct.prepare();
            let answer = client.ask(&open, request);
            let expected = match promise {
                Allowed => (Answer::Reply(reply.to_owned()), leaves),
                Denied => (Answer::denied(), Some("red")),
                Reset => (Answer::reset(), Some("red")),
            };
            let left = direct.fleet_key();
            self.row(stage, pod, request, &expected, &(answer, left.as_deref()));
        }
    }

    /// Clients who are to be reset whatever they ask, all at once: each waits
    /// for as long as an address may be too new to be known.
    fn knock<'a>(
        &mut self,
        clients: impl Iterator<Item = (&'a Stage, &'static str)>,
        service: &str,
        direct: &mut Direct,
    ) {
        let answers: Vec<_> = thread::scope(|scope| {
            let asking: Vec<_> = clients
                .flat_map(|(stage, pod)| REQUESTS.map(|(request, ..)| (stage, pod, request)))
                .map(|(stage, pod, request)| {
                    let ask = move || stage.client(pod).ask_anew(service, request);
                    (stage, pod, request, scope.spawn(ask))
                })
                .collect();
            let join = |(stage, pod, request, thread): (_, _, _, ScopedJoinHandle<'_, Answer>)| {
                (stage, pod, request, thread.join().expect("an answer"))
            };
            asking.into_iter().map(join).collect()
        });
        let left = direct.fleet_key();
        for (stage, pod, request, answer) in answers {
            let expected = (Answer::reset(), Some("red"));
            self.row(stage, pod, request, &expected, &(answer, left.as_deref()));
        }
    }

    fn row(
        &mut self,
        stage: &Stage,
        pod: &str,
        request: &str,
        expected: &(Answer, Option<&str>),
        seen: &(Answer, Option<&str>),
    ) {
        let request = request.lines().next().unwrap_or_default();
        let came_true = expected == seen;
        let row = format!(
            "{:<15} {pod:<11} {request:<33} expected {}, the key {:?}; seen {}, the key {:?}",
            stage.namespace, expected.0, expected.1, seen.0, seen.1
        );
        println!("{} {row}", if came_true { "true " } else { "FALSE" });
        if !came_true {
            self.wrong.push(row);
        }
    }
}

/// What is really stored.
struct Direct {
    stream: std::net::TcpStream,
    _forward: Forward,
}

impl Direct {
    fn open(stage: &Stage) -> Self {
        let forward = stage.forward("pod/memcached", 11211);
        Self { stream: forward.connect(), _forward: forward }
    }

    /// Puts both keys back.
    fn prepare(&mut self) {
        for (key, value) in [(FLEET_KEY, "red"), (OTHER_KEY, "secret")] {
            let request = format!("set {key} 0 0 {}\r\n{value}\r\n", value.len());
            assert_eq!(self.ask(&request), "STORED\r\n");
        }
    }

    fn fleet_key(&mut self) -> Option<String> {
        let reply = self.ask(&format!("get {FLEET_KEY}\r\n"));
        reply.lines().nth(1).filter(|_| reply.starts_with("VALUE ")).map(str::to_owned)
    }

    fn ask(&mut self, request: &str) -> String {
        self.stream.write_all(request.as_bytes()).expect("memcached reads");
        let (mut reply, mut chunk) = (String::new(), [0; 4096]);
        let whole = |reply: &str| {
            if reply.starts_with("VALUE ") {
                reply.ends_with("END\r\n")
            } else {
                reply.ends_with("\r\n")
            }
        };
        while !whole(&reply) {
            let read = self.stream.read(&mut chunk).expect("memcached answers");
            assert!(read > 0, "memcached closed after {reply:?}");
            reply += &String::from_utf8_lossy(&chunk[..read]);
        }
        reply
    }
}
