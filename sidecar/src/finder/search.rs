//! Finds the networks of pods among the node's processes.
//!
//! A process is its pod's by its control group, whatever it does. Its network is
//! the pod's if it has the pod's addresses; of several the one with the oldest
//! process, which is what the runtime made first and the pod's programs came into.
//! A program that makes a network of its own and gives it the pod's addresses
//! comes later, and could not gain by coming first: what is closed then is its pod.

use std::{
    fs::{self, File},
    io::{self, Read as _},
    net::IpAddr,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

use super::{addresses, cgroup};

/// The most bytes of a file about a process.
const MAX_FILE: u64 = 16 << 10;

/// The most networks of one pod that are looked into: it can make any number.
const MAX_NETWORKS: usize = 8;

/// A network, by a process in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Found {
    /// When the process started, in the kernel's ticks since it booted.
    started: u64,
    pid: u32,
    /// By which the network is told from others.
    pub(super) inode: u64,
}

/// Looks through `/proc`.
#[derive(Debug)]
pub(super) struct Search {
    proc: PathBuf,
    /// The network of the node itself, where that may be looked at: there some
    /// runtimes' own processes are, which stand in the groups of pods.
    node: Option<u64>,
}

impl Search {
    /// A search of this node.
    pub(super) fn new() -> Self {
        let proc = PathBuf::from("/proc");
        let node = inode(&proc.join("1")).ok();
        Self { proc, node }
    }

    /// The networks of these pods, in their order, which is that of their uids;
    /// none of those that have none.
    ///
    /// # Errors
    /// There is no `/proc`.
    pub(super) fn find(&self, pods: &[(&str, &[IpAddr])]) -> io::Result<Vec<Option<Found>>> {
        let mut candidates: Vec<Vec<Found>> = vec![Vec::new(); pods.len()];
        for entry in fs::read_dir(&self.proc)? {
            let name = entry?.file_name();
            let Some(pid) = name.to_str().and_then(|name| name.parse().ok()) else { continue };
            // One that cannot be read has ended.
            let Some((place, found)) = self.process(pid, pods) else { continue };
            candidates.get_mut(place).into_iter().for_each(|own| own.push(found));
        }
        let own = candidates.into_iter().zip(pods);
        Ok(own.map(|(candidates, (_, addresses))| self.choose(candidates, addresses)).collect())
    }

    /// Whether the network is still there, and still that process's.
    pub(super) fn is_there(&self, found: &Found) -> bool {
        let process = self.folder(found.pid);
        inode(&process).is_ok_and(|inode| inode == found.inode)
            && started(&process).is_some_and(|started| started == found.started)
    }

    /// Where a network can be entered.
    pub(super) fn path(&self, found: &Found) -> PathBuf {
        self.folder(found.pid).join("ns/net")
    }

    /// A process of one of these pods, with that one's place among them.
    fn process(&self, pid: u32, pods: &[(&str, &[IpAddr])]) -> Option<(usize, Found)> {
        let process = self.folder(pid);
        let uid = cgroup::pod(&text(&process.join("cgroup"))?)?;
        let place = pods.binary_search_by(|(own, _)| (*own).cmp(&uid)).ok()?;
        let started = started(&process)?;
        let inode = inode(&process).ok().filter(|inode| Some(*inode) != self.node)?;
        Some((place, Found { started, pid, inode }))
    }

    /// The oldest process in a network with all of the pod's addresses.
    fn choose(&self, mut processes: Vec<Found>, addresses: &[IpAddr]) -> Option<Found> {
        processes.sort_unstable();
        let mut seen = Vec::new();
        for found in processes {
            if seen.contains(&found.inode) {
                continue;
            }
            seen.push(found.inode);
            if seen.len() > MAX_NETWORKS {
                return None;
            }
            let own = addresses::of(&self.folder(found.pid)).unwrap_or_default();
            let has_all = !addresses.is_empty() && addresses.iter().all(|ip| own.contains(ip));
            // Last, since a number may have become another process's meanwhile.
            if has_all && self.is_there(&found) {
                return Some(found);
            }
        }
        None
    }

    fn folder(&self, pid: u32) -> PathBuf {
        self.proc.join(pid.to_string())
    }
}

/// The network of a process.
fn inode(process: &Path) -> io::Result<u64> {
    fs::metadata(process.join("ns/net")).map(|data| data.ino())
}

/// When a process started. Its name, which is its own to choose, stands in
/// parentheses before.
fn started(process: &Path) -> Option<u64> {
    let text = text(&process.join("stat"))?;
    let (_, fields) = text.rsplit_once(") ")?;
    // The 22nd field; the first here is the third.
    fields.split(' ').nth(19)?.parse().ok()
}

fn text(path: &Path) -> Option<String> {
    let mut bytes = Vec::new();
    File::open(path).ok()?.take(MAX_FILE).read_to_end(&mut bytes).ok()?;
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests;
