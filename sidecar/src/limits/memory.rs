//! How much memory the container has, and how near the end of it is.

use std::{fs, path::Path, sync::Arc, time::Duration};

use super::Ledger;

/// What the sidecar itself takes, idle, with a large policy.
const BASE_BYTES: u64 = 12 << 20;

/// How often it is looked at how much is used.
const LOOK: Duration = Duration::from_millis(500);

/// A limit of more than this is none.
const NO_LIMIT: u64 = 1 << 50;

/// The memory that this process may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Memory {
    /// In bytes; none where the container has no limit.
    limit: Option<u64>,
}

impl Memory {
    /// Asks the control group, of either version, that this process is in.
    pub(crate) fn of_this_process() -> Self {
        Self { limit: limit(Path::new("/proc/self/cgroup"), Path::new("/sys/fs/cgroup")) }
    }

    /// The most bytes that may be held for connections, if there is a limit:
    /// nine tenths of it, less what is needed anyway.
    pub(crate) fn for_connections(self) -> Option<usize> {
        let room = nine_tenths(self.limit?).saturating_sub(BASE_BYTES);
        usize::try_from(room).ok()
    }

    /// Tells the ledger whenever memory begins or ceases to run short; for ever.
    pub(crate) async fn watch(self, ledger: Arc<Ledger>) {
        let Some(limit) = self.limit else { return };
        let most = nine_tenths(limit);
        let mut look = tokio::time::interval(LOOK);
        let mut was_short = false;
        loop {
            look.tick().await;
            let short = resident().is_some_and(|used| used > most);
            if short != was_short {
                tracing::warn!(
                    short,
                    limit,
                    "memory: new and large connections are refused while short"
                );
                ledger.memory_is_short(short);
                was_short = short;
            }
        }
    }
}

fn nine_tenths(bytes: u64) -> u64 {
    bytes / 10 * 9
}

/// Bytes that this process has in memory.
fn resident() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: u64 = line.split_whitespace().next()?.parse().ok()?;
    Some(kib.saturating_mul(1 << 10))
}

/// The limit of the group that `membership` (`/proc/self/cgroup`) names, below
/// `root`. A container that sees its own group as the root finds it there.
fn limit(membership: &Path, root: &Path) -> Option<u64> {
    let text = fs::read_to_string(membership).ok()?;
    let groups = text.lines().filter_map(|line| {
        let (_, rest) = line.split_once(':')?;
        let (controllers, path) = rest.split_once(':')?;
        let (folder, file) = match controllers {
            "" => ("", "memory.max"),
            "memory" => ("memory", "memory.limit_in_bytes"),
            _ => return None,
        };
        let base = root.join(folder);
        let own = base.join(path.trim_start_matches('/')).join(file);
        Some([own, base.join(file)])
    });
    let read = |file: &std::path::PathBuf| {
        let value: u64 = fs::read_to_string(file).ok()?.trim().parse().ok()?;
        (value < NO_LIMIT).then_some(value)
    };
    groups.filter_map(|files| files.iter().find_map(read)).min()
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;

    fn told(membership: &str, files: &[(&str, &str)]) -> Option<u64> {
        let dir = TempDir::new().unwrap();
        let (of, root) = (dir.path().join("cgroup"), dir.path().join("fs"));
        fs::write(&of, membership).unwrap();
        for (file, text) in files {
            let path = root.join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        limit(&of, &root)
    }

    #[test]
    fn the_limit_is_found_in_either_version_and_from_inside() {
        let own = [("pod/a/memory.max", "67108864\n")];
        assert_eq!(told("0::/pod/a\n", &own), Some(64 << 20));
        assert_eq!(told("0::/\n", &[("memory.max", "1000\n")]), Some(1000));
        let v1 = "4:memory:/pod/a\n2:cpu,cpuacct:/\n0::/\n";
        let own = [("memory/pod/a/memory.limit_in_bytes", "5000\n")];
        assert_eq!(told(v1, &own), Some(5000));
        let inside = [("memory/memory.limit_in_bytes", "6000\n")];
        assert_eq!(told(v1, &inside), Some(6000), "its own group is mounted as the root");
    }

    #[test]
    fn no_limit_is_none() {
        assert_eq!(told("0::/\n", &[("memory.max", "max\n")]), None);
        let huge = [("memory/memory.limit_in_bytes", "9223372036854771712\n")];
        assert_eq!(told("4:memory:/\n", &huge), None);
        assert_eq!(told("", &[]), None);
        assert_eq!(Memory { limit: None }.for_connections(), None);
    }

    #[test]
    fn a_tenth_and_the_base_are_kept_back() {
        let memory = Memory { limit: Some(64 << 20) };
        let room = u64::try_from(memory.for_connections().unwrap()).unwrap();
        assert!(room + BASE_BYTES <= (64 << 20) / 10 * 9, "{room}");
        assert!(room > 40 << 20);
        assert_eq!(Memory { limit: Some(1 << 20) }.for_connections(), Some(0));
    }

    #[test]
    fn this_process_has_memory() {
        assert!(resident().is_some_and(|bytes| bytes > 0));
    }
}
