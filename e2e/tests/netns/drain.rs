//! Pods that end while clients ask: an app that drains well loses no request.

use std::{
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use remora_netns::{Pod, Signal};
use serde_json::json;

use crate::{
    by_hand::ByHand,
    stage::{Answer, MEMCACHED, PATIENCE, POLICY, Stage, ask, eventually, exchange},
};

/// How often the pod is replaced.
const ROLLOUTS: usize = 5;

/// Clients that ask without a pause.
const CLIENTS: usize = 3;

/// How long an app lets clients move elsewhere before it ends, as one that
/// drains well does.
const APP_DRAINS: &str = "0.3";

/// A memcached that waits before it ends.
fn draining(stage: &Stage, name: &str) -> Pod {
    let mut pod = stage.injected(name, &["-v"]);
    pod["spec"]["containers"][0]["lifecycle"] =
        json!({"preStop": {"exec": {"command": ["/bin/sleep", APP_DRAINS]}}});
    let pod = stage.run(&pod);
    let loopback = SocketAddr::from(([127, 0, 0, 1], MEMCACHED));
    eventually("memcached listens", || pod.connect(loopback).is_ok());
    pod
}

/// What a service is to its clients: the address of a pod that is ready.
#[derive(Clone)]
struct Service(Arc<Mutex<SocketAddr>>);

impl Service {
    fn address(&self) -> SocketAddr {
        *self.0.lock().expect("an address")
    }
}

/// Asks over and over, on one connection as long as the service stands where
/// it leads; returns how often it was answered, or the first that it was not.
fn client(pod: &Pod, service: &Service, stop: &AtomicBool) -> Result<usize, String> {
    let mut open: Option<(SocketAddr, TcpStream)> = None;
    let mut answered = 0;
    while !stop.load(Ordering::Relaxed) {
        let address = service.address();
        let kept = open.take().filter(|(to, _)| *to == address);
        let (_, mut stream) = match kept {
            Some(kept) => kept,
            None => {
                (address, pod.connect(address).map_err(|error| format!("connecting: {error}"))?)
            }
        };
        let answer = exchange(&mut stream, "get pub:a\r\n");
        if answer != Answer::Text("END\r\n".into()) {
            return Err(format!("{answer:?} after {answered} answers"));
        }
        answered += 1;
        // Every eighth connection is made anew.
        open = (answered % 8 != 0).then_some((address, stream));
    }
    Ok(answered)
}

#[test]
fn rollouts_of_an_app_that_drains_well_lose_no_request() {
    let stage = Stage::set();
    stage.write_policy("cache.yaml", POLICY);
    let asking = stage.client("client", &json!({"role": "client"}));
    let mut current = draining(&stage, "cache-0");
    let address = |pod: &Pod| SocketAddr::from((pod.ipv4(), MEMCACHED));
    let service = Service(Arc::new(Mutex::new(address(&current))));
    let stop = AtomicBool::new(false);
    let mut ends = Vec::new();
    let answered: usize = thread::scope(|scope| {
        let clients: Vec<_> =
            (0..CLIENTS).map(|_| scope.spawn(|| client(&asking, &service, &stop))).collect();
        for rollout in 1..=ROLLOUTS {
            let next = draining(&stage, &format!("cache-{rollout}"));
            eventually("the next one serves", || {
                ask(&asking, address(&next), "get pub:a\r\n") == Answer::Text("END\r\n".into())
            });
            *service.0.lock().expect("an address") = address(&next);
            let mut old = std::mem::replace(&mut current, next);
            let begun = Instant::now();
            let codes = old.stop();
            ends.push(begun.elapsed());
            assert!(codes.iter().any(|(name, code)| name == "remora" && *code == 0), "{codes:?}");
        }
        stop.store(true, Ordering::Relaxed);
        clients.into_iter().map(|client| client.join().expect("no panic").expect("no loss")).sum()
    });
    println!(
        "{ROLLOUTS} rollouts under load: {answered} requests, none lost; pods ended after {ends:?}"
    );
    assert!(answered > 100 * ROLLOUTS, "{answered} requests are no load");
}

/// The app is gone before its sidecar is asked to stop, as a kubelet has it:
/// then nothing is waited for, and a Job is complete.
#[test]
fn a_sidecar_whose_app_has_exited_ends_at_once() {
    let stage = Stage::set();
    stage.write_policy("cache.yaml", POLICY);
    let asking = stage.client("client", &json!({"role": "client"}));
    let mut cache = stage.cache(&[]);
    let address = SocketAddr::from((cache.ipv4(), MEMCACHED));
    let mut idle = asking.connect(address).expect("connected");
    assert_eq!(exchange(&mut idle, "get pub:a\r\n"), Answer::Text("END\r\n".into()));
    let begun = Instant::now();
    let codes = cache.stop();
    let took = begun.elapsed();
    println!("a pod with an idle client ended after {took:?}");
    assert!(codes.iter().any(|(name, code)| name == "remora" && *code == 0), "{codes:?}");
    assert!(took < Duration::from_secs(2), "{took:?}");
    idle.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    assert_eq!(idle.read(&mut [0]).expect("an orderly end"), 0);
    // The app's own connections need no proxy that outlives it.
    drop(idle.write_all(b"x"));
}

/// Whoever asks a sidecar to stop while its app is at work, as a runtime
/// without native sidecars does, does not take the app's network away: not what
/// comes in, nor what goes out. It ends with the app.
#[test]
fn an_app_that_is_still_there_works_on_until_it_exits() {
    let stage = Stage::set();
    stage.write_policy("cache.yaml", POLICY);
    let client = stage.client("client", &json!({"role": "client"}));
    let by_hand = ByHand::of(&stage, {
        let mut pod = stage.injected("cache", &[]);
        pod["spec"]["restartPolicy"] = json!("Never");
        pod
    })
    .with("REMORA_DRAIN_DELAY_SECONDS", "60");
    let mut sidecar = by_hand.start(&[]);
    let miss = || Answer::Text("END\r\n".to_owned());
    eventually("it serves", || ask(&client, by_hand.address(), "get pub:a\r\n") == miss());
    let listening = client.enter_network(|| TcpListener::bind(("0.0.0.0", 7000)));
    let listener = listening.expect("the client's network").expect("a port");
    let elsewhere = SocketAddr::from((client.ipv4(), 7000));

    sidecar.signal("TERM");
    for _ in 0..3 {
        assert_eq!(ask(&client, by_hand.address(), "get pub:a\r\n"), miss(), "what comes in");
        let mut out = by_hand.cache.connect(elsewhere).expect("what goes out");
        out.write_all(b"out").expect("sent");
        let mut came = [0; 3];
        listener.accept().expect("it comes").0.read_exact(&mut came).expect("it comes");
        assert_eq!(&came, b"out");
    }
    let begun = Instant::now();
    by_hand.cache.kill("app", Signal::KILL).expect("it runs");
    eventually("it ends with its app", || !sidecar.is_running());
    println!("a sidecar that was to stop ended {:?} after its app", begun.elapsed());
    assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
}
