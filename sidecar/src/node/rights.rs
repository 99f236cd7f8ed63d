//! As whom a node's proxy runs: as the user whose connections pods' redirections
//! let through, with what it takes to enter their networks, and nothing else.
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

/// To enter a network namespace; and to find it by a process of another user.
const NEEDED: CapabilitySet = CapabilitySet::SYS_ADMIN.union(CapabilitySet::SYS_PTRACE);

/// Why it cannot run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RightsError {
    /// It runs as somebody else.
    #[error("a node's proxy starts as root, and becomes user {PROXY_UID}; this is user {0}")]
    User(u32),
    /// It may not do what it needs to.
    #[error("a node's proxy needs the capabilities SYS_ADMIN and SYS_PTRACE")]
    Capabilities,
    /// The system refuses.
    #[error("cannot become user {PROXY_UID}: {0}")]
    System(#[from] Errno),
}

/// Gives up all else. For a process with one thread: others would stay what
/// they are.
///
/// # Errors
/// A [`RightsError`]; the process must end then.
pub fn become_proxy() -> Result<(), RightsError> {
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
    if !held.contains(NEEDED) {
        return Err(RightsError::Capabilities);
    }
    let sets = CapabilitySets {
        effective: NEEDED,
        permitted: NEEDED,
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
    fn it_is_the_proxys_user_and_keeps_two_capabilities() {
        let became = std::thread::spawn(|| {
            let became = become_proxy();
            (became, geteuid().as_raw(), getegid().as_raw(), capabilities(None).unwrap())
        });
        let (became, uid, gid, sets) = became.join().unwrap();
        if geteuid().is_root() {
            assert_eq!(became, Ok(()));
            assert_eq!((uid, gid), (PROXY_UID, PROXY_UID));
            assert_eq!((sets.permitted, sets.effective), (NEEDED, NEEDED));
        } else {
            assert_eq!(became, Err(RightsError::User(uid)));
        }
    }
}
