//! The built binary against the kernel's real tables, each test in a network namespace of
//! its own that is gone when the test is. Needs root, and fails without.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

const BINARY: &str = env!("CARGO_BIN_EXE_remora-init");

/// Runs a script in a fresh network namespace; `$INIT` is the binary.
fn in_netns(script: &str, path: Option<&Path>) -> Output {
    let old = std::env::var("PATH").unwrap_or_default();
    let system = format!("{old}:/usr/sbin:/sbin");
    let path = path.map_or(system.clone(), |stubs| format!("{}:{system}", stubs.display()));
    Command::new("unshare")
        .args(["--net", "sh", "-euc", script])
        .env("INIT", BINARY)
        .env("PATH", path)
        .output()
        .expect("unshare, of util-linux, is needed")
}

/// What a script that must succeed printed.
fn succeeds(script: &str) -> String {
    let output = in_netns(script, None);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "root is needed\n{script}\n{stderr}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// A pod's network: loopback and one interface, with or without IPv6.
const DUAL_STACK: &str = "\
ip link set lo up; ip link add eth0 type veth peer name peer0
ip link set eth0 up; ip link set peer0 up; ip address add fd00::2/64 dev eth0 nodad
";
/// Both families' rules without comments (which hold the time) and counters.
const SAVE: &str = "\
save() { for t in iptables ip6tables; do $t-save | sed -e '/^#/d' -e 's/ \\[.*//'; done; }
";

struct Stubs(PathBuf);

impl Stubs {
    /// A directory that stands before the system's in PATH.
    fn new(name: &str) -> Self {
        let directory = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
        fs::create_dir_all(&directory).expect("a directory for stubs");
        Self(directory)
    }

    fn command(&self, name: &str, script: &str) -> &Self {
        let path = self.0.join(name);
        fs::write(&path, format!("#!/bin/sh\n{script}\n")).expect("a stub");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("executable");
        self
    }
}

#[test]
fn both_families_are_redirected() {
    let skip = "--skip-inbound-ports 9090 --skip-outbound-ports 5432,8000-8010 \
                --skip-outbound-cidrs 10.9.0.0/16,fd09::/32";
    let rules = succeeds(&format!("{SAVE} $INIT {skip}; save"));
    let rule = |text: &str| rules.matches(&format!("{text}\n")).count();
    // Two families, and of each the tables nat and mangle.
    assert_eq!(rule("-A PREROUTING -p tcp -j REMORA_INBOUND"), 4, "{rules}");
    assert_eq!(rule("-A OUTPUT -p tcp -j REMORA_OUTBOUND"), 4, "{rules}");
    assert_eq!(rule("-A REMORA_INBOUND -i lo -j RETURN"), 4, "{rules}");
    assert_eq!(rule("-A REMORA_OUTBOUND -o lo -j RETURN"), 4, "{rules}");
    for port in ["16000", "16001", "16006", "16020", "16021", "9090"] {
        let returns = format!("-A REMORA_INBOUND -p tcp -m tcp --dport {port} -j RETURN");
        assert_eq!(rule(&returns), 2, "{rules}");
    }
    for port in ["5432", "8000:8010"] {
        let returns = format!("-A REMORA_OUTBOUND -p tcp -m tcp --dport {port} -j RETURN");
        assert_eq!(rule(&returns), 2, "{rules}");
    }
    for cidr in ["10.9.0.0/16", "fd09::/32"] {
        assert_eq!(rule(&format!("-A REMORA_OUTBOUND -d {cidr} -j RETURN")), 1, "{rules}");
    }
    assert_eq!(rule("-A REMORA_OUTBOUND -m owner --uid-owner 16006 -j RETURN"), 2, "{rules}");
    assert_eq!(rule("-A REMORA_INBOUND -p tcp -j REDIRECT --to-ports 16006"), 2, "{rules}");
    assert_eq!(rule("-A REMORA_OUTBOUND -p tcp -j REDIRECT --to-ports 16001"), 2, "{rules}");
    succeeds(&format!("$INIT {skip}; $INIT verify {skip}"));
}

#[test]
fn running_again_changes_nothing() {
    succeeds(&format!("{SAVE} $INIT; save >&2; a=$(save); $INIT; b=$(save); test \"$a\" = \"$b\""));
}

#[test]
fn doubled_missing_and_displaced_rules_are_found_and_repaired() {
    succeeds(&format!(
        "{SAVE} $INIT; good=$(save)
         repaired() {{
             status=0; $INIT verify || status=$?; test $status = 1
             $INIT; $INIT verify; test \"$(save)\" = \"$good\"
         }}
         iptables -t nat -A PREROUTING -p tcp -j REMORA_INBOUND; repaired
         ip6tables -t nat -A REMORA_INBOUND -p tcp -j REDIRECT --to-ports 16006; repaired
         ip6tables -t nat -F REMORA_OUTBOUND; repaired
         iptables -t nat -D OUTPUT 1; repaired
         iptables -t nat -I REMORA_OUTBOUND 1 -m owner --uid-owner 0 -j RETURN; repaired
         ip6tables -t mangle -D OUTPUT 1; repaired
         iptables -t mangle -F REMORA_INBOUND; repaired"
    ));
    let order = succeeds(
        "$INIT; iptables -t nat -I PREROUTING 1 -p udp -j ACCEPT; $INIT
         iptables -t nat -S PREROUTING",
    );
    let expected = "-P PREROUTING ACCEPT\n-A PREROUTING -p tcp -j REMORA_INBOUND\n\
                    -A PREROUTING -p udp -j ACCEPT\n";
    assert_eq!(order, expected);
}

#[test]
fn verify_says_what_is_missing() {
    let output = in_netns("$INIT; ip6tables -t nat -F REMORA_OUTBOUND; $INIT verify", None);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    let missing = "IPv6: ip6tables: the rules are not in force: nat: lacks -A REMORA_OUTBOUND";
    assert!(stderr.contains(missing), "{stderr}");
    assert!(!stderr.contains("IPv4: iptables:"), "{stderr}");
    let powerless = in_netns("setpriv --bounding-set -net_admin $INIT verify", None);
    assert_eq!(powerless.status.code(), Some(4), "it cannot look");
}

#[test]
fn cleanup_leaves_nothing_of_ours_and_everything_else() {
    succeeds(&format!(
        "{SAVE}
         iptables -t nat -A PREROUTING -p udp -j ACCEPT; ip6tables -t nat -N OTHER
         for t in iptables ip6tables; do $t -t mangle -A OUTPUT -p udp -j ACCEPT; done
         before=$(save); $INIT; $INIT cleanup; test \"$(save)\" = \"$before\"
         $INIT cleanup; test \"$(save)\" = \"$before\""
    ));
}

#[test]
fn a_dry_run_changes_nothing() {
    let output = succeeds(&format!(
        "{SAVE} before=$(save); $INIT --dry-run; test \"$(save)\" = \"$before\"
         $INIT; before=$(save); $INIT cleanup --dry-run; test \"$(save)\" = \"$before\""
    ));
    assert_eq!(output.matches("REDIRECT --to-ports 16006").count(), 2, "{output}");
    assert_eq!(output.matches("-X REMORA_INBOUND").count(), 4, "{output}");
    assert_eq!(output.matches("-X REMORA_OUTBOUND").count(), 4, "{output}");
}

#[test]
fn what_a_dry_run_prints_can_be_restored() {
    succeeds(&format!(
        "{SAVE} rules=$($INIT --dry-run)
         echo \"$rules\" | sed '/# IPv6/,$d' | iptables-restore --noflush
         echo \"$rules\" | sed '1,/# IPv6/d' | ip6tables-restore --noflush
         by_hand=$(save); $INIT cleanup; $INIT; test \"$(save)\" = \"$by_hand\""
    ));
}

/// Runs init with stubs in a fresh namespace and gives its status and stderr, after
/// seeing to it that IPv4 is as it was before.
fn fails_clean(stubs: &Stubs, network: &str) -> (i32, String) {
    let script = format!(
        "{network} status=0; $INIT || status=$?
         if iptables-save | grep -q REMORA; then echo IPv4 is not clean >&2; exit 99; fi
         exit $status"
    );
    let output = in_netns(&script, Some(&stubs.0));
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    (output.status.code().expect("a status"), stderr)
}

#[test]
fn an_ip6tables_that_fails_fails_everything_and_leaves_ipv4_clean() {
    for command in ["ip6tables", "ip6tables-restore"] {
        let stubs = Stubs::new(&format!("failing-{command}"));
        stubs.command(command, "exit 1");
        for network in ["", DUAL_STACK] {
            let (status, stderr) = fails_clean(&stubs, network);
            assert_eq!(status, 1, "{stderr}");
            assert!(stderr.contains(&format!("remora-init: IPv6: {command}: ")), "{stderr}");
        }
    }
}

#[test]
fn a_restore_that_only_says_yes_is_found_out() {
    let stubs = Stubs::new("deaf-restore");
    stubs.command("ip6tables-restore", "cat >/dev/null");
    let (status, stderr) = fails_clean(&stubs, "");
    assert_eq!(status, 1, "{stderr}");
    assert!(stderr.contains("the rules are not in force: nat: PREROUTING does not go"), "{stderr}");
    assert!(stderr.contains("IPv4: taken back"), "{stderr}");
}

#[test]
fn without_nat_for_ipv6_a_pod_may_only_run_without_ipv6() {
    let stubs = Stubs::new("no-ipv6-nat");
    let message = "ip6tables: can't initialize table nat: Table does not exist";
    let script = format!(
        "case $* in --version) echo 'ip6tables v1.8.9'; exit;; esac\n\
         echo \"{message}\" >&2; exit 3"
    );
    stubs.command("ip6tables", &script);
    let (status, stderr) = fails_clean(&stubs, DUAL_STACK);
    assert_eq!(status, 5, "{stderr}");
    assert!(stderr.contains(message) && stderr.contains("load the kernel modules"), "{stderr}");

    let output = in_netns("$INIT; iptables-save | grep REDIRECT", Some(&stubs.0));
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{stderr}");
    assert!(stderr.contains("IPv6: not redirected: the pod has no IPv6 address"), "{stderr}");
}

#[test]
fn a_missing_command_and_a_missing_capability_are_named() {
    let missing = in_netns("PATH=/nonexistent; $INIT", None);
    let stderr = String::from_utf8_lossy(&missing.stderr);
    assert_eq!(missing.status.code(), Some(3), "{stderr}");
    assert!(stderr.contains("use an image that has iptables"), "{stderr}");

    let powerless = in_netns("setpriv --bounding-set -net_admin $INIT", None);
    let stderr = String::from_utf8_lossy(&powerless.stderr);
    assert_eq!(powerless.status.code(), Some(4), "{stderr}");
    assert!(stderr.contains("with the capability NET_ADMIN"), "{stderr}");
}

#[test]
fn net_admin_is_all_that_is_needed() {
    let bare = "setpriv --bounding-set -all,+net_admin --inh-caps -all $INIT";
    succeeds(&format!("{bare}; iptables-save | grep REDIRECT; ip6tables-save | grep REDIRECT"));
}

#[test]
fn help_teaches() {
    let output = Command::new(BINARY).arg("--help").output().expect("runs");
    let help = String::from_utf8_lossy(&output.stdout);
    for part in
        ["Examples:", "Exit status:", "--skip-inbound-ports", "--dry-run", "verify", "cleanup"]
    {
        assert!(help.contains(part), "{help}");
    }
    let wrong = Command::new(BINARY).arg("--inbound-port=x").output().expect("runs");
    assert_eq!(wrong.status.code(), Some(2));
}
