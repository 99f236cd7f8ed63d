//! Gives up what the manifest does not grant.

use std::collections::BTreeSet;

use caps::CapSet;
use rustix::process::{Gid, Uid};
use rustix::thread::{set_no_new_privs, set_thread_groups, set_thread_res_gid, set_thread_res_uid};

use super::spec::User;

/// Capabilities, then groups and user, for the one thread that there is.
///
/// As in a container runtime the bounding set is what limits: a root program
/// gets it all at exec, any other user's program gets none of it.
pub(super) fn give_up(user: &User) -> Result<(), String> {
    bound(&user.capabilities)?;
    if user.no_new_privileges {
        set_no_new_privs(true).map_err(|error| format!("set no_new_privs: {error}"))?;
    }
    let (uid, gid) = (Uid::from_raw(user.uid), Gid::from_raw(user.gid));
    set_thread_groups(&[]).map_err(|error| format!("drop groups: {error}"))?;
    set_thread_res_gid(gid, gid, gid)
        .map_err(|error| format!("become group {}: {error}", user.gid))?;
    set_thread_res_uid(uid, uid, uid).map_err(|error| format!("become user {}: {error}", user.uid))
}

fn bound(granted: &BTreeSet<String>) -> Result<(), String> {
    let held = caps::read(None, CapSet::Bounding)
        .map_err(|error| format!("read capabilities: {error}"))?;
    if let Some(absent) =
        granted.iter().find(|name| !held.iter().any(|cap| cap.to_string() == **name))
    {
        return Err(format!("the manifest grants {absent}, which this machine does not give"));
    }
    for cap in held.into_iter().filter(|cap| !granted.contains(&cap.to_string())) {
        caps::drop(None, CapSet::Bounding, cap).map_err(|error| format!("drop {cap}: {error}"))?;
    }
    caps::clear(None, CapSet::Inheritable)
        .map_err(|error| format!("clear inheritable capabilities: {error}"))
}
