//! An agent that has no file left goes on, and takes callers again once it has.
//! A process of its own: the limit is the whole process's.

#[path = "tls/cluster.rs"]
#[allow(dead_code, reason = "shared with another test binary")]
mod cluster;
mod common;
#[path = "tls/stage.rs"]
#[allow(dead_code, reason = "shared with another test binary")]
mod stage;

use common::{Stream, eventually};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use stage::{Agent, limits};
use tokio::net::TcpStream;

fn open_files() -> u64 {
    std::fs::read_dir("/proc/self/fd").expect("a folder").count().try_into().expect("a number")
}

#[tokio::test]
async fn running_out_of_files_stops_nobody_for_longer_than_it_lasts() {
    let agent = Agent::start(limits()).await;
    let channel = agent.connect().await.expect("connected");
    let mut stream = Stream::policies_as(&channel, &["Bearer leia"]).await.expect("let in");
    stream.subscribe().await;
    stream.accept().await;

    let before = getrlimit(Resource::Nofile);
    let few = Rlimit { current: Some(open_files() + 8), maximum: before.maximum };
    setrlimit(Resource::Nofile, few).expect("a lower limit");
    let mut crowd = Vec::new();
    while let Ok(stream) = TcpStream::connect(agent.address).await {
        crowd.push(stream);
    }
    assert!(!crowd.is_empty(), "some got through");
    eventually("no file left", || async { std::fs::File::open("/proc/self/stat").err() }).await;
    let mut slices = stage::crew();
    let moved = stage::slice("uid-leia", "10.0.0.9", (300, "10.0.9.1"));
    slices.insert(stage::key("leia"), moved);
    agent.publish(slices);
    stream.accept().await;

    drop(crowd);
    setrlimit(Resource::Nofile, before).expect("the limit of before");
    let again = eventually("a connection", || async { agent.connect().await.ok() }).await;
    assert!(Stream::policies_as(&again, &["Bearer droid"]).await.is_ok());
    agent.stop().await;
}
