//! What is looked for, and what is said when it is not there.

use std::os::unix::fs::PermissionsExt as _;

use super::*;

#[test]
fn a_program_counts_only_when_it_can_be_run() {
    let folder = env::temp_dir().join(format!("xtask-setup-{}", std::process::id()));
    fs::create_dir_all(&folder).expect("a folder");
    let program = folder.join("no-such-program-elsewhere");
    fs::write(&program, "").expect("a file");
    fs::set_permissions(&program, fs::Permissions::from_mode(0o644)).expect("mode");
    assert_eq!(find("no-such-program-elsewhere", folder.as_os_str()), None);
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).expect("mode");
    assert_eq!(find("no-such-program-elsewhere", folder.as_os_str()), Some(program));
    fs::remove_dir_all(&folder).expect("clean up");
}

#[test]
fn the_remedy_is_a_command_with_every_missing_package() {
    let all: Vec<_> = needed(For::Tests).collect();
    let Missing(text) = remedy(&all);
    let command = text.lines().find(|line| line.contains("apt-get install")).expect("a command");
    for package in all {
        assert!(command.contains(package.name), "{text}");
    }
}

#[test]
fn the_demo_needs_no_clients_of_others() {
    let names: Vec<_> = needed(For::Demo).map(|package| package.name).collect();
    assert_eq!(names, ["memcached", "iptables", "iproute2"]);
    assert_eq!(needed(For::Tests).count(), PACKAGES.len() + CLIENTS.len());
}

#[test]
fn the_benchmark_needs_what_it_compares_with() {
    let names: Vec<_> = needed(For::Bench).map(|package| package.name).collect();
    assert_eq!(names, ["memcached", "iptables", "iproute2", "redis-server", "haproxy"]);
}

#[test]
fn python_is_asked_for_its_modules() {
    assert!(!is_module("no_such_module_anywhere"));
}
