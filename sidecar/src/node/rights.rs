//! As whom a node's proxy runs: as the user whose connections pods' redirections
//! let through, with what it takes to enter their networks, and nothing else. Who
//! finds these networks for it is the same user, and enters none.
//!
//! That is still much: who may enter any namespace and look into any process can
//! become root of the node. It is the price of one proxy for many pods.

use rustix::{
    io::Errno,
    process::{Gid, Uid, geteuid},
    thread::{
        CapabilitySet, CapabilitySets, capabilities, set_capabilities, set_keep_capabilities,
        set_no_new_privs, set_thread_groups, set_thread_res_gid, set_thread_res_uid,
    },
};

use crate::config::PROXY_UID;

/// To find a network namespace by a process of another user.
const TO_FIND: CapabilitySet = CapabilitySet::SYS_PTRACE;

/// And to enter it.
const TO_ENTER: CapabilitySet = CapabilitySet::SYS_ADMIN.union(TO_FIND);

/// Why it cannot run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RightsError {
    /// It runs as somebody else.
    #[error("on a node it starts as root, and becomes user {PROXY_UID}; this is user {0}")]
    User(u32),
    /// It may not do what it needs to.
    #[error("it needs the capabilities {0}")]
    Capabilities(&'static str),
    /// The system refuses.
    #[error("cannot become user {PROXY_UID}: {0}")]
    System(#[from] Errno),
}

/// Gives up all that a node's proxy does not need. For a process with one thread:
/// others would stay what they are.
///
/// # Errors
/// A [`RightsError`]; the process must end then.
pub fn become_proxy() -> Result<(), RightsError> {
    keep(TO_ENTER, "SYS_ADMIN and SYS_PTRACE, and to become that user SETUID and SETGID")
}

/// The same for who finds the networks.
///
/// # Errors
/// As for [`become_proxy`].
pub fn become_finder() -> Result<(), RightsError> {
    keep(TO_FIND, "SYS_PTRACE, and to become that user SETUID and SETGID")
}

fn keep(needed: CapabilitySet, names: &'static str) -> Result<(), RightsError> {
    let user = geteuid();
    if user.as_raw() != PROXY_UID {
        if !user.is_root() {
            return Err(RightsError::User(user.as_raw()));
        }
        set_keep_capabilities(true)?;
        set_thread_groups(&[])?;
        let (uid, gid) = (Uid::from_raw(PROXY_UID), Gid::from_raw(PROXY_UID));
        set_thread_res_gid(gid, gid, gid)?;
        set_thread_res_uid(uid, uid, uid)?;
    }
    let held = capabilities(None)?.permitted;
    if !held.contains(needed) {
        return Err(RightsError::Capabilities(names));
    }
    let sets = CapabilitySets {
        effective: needed,
        permitted: needed,
        inheritable: CapabilitySet::empty(),
    };
    set_capabilities(None, sets)?;
    Ok(set_no_new_privs(true)?)
}

#[cfg(test)]
mod tests {
    use rustix::process::getegid;

    use super::*;

    /// On a thread of its own, whose rights alone change.
    #[test]
    fn it_is_the_proxys_user_and_keeps_what_it_needs() {
        type Become = fn() -> Result<(), RightsError>;
        for (change, kept) in [(become_proxy as Become, TO_ENTER), (become_finder, TO_FIND)] {
            let became = std::thread::spawn(move || {
                let became = change();
                (became, geteuid().as_raw(), getegid().as_raw(), capabilities(None).unwrap())
            });
            let (became, uid, gid, sets) = became.join().unwrap();
            if geteuid().is_root() {
                assert_eq!(became, Ok(()));
                assert_eq!((uid, gid), (PROXY_UID, PROXY_UID));
                assert_eq!((sets.permitted, sets.effective), (kept, kept));
            } else {
                assert_eq!(became, Err(RightsError::User(uid)));
            }
        }
    }
}
