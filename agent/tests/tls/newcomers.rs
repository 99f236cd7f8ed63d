//! A pod whose address was another's starts only when those who knew the other
//! have heard of it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use remora_agent::world::{PodSlice, Slices};

use crate::cluster::vouched;
use crate::common::{Stream, eventually};
use crate::stage::{Agent, crew, key, limits, slice};

const QUIET: Duration = Duration::from_millis(300);

async fn hosts(agent: &Agent, token: &str) -> Stream {
    let channel = agent.connect().await.expect("connected");
    let stream = Stream::hosts_as(&channel, &[&format!("Bearer {token}")]).await.expect("let in");
    stream.subscribe().await;
    stream
}

/// What the others are told once the address is `vader`'s.
fn after(newcomer: Arc<PodSlice>) -> Slices {
    let mut slices = crew();
    for (name, uid, address) in
        [("droid", "uid-droid", "10.0.0.1"), ("leia", "uid-leia", "10.0.0.2")]
    {
        slices.insert(key(name), slice(uid, address, (301, "10.0.9.2")));
    }
    slices.insert(key("vader"), newcomer);
    slices
}

fn vader() -> Arc<PodSlice> {
    slice("uid-vader", "10.0.9.1", (302, "10.0.9.3"))
}

#[tokio::test]
async fn a_newcomer_waits_for_those_who_are_connected() {
    let agent = Agent::start(limits()).await;
    agent.cluster.vouch("vader", vouched("shop", "default", "vader", "uid-vader"));
    let mut droid = hosts(&agent, "droid").await;
    let mut leia = hosts(&agent, "leia").await;
    droid.accept().await;
    leia.accept().await;

    agent.publish(after(vader()));
    let told = [droid.next().await.expect("told"), leia.next().await.expect("told")];
    let mut newcomer = hosts(&agent, "vader").await;
    assert!(newcomer.is_silent_for(QUIET).await, "two have not answered");
    droid.answer(&told[0], None).await;
    assert!(newcomer.is_silent_for(QUIET).await, "one has not answered");
    // Who is no longer connected does not count.
    drop(leia);
    newcomer.accept().await;
    agent.stop().await;
}

#[tokio::test]
async fn who_does_not_answer_is_disconnected() {
    let agent = Agent::start(limits()).await;
    agent.cluster.vouch("vader", vouched("shop", "default", "vader", "uid-vader"));
    let mut droid = hosts(&agent, "droid").await;
    droid.accept().await;
    let since = Instant::now();
    agent.publish(after(vader()));
    let mut newcomer = hosts(&agent, "vader").await;
    newcomer.accept().await;
    let waited = since.elapsed();
    assert!(waited > Duration::from_secs(4) && waited < Duration::from_secs(8), "{waited:?}");
    droid.next().await.expect("told");
    let end = droid.next().await.expect_err("the end");
    assert_eq!(end.code(), tonic::Code::DeadlineExceeded, "{end:?}");
    agent.stop().await;
}

#[tokio::test]
async fn a_pod_without_an_address_is_held_back_until_it_has_one() {
    let agent = Agent::start(limits()).await;
    agent.cluster.vouch("vader", vouched("shop", "default", "vader", "uid-vader"));
    let mut slices = crew();
    let unaddressed = PodSlice { addresses: [].into(), ..PodSlice::clone(&vader()) };
    slices.insert(key("vader"), Arc::new(unaddressed));
    agent.publish(slices.clone());
    let channel = agent.connect().await.expect("connected");
    let open = || async { Stream::hosts_as(&channel, &["Bearer vader"]).await.ok() };
    let mut newcomer = eventually("the snapshot", open).await;
    newcomer.subscribe().await;
    assert!(newcomer.is_silent_for(QUIET).await);
    slices.insert(key("vader"), vader());
    agent.publish(slices);
    newcomer.accept().await;
    agent.stop().await;
}
