//! The agent as its sidecars see it: sockets, streams, versions.

mod common;

use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::time::{Duration, Instant};

use common::{Folders, Stream, connect, eventually, pod, policy, resources};
use remora_agent::{App, Config, Running};
use remora_api::cilium::{NetworkPolicy, NetworkPolicyHosts};
use remora_api::discovery::DiscoveryRequest;
use remora_parsers::Registry;
use tonic::Code;

async fn start(folders: &Folders) -> Running {
    let config = Config {
        directory: folders.manifests(),
        sockets: folders.sockets(),
        proxy_uid: 16006,
        registry: Registry::BUILT_IN,
    };
    App::start(config).await.expect("an agent")
}

fn crew(role: &str) -> Folders {
    Folders::new(&[
        ("droid.yaml", &pod("droid", "app: droid", "10.0.0.1")),
        ("leia.yaml", &pod("leia", "role: jedi", "10.0.0.2")),
        ("vader.yaml", &pod("vader", "role: sith", "10.0.0.3")),
        ("policy.yaml", &policy(role)),
    ])
}

fn addresses(hosts: &[NetworkPolicyHosts]) -> Vec<&str> {
    hosts.iter().flat_map(|own| &own.host_addresses).map(String::as_str).collect()
}

fn named(policy: &NetworkPolicy) -> Vec<u64> {
    let rules = policy.ingress_per_port_policies.iter().flat_map(|port| &port.rules);
    rules.flat_map(|rule| &rule.remote_policies).map(|number| u64::from(*number)).collect()
}

#[tokio::test]
async fn each_pod_gets_its_slice_and_no_other() {
    let folders = crew("jedi");
    let agent = start(&folders).await;
    assert!(folders.sockets().join(".ready").exists());

    let droid = connect(&folders.socket("droid")).await;
    let (mut policies, mut hosts) =
        (Stream::policies(&droid).await.expect("open"), Stream::hosts(&droid).await.expect("open"));
    policies.subscribe().await;
    hosts.subscribe().await;
    let response = policies.accept().await;
    let [own] = resources::<NetworkPolicy>(&response).try_into().expect("one policy");
    assert_eq!(own.endpoint_ips, ["10.0.0.1"]);
    let own_hosts = resources::<NetworkPolicyHosts>(&hosts.accept().await);
    assert_eq!(addresses(&own_hosts), ["10.0.0.2"]);
    assert_eq!(named(&own), [own_hosts[0].policy]);

    // Whoever it says it is, a socket gives its own pod's slice.
    let vader = connect(&folders.socket("vader")).await;
    let (mut policies, mut hosts) =
        (Stream::policies(&vader).await.expect("open"), Stream::hosts(&vader).await.expect("open"));
    for stream in [&policies, &hosts] {
        let node = remora_api::core::Node { id: "shop/droid".to_owned(), ..Default::default() };
        let resource_names = vec!["10.0.0.1".to_owned()];
        let request =
            DiscoveryRequest { node: Some(node), resource_names, ..DiscoveryRequest::default() };
        stream.send(request).await;
    }
    let response = policies.accept().await;
    assert_eq!(resources::<NetworkPolicy>(&response)[0].endpoint_ips, ["10.0.0.3"]);
    assert_eq!(resources::<NetworkPolicyHosts>(&hosts.accept().await), []);
    agent.shutdown().await;
}

#[tokio::test]
async fn an_edit_is_pushed_within_a_second_addresses_first() {
    let folders = crew("jedi");
    let agent = start(&folders).await;
    let channel = connect(&folders.socket("droid")).await;
    let mut policies = Stream::policies(&channel).await.expect("open");
    let mut hosts = Stream::hosts(&channel).await.expect("open");
    policies.subscribe().await;
    hosts.subscribe().await;
    let first = policies.accept().await;
    let first_hosts = hosts.accept().await;

    let edited = Instant::now();
    folders.write("policy.yaml", &policy("sith"));
    let next_hosts = hosts.next().await.expect("a push");
    let held = Duration::from_millis(300);
    assert!(policies.is_silent_for(held).await, "the policy waits for its addresses");
    hosts.answer(&next_hosts, None).await;
    let next = policies.accept().await;
    assert!(edited.elapsed() < held + Duration::from_secs(1), "{:?}", edited.elapsed());
    assert_eq!(addresses(&resources(&next_hosts)), ["10.0.0.3"]);
    let version = |response: &remora_api::discovery::DiscoveryResponse| {
        response.version_info.parse::<u64>().expect("a number")
    };
    assert!(version(&next) > version(&first) && version(&next_hosts) > version(&first_hosts));
    assert_ne!(next.nonce, first.nonce);

    // A change elsewhere is none here.
    folders.write("other.yaml", &pod("other", "role: nobody", "10.0.0.9"));
    eventually("the other pod", || async { folders.socket("other").exists().then_some(()) }).await;
    let quiet = Duration::from_millis(200);
    assert!(policies.is_silent_for(quiet).await && hosts.is_silent_for(quiet).await);
    agent.shutdown().await;
}

#[tokio::test]
async fn a_policy_does_not_wait_for_ever() {
    let folders = crew("jedi");
    let agent = start(&folders).await;
    let channel = connect(&folders.socket("droid")).await;
    let mut policies = Stream::policies(&channel).await.expect("open");
    let mut hosts = Stream::hosts(&channel).await.expect("open");
    policies.subscribe().await;
    hosts.subscribe().await;
    policies.accept().await;
    hosts.accept().await;
    folders.write("policy.yaml", &policy("sith"));
    hosts.next().await.expect("a push that is not answered");
    policies.next().await.expect("a push all the same");
    agent.shutdown().await;
}

#[tokio::test]
async fn a_refused_version_is_not_sent_again() {
    let folders = crew("jedi");
    let agent = start(&folders).await;
    let channel = connect(&folders.socket("droid")).await;
    let mut policies = Stream::policies(&channel).await.expect("open");
    policies.subscribe().await;
    let bad = policies.next().await.expect("a response");
    policies.answer(&bad, Some("a rule that I do not know")).await;
    policies.answer(&bad, Some("once more")).await;
    let quiet = Duration::from_millis(300);
    assert!(policies.is_silent_for(quiet).await);

    // Not even to a sidecar that asks anew.
    let mut again = Stream::policies(&channel).await.expect("open");
    again.subscribe().await;
    assert!(again.is_silent_for(quiet).await);

    // A stale answer says nothing about the version that came after.
    folders.write("policy.yaml", &policy("sith"));
    let good = policies.next().await.expect("another version");
    assert_ne!(good.version_info, bad.version_info);
    policies.answer(&bad, Some("late")).await;
    policies.answer(&good, None).await;
    assert_eq!(again.accept().await.version_info, good.version_info);
    agent.shutdown().await;
}

#[tokio::test]
async fn the_latest_version_wins_over_a_sidecar_that_does_not_listen() {
    let folders = crew("jedi");
    let agent = start(&folders).await;
    let channel = connect(&folders.socket("droid")).await;
    let mut hosts = Stream::hosts(&channel).await.expect("open");
    hosts.subscribe().await;
    for number in 10..60 {
        folders.write("leia.yaml", &pod("leia", "role: jedi", &format!("10.0.0.{number}")));
        tokio::task::yield_now().await;
    }
    let mut last = 0_u64;
    let found = async {
        loop {
            let response = hosts.accept().await;
            let version = response.version_info.parse().expect("a number");
            assert!(last < version);
            last = version;
            if addresses(&resources(&response)) == ["10.0.0.59"] {
                return;
            }
        }
    };
    tokio::time::timeout(common::PATIENCE, found).await.expect("the latest");
    agent.shutdown().await;
}

#[tokio::test]
async fn a_wrong_type_and_too_many_streams_are_refused() {
    let folders = crew("jedi");
    let agent = start(&folders).await;
    let channel = connect(&folders.socket("droid")).await;
    let mut stream = Stream::policies(&channel).await.expect("open");
    let type_url = remora_api::NETWORK_POLICY_HOSTS_URL.to_owned();
    stream.send(DiscoveryRequest { type_url, ..DiscoveryRequest::default() }).await;
    assert_eq!(stream.next().await.map_err(|status| status.code()), Err(Code::InvalidArgument));
    drop(stream);

    let mut open = Vec::new();
    let refusal = async {
        loop {
            // A connection has fewer streams than a pod may have in all.
            let channel = connect(&folders.socket("droid")).await;
            for _ in 0..8 {
                match Stream::policies(&channel).await {
                    Ok(stream) => open.push(stream),
                    Err(status) => return status,
                }
            }
        }
    };
    let refusal = tokio::time::timeout(common::PATIENCE, refusal).await.expect("an end");
    assert_eq!(refusal.code(), Code::ResourceExhausted);
    // Other pods do not notice.
    let leia = connect(&folders.socket("leia")).await;
    let mut stream = Stream::policies(&leia).await.expect("open");
    stream.subscribe().await;
    stream.accept().await;
    agent.shutdown().await;
}

#[tokio::test]
async fn sockets_belong_to_the_proxy_and_go_with_their_pod() {
    let folders = crew("jedi");
    std::fs::create_dir_all(folders.sockets().join("shop_droid")).expect("made");
    std::fs::write(folders.socket("droid"), "stale").expect("written");
    let inode = |path: &std::path::Path| path.metadata().expect("there").ino();
    let before = inode(&folders.sockets().join("shop_droid"));
    let agent = start(&folders).await;

    let folder = folders.sockets().join("shop_droid");
    assert_eq!(inode(&folder), before, "a running pod may have it mounted");
    let (own, socket) = (folder.metadata().expect("there"), folders.socket("droid"));
    let found = socket.metadata().expect("there");
    assert!(found.file_type().is_socket());
    assert_eq!((own.mode() & 0o777, found.mode() & 0o777), (0o750, 0o660));
    if rustix::process::geteuid().is_root() {
        assert_eq!([own.uid(), own.gid(), found.uid(), found.gid()], [0, 16006, 0, 16006]);
    }

    let channel = connect(&socket).await;
    let mut stream = Stream::policies(&channel).await.expect("open");
    stream.subscribe().await;
    stream.accept().await;
    folders.remove("droid.yaml");
    assert_eq!(stream.next().await.map_err(|status| status.code()), Err(Code::Unavailable));
    eventually("the folder's end", || async { (!folder.exists()).then_some(()) }).await;

    agent.shutdown().await;
    assert!(!folders.sockets().join(".ready").exists());
    assert!(folders.sockets().join("shop_leia").exists() && !folders.socket("leia").exists());
}

#[tokio::test]
async fn a_new_pod_of_an_old_name_gets_a_new_socket_in_the_same_folder() {
    let folders = crew("jedi");
    let agent = start(&folders).await;
    let channel = connect(&folders.socket("droid")).await;
    let mut stream = Stream::policies(&channel).await.expect("open");
    stream.subscribe().await;
    stream.accept().await;
    let folder = folders.sockets().join("shop_droid");
    let before = folder.metadata().expect("there").ino();
    let another = pod("droid", "app: droid", "10.0.0.7").replace("uid-droid", "uid-2");
    folders.write("droid.yaml", &another);
    assert_eq!(stream.next().await.map_err(|status| status.code()), Err(Code::Unavailable));
    assert_eq!(folder.metadata().expect("there").ino(), before);
    let channel = connect(&folders.socket("droid")).await;
    let mut stream = Stream::policies(&channel).await.expect("open");
    stream.subscribe().await;
    let response = stream.accept().await;
    assert_eq!(resources::<NetworkPolicy>(&response)[0].endpoint_ips, ["10.0.0.7"]);
    agent.shutdown().await;
}

#[tokio::test]
async fn versions_grow_from_one_run_to_the_next() {
    let folders = crew("jedi");
    let mut last = 0_u64;
    for _ in 0..5 {
        let agent = start(&folders).await;
        let channel = connect(&folders.socket("droid")).await;
        let mut stream = Stream::policies(&channel).await.expect("open");
        stream.subscribe().await;
        let response = stream.accept().await;
        let version = response.version_info.parse().expect("a number");
        assert!(last < version, "{last} {version}");
        assert!(!named(&resources::<NetworkPolicy>(&response)[0]).is_empty(), "never less");
        last = version;
        agent.shutdown().await;
    }
}

#[tokio::test]
async fn a_pod_with_the_longest_names_is_served() {
    let name = format!("{0}.{0}.{0}", "a".repeat(58));
    let folders = Folders::new(&[("pod.yaml", &pod(&name, "", "10.0.0.1"))]);
    let agent = start(&folders).await;
    assert!(folders.socket(&name).metadata().expect("there").file_type().is_socket());
    agent.shutdown().await;
}
