//! How long who waits. Time is virtual.

use std::{cell::RefCell, future::poll_fn, pin::pin, task::Poll};

use remora_policy::{Decision, TrafficDirection, Verdict};
use tokio::time::advance;

use super::*;

const PATIENCE: Duration = Duration::from_secs(5);

fn denied(reason: Reason) -> Admission {
    Admission::Deny(Decision { verdict: Verdict::Dropped, rule: None, reason })
}

fn unmatched() -> Admission {
    denied(Reason::PeerUnmatched { port: 80, peer: None })
}

fn closed() -> Admission {
    denied(Reason::PortClosed { port: 80, direction: TrafficDirection::Ingress })
}

fn allowed() -> Admission {
    let reason = Reason::PortAllowed;
    Admission::Opaque(Decision { verdict: Verdict::Forwarded, rule: None, reason })
}

fn view(holder: Holder, admission: Admission) -> View {
    View { target: "10.0.0.1:80".parse().unwrap(), holder, admission }
}

/// What a sidecar would know, and whoever hears of changes to it.
struct World {
    view: RefCell<View>,
    changes: watch::Sender<()>,
}

impl World {
    fn new(holder: Holder, admission: Admission) -> Self {
        Self { view: RefCell::new(view(holder, admission)), changes: watch::Sender::new(()) }
    }

    fn set(&self, holder: Holder, admission: Admission) {
        *self.view.borrow_mut() = view(holder, admission);
        self.changes.send_replace(());
    }

    /// Waits in the room; what came of it, in words.
    async fn wait(&self, room: &WaitingRoom) -> &'static str {
        let mut changes = self.changes.subscribe();
        match room.admission(&mut changes, || Ok(self.view.borrow().clone())).await {
            Ok(View { admission: Admission::Deny(_), .. }) => "denied",
            Ok(_) => "admitted",
            Err(error) => error.label().name(),
        }
    }
}

/// Polls once: whether it still waits.
async fn waits(waiting: &mut (impl Future<Output = &'static str> + Unpin)) -> bool {
    poll_fn(|context| Poll::Ready(std::pin::Pin::new(&mut *waiting).poll(context).is_pending()))
        .await
}

#[tokio::test(start_paused = true)]
async fn only_an_unknown_client_that_could_be_admitted_waits() {
    let room = WaitingRoom::new(PATIENCE);
    let no_policy = || denied(Reason::NoPolicy);
    let denied_by_name = || denied(Reason::PeerDenied);
    let clash = || denied(Reason::ProtocolsClash { port: 80, one: "memcache", other: "r2d2" });
    let started = Instant::now();
    for (holder, admission, ends) in [
        (Holder::Unknown, allowed(), "admitted"),
        (Holder::Unknown, no_policy(), "denied"),
        (Holder::Unknown, denied_by_name(), "denied"),
        (Holder::Unknown, clash(), "denied"),
        (Holder::Nobody, unmatched(), "denied"),
        (Holder::Nobody, closed(), "denied"),
        (Holder::Identity(remora_policy::WORLD), unmatched(), "denied"),
        (Holder::Identity(256), unmatched(), "denied"),
    ] {
        assert_eq!(World::new(holder, admission).wait(&room).await, ends);
    }
    assert_eq!(started.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn who_stays_unknown_is_denied_when_time_is_up() {
    let room = WaitingRoom::new(PATIENCE);
    for admission in [unmatched(), closed()] {
        let world = World::new(Holder::Unknown, admission);
        let started = Instant::now();
        assert_eq!(world.wait(&room).await, "identity-unknown");
        assert_eq!(started.elapsed(), PATIENCE);
    }
}

#[tokio::test(start_paused = true)]
async fn updates_about_others_do_not_end_the_wait() {
    let room = WaitingRoom::new(PATIENCE);
    let world = World::new(Holder::Unknown, unmatched());
    let started = Instant::now();
    let mut waiting = pin!(world.wait(&room));
    for _ in 0..4 {
        assert!(waits(&mut waiting).await);
        advance(Duration::from_secs(1)).await;
        world.set(Holder::Unknown, unmatched());
    }
    assert!(waits(&mut waiting).await);
    world.set(Holder::Identity(256), allowed());
    assert_eq!(waiting.await, "admitted");
    assert_eq!(started.elapsed(), Duration::from_secs(4));
}

#[tokio::test(start_paused = true)]
async fn rules_may_follow_the_address_that_they_name() {
    let room = WaitingRoom::new(PATIENCE);
    for (follows, ends) in [(true, "admitted"), (false, "denied")] {
        let world = World::new(Holder::Unknown, closed());
        let started = Instant::now();
        let mut waiting = pin!(world.wait(&room));
        assert!(waits(&mut waiting).await);
        world.set(Holder::Identity(256), closed());
        assert!(waits(&mut waiting).await, "the rules come last");
        if follows {
            world.set(Holder::Identity(256), allowed());
        }
        assert_eq!(waiting.await, ends);
        assert_eq!(started.elapsed(), if follows { Duration::ZERO } else { RULES_FOLLOW });
    }
}

#[tokio::test(start_paused = true)]
async fn further_changes_do_not_prolong_the_wait_for_rules() {
    let room = WaitingRoom::new(PATIENCE);
    let world = World::new(Holder::Unknown, unmatched());
    let started = Instant::now();
    let mut waiting = pin!(world.wait(&room));
    assert!(waits(&mut waiting).await);
    for _ in 0..4 {
        world.set(Holder::Identity(256), unmatched());
        if !waits(&mut waiting).await {
            break;
        }
        advance(RULES_FOLLOW / 2).await;
    }
    assert_eq!(started.elapsed(), RULES_FOLLOW);
}

#[tokio::test(start_paused = true)]
async fn what_denies_everybody_ends_the_wait() {
    let room = WaitingRoom::new(PATIENCE);
    let world = World::new(Holder::Unknown, unmatched());
    let mut waiting = pin!(world.wait(&room));
    assert!(waits(&mut waiting).await);
    world.set(Holder::Unknown, denied(Reason::PeerDenied));
    assert_eq!(waiting.await, "denied");
}

#[tokio::test(start_paused = true)]
async fn so_many_wait_and_no_more() {
    let room = WaitingRoom::new(PATIENCE);
    let world = World::new(Holder::Unknown, unmatched());
    let mut seated: Vec<_> = (0..MAX_WAITING).map(|_| Box::pin(world.wait(&room))).collect();
    for waiting in &mut seated {
        assert!(waits(waiting).await);
    }
    let started = Instant::now();
    assert_eq!(world.wait(&room).await, "identity-unknown");
    assert_eq!(started.elapsed(), Duration::ZERO, "at once");
    // One leaves, another sits down.
    drop(seated.pop());
    assert!(waits(&mut Box::pin(world.wait(&room))).await);
    world.set(Holder::Identity(256), allowed());
    for waiting in seated {
        assert_eq!(waiting.await, "admitted");
    }
}
