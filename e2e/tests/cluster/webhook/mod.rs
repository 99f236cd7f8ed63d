//! `helm install`, a label, plain manifests: what the webhook and its second net do on a real
//! Kubernetes.
//!
//! These come after the others, whose installation the chart takes over; the last of them
//! uninstalls it.

mod api;
mod certificates;
mod chart;
mod load;
mod node_mode;
mod outage;
mod second_net;
mod upgrade;
mod users;
mod zz_uninstall;
