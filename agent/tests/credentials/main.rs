//! The CA in its Secret, the bundle in its namespaces, one leader at a time.
//! Time is virtual: hours pass as soon as nobody has anything to do.

mod apiserver;
mod injector;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use apiserver::ApiServer;
use remora_agent::credentials::{Clock, Config, Expiries, Owners, Timing, run};
use remora_certs::{Bundle, Schedule, Serving, client_config, server_config};
use rustls::pki_types::ServerName;
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout};
use tokio_rustls::{TlsAcceptor, TlsConnector};

const NAME: &str = "remora-agent.remora.svc";
const MINUTE: Duration = Duration::from_secs(60);
const SECRET: &str = "secrets/remora/remora-ca";
const LEASE: &str = "leases/remora/remora-agent";

/// One replica of the agent.
struct Replica {
    serving: Arc<Serving>,
    expiries: Arc<Expiries>,
    namespaces: watch::Sender<Option<BTreeSet<String>>>,
    leads: watch::Receiver<bool>,
    task: JoinHandle<()>,
}

impl Replica {
    fn start(server: &ApiServer, name: &str, namespaces: &[&str], clock: &Clock) -> Self {
        Self::owned(server, (name, None), namespaces, clock)
    }

    /// With whom what it makes goes away.
    fn owned(
        server: &ApiServer,
        (name, owners): (&str, Owners),
        namespaces: &[&str],
        clock: &Clock,
    ) -> Self {
        let (serving, expiries) = (Arc::new(Serving::default()), Arc::new(Expiries::default()));
        let (sender, receiver) = watch::channel(Some(set(namespaces)));
        let (leading, leads) = watch::channel(false);
        let config = Config {
            client: server.client(),
            namespace: "remora".to_owned(),
            replica: name.to_owned(),
            names: vec![NAME.to_owned()],
            schedule: Schedule { ca_life: 180 * MINUTE, leaf_life: 20 * MINUTE, grace: 5 * MINUTE },
            timing: Timing::default(),
            injector: Some("remora-injector".to_owned()),
            owners,
            leading,
            clock: Arc::clone(clock),
        };
        let task = tokio::spawn(run(config, Arc::clone(&serving), receiver, Arc::clone(&expiries)));
        Self { serving, expiries, namespaces: sender, leads, task }
    }

    /// Whether a sidecar that trusts this bundle believes this replica now.
    async fn is_believed(&self, bundle: &str) -> bool {
        let Ok(bundle) = Bundle::parse(bundle.as_bytes(), "test") else { return false };
        let server = server_config(Arc::clone(&self.serving)).expect("a server");
        let client = client_config(&bundle).expect("a client");
        let (near, far) = tokio::io::duplex(16 << 10);
        let name = ServerName::try_from(NAME).expect("a name");
        let (heard, said) = tokio::join!(
            TlsAcceptor::from(server).accept(far),
            TlsConnector::from(client).connect(name, near),
        );
        drop(heard);
        said.is_ok()
    }

    fn metrics(&self) -> String {
        let mut text = String::new();
        self.expiries.render(&mut text);
        text
    }
}

fn set(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

/// Virtual time of day that reaches the real one after `ahead`.
fn clock(ahead: Duration) -> Clock {
    let (start, begin) = (SystemTime::now() - ahead, Instant::now());
    Arc::new(move || start + begin.elapsed())
}

/// The bundle in a namespace.
fn bundle(server: &ApiServer, namespace: &str) -> Option<String> {
    let map = server.get(&format!("configmaps/{namespace}/remora-ca"))?;
    map["data"]["ca.crt"].as_str().map(str::to_owned)
}

/// Waits, in virtual time, until `probe` gives something.
async fn within<T>(time: Duration, what: &str, mut probe: impl FnMut() -> Option<T>) -> T {
    let found = async {
        loop {
            if let Some(found) = probe() {
                return found;
            }
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    };
    timeout(time, found).await.unwrap_or_else(|_| panic!("{what}: not within {time:?}"))
}

const SOON: Duration = Duration::from_secs(30);

#[tokio::test(start_paused = true)]
async fn the_first_replica_makes_the_ca_and_publishes_it() {
    let server = ApiServer::new();
    let replica = Replica::start(&server, "one", &["shop", "bank"], &clock(Duration::ZERO));
    let shop = within(SOON, "the bundle", || bundle(&server, "shop")).await;
    within(SOON, "the other", || (bundle(&server, "bank")? == shop).then_some(())).await;
    within(SOON, "a certificate", || replica.serving.is_set().then_some(())).await;
    assert!(replica.is_believed(&shop).await);
    assert!(!shop.contains("PRIVATE"), "the key stays where it is");
    assert!(bundle(&server, "elsewhere").is_none());
    let metrics = replica.metrics();
    assert!(!metrics.contains("} 0\n") && metrics.contains("{certificate=\"leaf\"}"), "{metrics}");

    // A namespace more, and what somebody else did to the others.
    replica.namespaces.send_replace(Some(set(&["shop", "bank", "late"])));
    server.put("configmaps/shop/remora-ca", json!({ "data": { "ca.crt": "mine" } }));
    server.delete("configmaps/bank/remora-ca");
    for namespace in ["shop", "bank", "late"] {
        within(SOON, namespace, || (bundle(&server, namespace)? == shop).then_some(())).await;
    }
}

/// As when the chart takes over from `deploy/`.
#[tokio::test(start_paused = true)]
async fn what_an_agent_without_an_owner_made_is_owned_after_the_next() {
    let server = ApiServer::new();
    let clock = clock(Duration::ZERO);
    let maps = ["configmaps/shop/remora-ca", "configmaps/bare/remora-ca"];
    let made = [SECRET, LEASE, maps[0], maps[1], "secrets/remora/remora-injector-tls"];
    let first = Replica::start(&server, "one", &["shop", "bare"], &clock);
    for object in made {
        within(SOON, object, || server.get(object)).await;
    }
    let shop = bundle(&server, "shop");
    first.task.abort();
    let owner = json!([{"apiVersion": "v1", "kind": "ClusterRole", "name": "x", "uid": "7"}]);
    // There are no pods of ours in the other namespace any more.
    let owners: Owners = serde_json::from_value(owner).expect("an owner");
    let _next = Replica::owned(&server, ("two", owners), &["shop"], &clock);
    for object in made {
        within(MINUTE, object, || {
            let found = server.get(object)?["metadata"]["ownerReferences"][0]["uid"].clone();
            (found == "7").then_some(())
        })
        .await;
    }
    assert_eq!(bundle(&server, "shop"), shop, "the CA is the same");
}

#[tokio::test(start_paused = true)]
async fn two_replicas_share_a_ca_and_the_second_takes_over() {
    let server = ApiServer::new();
    let clock = clock(Duration::ZERO);
    let one = Replica::start(&server, "one", &["shop"], &clock);
    let shop = within(SOON, "the bundle", || bundle(&server, "shop")).await;
    let two = Replica::start(&server, "two", &["shop", "late"], &clock);
    within(SOON, "a certificate", || two.serving.is_set().then_some(())).await;
    assert!(one.is_believed(&shop).await && two.is_believed(&shop).await);
    // Longer than any lease: who holds it renews it.
    tokio::time::sleep(Duration::from_secs(120)).await;
    let holder = |server: &ApiServer| server.get(LEASE).map(|lease| lease["spec"].clone());
    assert_eq!(holder(&server).expect("a lease")["holderIdentity"], "one");
    assert!(bundle(&server, "late").is_none(), "the second does not lead");
    assert!(*one.leads.borrow() && !*two.leads.borrow());

    one.task.abort();
    within(SOON, "another leader", || (holder(&server)?["holderIdentity"] == "two").then_some(()))
        .await;
    within(SOON, "its work", || bundle(&server, "late").filter(|late| *late == shop)).await;
    assert!(*two.leads.borrow());
    assert_eq!(holder(&server).expect("a lease")["leaseTransitions"], 1);
    let secrets = server.created().into_iter().filter(|path| path == SECRET).count();
    assert_eq!(secrets, 1, "nobody made a second CA");
}

#[tokio::test(start_paused = true)]
async fn a_sidecar_outlives_two_rotations_by_rereading_its_bundle() {
    let server = ApiServer::new();
    let length = 280 * MINUTE;
    let replica = Replica::start(&server, "one", &["shop"], &clock(length));
    let begin = Instant::now();
    let born_with = within(SOON, "the bundle", || bundle(&server, "shop")).await;
    let mut signers = BTreeSet::new();
    let mut grown = 0;
    while begin.elapsed() < length {
        let secret: Value = server.get(SECRET).expect("a secret");
        signers.insert(secret["data"]["ca.crt"].to_string());
        grown = grown.max(bundle(&server, "shop").expect("a bundle").matches("BEGIN").count());
        tokio::time::sleep(MINUTE).await;
    }
    assert_eq!((signers.len(), grown), (3, 2), "two rotations, one at a time");
    assert!(!replica.is_believed(&born_with).await);
    assert!(replica.is_believed(&bundle(&server, "shop").expect("a bundle")).await);
}

#[tokio::test(start_paused = true)]
async fn a_bundle_that_cannot_be_published_holds_up_the_new_ca() {
    let server = ApiServer::new();
    let replica = Replica::start(&server, "one", &["shop"], &clock(Duration::ZERO));
    within(SOON, "the bundle", || bundle(&server, "shop")).await;
    server.forbid("PATCH configmaps", true);
    let first = server.get(SECRET).expect("a secret")["data"]["ca.crt"].clone();
    within(121 * MINUTE, "the next CA", || server.get(SECRET)?["data"].get("next.crt").cloned())
        .await;
    tokio::time::sleep(30 * MINUTE).await;
    let secret = server.get(SECRET).expect("a secret");
    assert_eq!(secret["data"]["ca.crt"], first, "it does not sign yet");
    assert!(secret["data"].get("next.published").is_none());
    server.forbid("PATCH configmaps", false);
    within(MINUTE, "the bundle", || server.get(SECRET)?["data"].get("next.published").cloned())
        .await;
    assert_eq!(bundle(&server, "shop").expect("a bundle").matches("BEGIN").count(), 2);
    drop(replica);
}

#[tokio::test(start_paused = true)]
async fn what_the_api_server_refuses_is_done_once_it_no_longer_does() {
    let server = ApiServer::new();
    for what in ["GET secrets", "POST secrets", "POST leases", "PATCH configmaps", "GET configmaps"]
    {
        server.forbid(what, true);
    }
    let replica = Replica::start(&server, "one", &["shop"], &clock(Duration::ZERO));
    for what in ["POST leases", "GET secrets", "POST secrets", "GET configmaps", "PATCH configmaps"]
    {
        tokio::time::sleep(SOON).await;
        assert!(!replica.task.is_finished() && bundle(&server, "shop").is_none(), "{what}");
        server.forbid(what, false);
    }
    within(2 * SOON, "the bundle", || bundle(&server, "shop")).await;
    within(SOON, "a certificate", || replica.serving.is_set().then_some(())).await;
}

#[tokio::test(start_paused = true)]
async fn a_secret_that_is_no_ca_is_not_replaced_in_silence() {
    let server = ApiServer::new();
    let strange = json!({ "data": { "ca.crt": "aGVsbG8=", "ca.key": "aGVsbG8=" } });
    server.put(SECRET, strange);
    let replica = Replica::start(&server, "one", &["shop"], &clock(Duration::ZERO));
    within(SOON, "a leader", || server.get(LEASE)).await;
    tokio::time::sleep(2 * SOON).await;
    assert_eq!(server.get(SECRET).expect("a secret")["data"]["ca.crt"], "aGVsbG8=");
    assert!(!replica.serving.is_set() && bundle(&server, "shop").is_none());
    server.delete(SECRET);
    within(SOON, "a new CA", || bundle(&server, "shop")).await;
}
