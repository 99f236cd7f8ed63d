//! Control groups named as a kubelet names them, and processes in them.

use std::{
    fs,
    io::{self, BufRead as _, BufReader},
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicUsize, Ordering},
};

const ROOT: &str = "/sys/fs/cgroup";

static COUNT: AtomicUsize = AtomicUsize::new(0);

/// A group for the groups of pods.
pub(super) struct Groups(Group);

/// One group of either version; gone when this is dropped, and what it holds is.
pub(super) struct Group(PathBuf);

/// A process in a group, killed when this is dropped.
pub(super) struct Member {
    child: Child,
    _groups: Vec<Group>,
}

impl Groups {
    pub(super) fn new() -> Self {
        let first = Path::new(ROOT).join("pids");
        let root = if first.is_dir() { first } else { ROOT.into() };
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("remora-test-{}-{number}", std::process::id());
        Self(Group::make(root.join(name)))
    }

    /// The group of a pod.
    pub(super) fn pod(&self, uid: &str) -> Group {
        self.0.below(uid)
    }
}

impl Group {
    fn make(path: PathBuf) -> Self {
        match fs::create_dir(&path) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                panic!("{}: {error}: control groups are needed", path.display())
            }
            _ => Self(path),
        }
    }

    /// A group below it that has the name of a pod's.
    pub(super) fn below(&self, uid: &str) -> Self {
        Self::make(self.0.join(format!("pod{uid}")))
    }

    /// Starts a program that is in the group before it does anything.
    pub(super) fn run(self, argv: &[&str]) -> io::Result<Member> {
        self.member(argv, Stdio::null())
    }

    /// A process in a network of its own, once this script has said something.
    pub(super) fn posing(&self, script: &str) -> Member {
        let group = Self(self.0.clone());
        let argv = ["unshare", "--net", "sh", "-c", script];
        let mut member = group.member(&argv, Stdio::piped()).expect("a process");
        let output = member.child.stdout.take().expect("piped");
        let mut line = String::new();
        BufReader::new(output).read_line(&mut line).expect("a line");
        assert_eq!(line, "up\n");
        member
    }

    fn member(self, argv: &[&str], output: Stdio) -> io::Result<Member> {
        let name = self.0.file_name().expect("a name").to_string_lossy().into_owned();
        let waits =
            format!("until grep -q {name} /proc/self/cgroup; do sleep 0.02; done; exec \"$@\"");
        let mut child = Command::new("sh")
            .args(["-c", &waits, "sh"])
            .args(argv)
            .stdin(Stdio::null())
            .stdout(output)
            .spawn()?;
        if let Err(error) = fs::write(self.0.join("cgroup.procs"), child.id().to_string()) {
            let _ = child.kill();
            return Err(error);
        }
        Ok(Member { child, _groups: vec![self] })
    }
}

impl Member {
    /// By which number the system knows its network.
    pub(super) fn network(&self) -> u64 {
        fs::metadata(format!("/proc/{}/ns/net", self.child.id())).expect("it runs").ino()
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        // Whatever it was, it is gone then; its group can be removed.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // Somebody else is in it, or it was removed with another of its members.
        let _ = fs::remove_dir(&self.0);
    }
}
