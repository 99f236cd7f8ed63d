//! The policy in force: swapped whole, read without waiting.

use std::{
    fmt,
    sync::{Arc, OnceLock},
};

use arc_swap::ArcSwap;
use remora_api::discovery::DiscoveryResponse;
use remora_policy::{Hosts, Slice};
use tokio::sync::watch;

use crate::services::Services;

/// A slice, the addresses of its identities and the services that the pod may
/// call, from one agent connection.
#[derive(Debug)]
pub(crate) struct Snapshot {
    pub(crate) slice: Arc<Slice>,
    pub(crate) hosts: Arc<Hosts>,
    pub(crate) services: Arc<Services>,
    /// The version that the agent gave the slice; empty before the first.
    pub(crate) version: Arc<str>,
    pub(crate) size: Size,
    pub(crate) source: Source,
    /// The response that brought the slice.
    pub(crate) policies: Arc<DiscoveryResponse>,
}

/// Where a snapshot came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Source {
    /// Nowhere: everything is denied.
    Nothing,
    /// The agent, on a connection of this process.
    Agent,
    /// What an earlier sidecar of this pod has saved.
    Disk,
}

impl Source {
    /// As it stands in the admin port's answers.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Nothing => "nothing",
            Self::Agent => "agent",
            Self::Disk => "disk",
        }
    }
}

/// How much a snapshot holds, for people who ask.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Size {
    /// Port policies for ingress.
    pub(crate) ports: usize,
    /// Port policies for egress.
    pub(crate) egress_ports: usize,
    /// The rules of either.
    pub(crate) rules: usize,
    /// Identities with addresses.
    pub(crate) identities: usize,
    /// Addresses and prefixes.
    pub(crate) addresses: usize,
    /// Addresses and ports of services.
    pub(crate) services: usize,
}

/// Holds the snapshot in force, and what is still missing before the first.
#[derive(Debug)]
pub(crate) struct Store {
    current: ArcSwap<Snapshot>,
    changes: watch::Sender<()>,
    /// What is waited for; `None` once there is a policy, for good.
    waiting: watch::Sender<Option<String>>,
    /// What more there is to say to that.
    remark: OnceLock<String>,
}

impl Store {
    /// Nothing is known: everything is denied.
    pub(crate) fn new() -> Self {
        let nothing = Snapshot {
            slice: Arc::new(Slice::deny_all()),
            hosts: Arc::new(Hosts::default()),
            services: Arc::default(),
            version: "".into(),
            size: Size::default(),
            source: Source::Nothing,
            policies: Arc::default(),
        };
        Self {
            current: ArcSwap::from_pointee(nothing),
            changes: watch::Sender::new(()),
            waiting: watch::Sender::new(Some("the agent was not asked yet".into())),
            remark: OnceLock::new(),
        }
    }

    /// The snapshot in force now.
    pub(crate) fn load(&self) -> Arc<Snapshot> {
        self.current.load_full()
    }

    /// Puts a snapshot in force for every decision from here on.
    pub(crate) fn swap(&self, snapshot: Snapshot) {
        self.current.store(Arc::new(snapshot));
        self.waiting.send_replace(None);
        self.changes.send_replace(());
    }

    /// Hears of every swap from here on. Whoever decides first and listens
    /// afterwards misses one: listen, then decide.
    pub(crate) fn changes(&self) -> watch::Receiver<()> {
        self.changes.subscribe()
    }

    /// Notes why there is no policy yet. Without effect once there was one:
    /// an agent that went away makes nobody unready.
    pub(crate) fn waits(&self, why: impl fmt::Display) {
        self.waiting.send_if_modified(|waiting| match waiting {
            Some(text) => {
                *text = why.to_string();
                true
            }
            None => false,
        });
    }

    /// Adds to every such reason; the first remark stays.
    pub(crate) fn remark(&self, remark: String) {
        let _ = self.remark.set(remark);
    }

    /// Why there is no policy yet; `None` when there is one.
    pub(crate) fn waiting(&self) -> Option<String> {
        let why = self.waiting.borrow().clone()?;
        Some(match self.remark.get() {
            Some(remark) => format!("{why}; {remark}"),
            None => why,
        })
    }
}
