//! A sidecar that is killed while its agent is away.

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use remora_netns::Pod;

use crate::{
    by_hand::ByHand,
    stage::{Answer, MEMCACHED, POLICY, Stage, ask, denied, eventually},
};

/// From the start of the process to the first right answer.
const START: Duration = Duration::from_millis(500);

/// How often a sidecar is killed.
const KILLS: usize = 100;

#[test]
fn a_sidecar_killed_while_its_agent_is_away_enforces_what_it_did() {
    let stage = Stage::set();
    stage.write_policy("cache.yaml", POLICY);
    let (client, outsider) = stage.client_and_outsider();
    let cache = stage.cache(&[]);
    let address = SocketAddr::from((cache.ipv4(), MEMCACHED));
    assert_eq!(ask(&client, address, "get pub:a\r\n"), Answer::Text("END\r\n".into()));
    stage.kill_agent();
    stage.kill_proxy(&cache);
    stage.await_proxy(&cache);
    assert_eq!(ask(&client, address, "get pub:a\r\n"), Answer::Text("END\r\n".into()));
    assert_eq!(ask(&client, address, "get sec:a\r\n"), denied());
    assert_eq!(ask(&outsider, address, "get pub:a\r\n"), Answer::Reset);
}

/// A kubelet waits ever longer between restarts, so the sidecar is started
/// here by hand.
#[test]
fn a_hundred_kills_cost_half_a_second_each_at_most() {
    let stage = Stage::set();
    stage.write_policy("cache.yaml", POLICY);
    let (client, outsider) = stage.client_and_outsider();
    let by_hand = ByHand::set(&stage, &[]);
    let address = by_hand.address();

    let mut sidecar = by_hand.start(&[]);
    eventually("it serves", || allowed(&client, address));
    eventually("it has saved", || by_hand.has_saved());
    stage.kill_agent();
    let mut starts = Vec::new();
    for _ in 0..KILLS {
        sidecar.end();
        let begun = Instant::now();
        sidecar = by_hand.start(&[]);
        eventually("it serves again", || allowed(&client, address));
        starts.push(begun.elapsed());
        assert_eq!(ask(&client, address, "get sec:a\r\n"), denied());
        assert_eq!(ask(&outsider, address, "get pub:a\r\n"), Answer::Reset);
    }
    starts.sort_unstable();
    let (median, worst) = (starts[KILLS / 2], starts[KILLS - 1]);
    println!(
        "{KILLS} starts from the saved policy: first answer after {median:?}, at worst {worst:?}"
    );
    assert!(worst < START, "{starts:?}");
}

/// Whether what policy allows is answered. What it forbids would panic here.
fn allowed(client: &Pod, address: SocketAddr) -> bool {
    match ask(client, address, "get pub:a\r\n") {
        Answer::Refused | Answer::Reset | Answer::Closed => false,
        answer => {
            assert_eq!(answer, Answer::Text("END\r\n".into()));
            true
        }
    }
}

crate::node_mode::in_node_mode! {
    a_sidecar_killed_while_its_agent_is_away_enforces_what_it_did,
}
