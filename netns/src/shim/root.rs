//! A container's root: a tmpfs with the image's files, `/proc`, `/dev` and the
//! volumes, in a mount namespace that ends with its last process.

use std::fs::{self, File, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use rustix::mount::{
    MountFlags, MountPropagationFlags, UnmountFlags, mount, mount_bind, mount_bind_recursive,
    mount_change, mount_remount, unmount,
};
use rustix::process::{chdir, pivot_root};

use super::spec::{BindMount, Root};

const DEVICES: [&str; 6] = ["full", "null", "random", "tty", "urandom", "zero"];
const SILENT: MountFlags = MountFlags::NOSUID.union(MountFlags::NODEV).union(MountFlags::NOEXEC);

/// Builds the root and makes it the process's own; the current directory is
/// then `/`. The caller is alone in a new mount namespace.
pub(super) fn build(root: &Root) -> Result<(), String> {
    let at = root.at.as_path();
    mount_change("/", MountPropagationFlags::REC | MountPropagationFlags::PRIVATE)
        .map_err(|error| format!("make mounts private: {error}"))?;
    mount("tmpfs", at, "tmpfs", MountFlags::empty(), c"mode=0755")
        .map_err(failed("mount a tmpfs on", at))?;
    for directory in &root.host_dirs {
        host_dir(at, directory)?;
    }
    scratch_dirs(at)?;
    proc(at)?;
    devices(at)?;
    for one in &root.mounts {
        bind(at, one)?;
    }
    switch_to(at)?;
    if root.read_only { read_only(Path::new("/")) } else { Ok(()) }
}

/// `what PATH: the system's answer`.
fn failed<E: std::fmt::Display>(what: &str, path: &Path) -> impl FnOnce(E) -> String {
    let place = format!("{what} {}", path.display());
    move |error| format!("{place}: {error}")
}

/// `/bin` may be a link to `/usr/bin` on the host; it stays one.
fn host_dir(at: &Path, directory: &Path) -> Result<(), String> {
    if let Ok(link) = fs::read_link(directory) {
        return symlink(link, inside(at, directory)).map_err(failed("link", directory));
    }
    let mount = BindMount {
        source: directory.into(),
        target: directory.to_string_lossy().into(),
        read_only: true,
    };
    bind(at, &mount)
}

fn inside(at: &Path, path: &Path) -> PathBuf {
    at.join(path.strip_prefix("/").unwrap_or(path))
}

fn scratch_dirs(at: &Path) -> Result<(), String> {
    for (name, mode) in
        [("run", 0o755), ("tmp", 0o1777), ("var", 0o755), ("proc", 0o755), ("dev", 0o755)]
    {
        let path = at.join(name);
        fs::create_dir_all(&path).map_err(failed("make", &path))?;
        fs::set_permissions(&path, Permissions::from_mode(mode))
            .map_err(failed("set the mode of", &path))?;
    }
    Ok(())
}

/// `/proc` of the PID namespace whose first process we are; its settings are
/// read-only, as in a container runtime.
fn proc(at: &Path) -> Result<(), String> {
    let proc = at.join("proc");
    mount("proc", &proc, "proc", SILENT, None).map_err(failed("mount", &proc))?;
    let settings = proc.join("sys");
    mount_bind(&settings, &settings).map_err(failed("mount", &settings))?;
    read_only(&settings)
}

fn devices(at: &Path) -> Result<(), String> {
    let dev = at.join("dev");
    let flags = MountFlags::NOSUID | MountFlags::NOEXEC;
    mount("tmpfs", &dev, "tmpfs", flags, c"mode=0755").map_err(failed("mount", &dev))?;
    for device in DEVICES {
        let target = dev.join(device);
        File::create(&target).map_err(failed("make", &target))?;
        mount_bind(Path::new("/dev").join(device), &target).map_err(failed("mount", &target))?;
    }
    for (link, to) in [("fd", "fd"), ("stdin", "fd/0"), ("stdout", "fd/1"), ("stderr", "fd/2")] {
        symlink(format!("/proc/self/{to}"), dev.join(link))
            .map_err(failed("link", &dev.join(link)))?;
    }
    let shm = dev.join("shm");
    fs::create_dir(&shm).map_err(failed("make", &shm))?;
    fs::set_permissions(&shm, Permissions::from_mode(0o1777))
        .map_err(failed("set the mode of", &shm))
}

fn bind(at: &Path, one: &BindMount) -> Result<(), String> {
    let target = inside(at, Path::new(&one.target));
    let kind = fs::metadata(&one.source).map_err(failed("find", &one.source))?;
    if kind.is_dir() {
        fs::create_dir_all(&target).map_err(failed("make", &target))?;
    } else {
        let parent = target.parent().unwrap_or(at);
        fs::create_dir_all(parent).map_err(failed("make", parent))?;
        File::create(&target).map_err(failed("make", &target))?;
    }
    mount_bind_recursive(&one.source, &target).map_err(failed("mount", &target))?;
    if one.read_only { read_only(&target) } else { Ok(()) }
}

fn read_only(mounted: &Path) -> Result<(), String> {
    mount_remount(mounted, MountFlags::BIND | MountFlags::RDONLY, "")
        .map_err(failed("make read-only", mounted))
}

/// The old root is stacked below the new one at once and then let go.
fn switch_to(at: &Path) -> Result<(), String> {
    chdir(at).map_err(failed("change to", at))?;
    pivot_root(".", ".").map_err(failed("pivot to", at))?;
    unmount(".", UnmountFlags::DETACH).map_err(failed("let go of the old root below", at))?;
    chdir("/").map_err(failed("change to", Path::new("/")))
}
