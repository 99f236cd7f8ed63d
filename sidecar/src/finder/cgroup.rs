//! Whose a process is: its control groups lie below those of its pod, which the
//! kubelet names by the pod's uid.
//!
//! | driver | path |
//! |---|---|
//! | cgroupfs | `/kubepods/burstable/pod7a01…-…/CONTAINER` |
//! | systemd | `/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod7a01…_….slice/cri-….scope` |
//!
//! Seen from another cgroup namespace, either begins with `/..`. What is below
//! the pod's group a container may have made itself; so the outermost name counts.

/// The uid of the pod that `/proc/PID/cgroup` names; none if it names none, or
/// not the same in all hierarchies.
pub(super) fn pod(text: &str) -> Option<String> {
    let mut found = None;
    for line in text.lines() {
        let path = line.splitn(3, ':').nth(2)?;
        let Some(uid) = path.split('/').find_map(named) else { continue };
        match &found {
            Some(before) if *before != uid => return None,
            _ => found = Some(uid),
        }
    }
    found
}

/// The uid that a group's name holds, with dashes.
fn named(group: &str) -> Option<String> {
    let uid = match group.strip_suffix(".slice") {
        Some(slice) => slice.rsplit_once("-pod").map(|(_, uid)| uid),
        None => group.strip_prefix("pod"),
    }?;
    is_uid(uid).then(|| uid.replace('_', "-"))
}

/// A uid of the API server, in systemd's spelling too; or the hash that a kubelet
/// gives what it runs by itself.
pub(super) fn is_uid(text: &str) -> bool {
    let is_digit = |c: u8| c.is_ascii_digit() || (b'a'..=b'f').contains(&c);
    let groups: Vec<&str> = text.split(['-', '_']).collect();
    let lengths: Vec<usize> = groups.iter().map(|group| group.len()).collect();
    (lengths == [8, 4, 4, 4, 12] || lengths == [32]) && groups.concat().bytes().all(is_digit)
}

#[cfg(test)]
mod tests {
    use super::*;

    const UID: &str = "7a01c4de-0b5f-4c1e-9d2a-66f0a1b2c3d4";
    const OTHER: &str = "00000000-1111-2222-3333-444444444444";

    fn systemd(uid: &str) -> String {
        uid.replace('-', "_")
    }

    #[test]
    fn every_form_of_a_pods_group_is_known() {
        let (slice, hash) = (systemd(UID), "0123456789abcdef0123456789abcdef");
        for path in [
            format!("/kubepods/burstable/pod{UID}/4711"),
            format!("/kubepods/pod{UID}"),
            format!("/custom/root/kubepods/besteffort/pod{UID}/4711/below"),
            format!("/kubepods.slice/kubepods-pod{slice}.slice/cri-containerd-4711.scope"),
            format!(
                "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod{slice}.slice/crio-4711.scope/container"
            ),
            format!(
                "/kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-pod{slice}.slice/x.scope"
            ),
            format!("/../../pod{UID}/4711"),
            format!(
                "/../../../kubepods-besteffort.slice/kubepods-besteffort-pod{slice}.slice/x.scope"
            ),
            format!("/../kubepods-burstable-pod{slice}.slice/cri-containerd-4711.scope"),
        ] {
            assert_eq!(pod(&format!("0::{path}\n")).as_deref(), Some(UID), "{path}");
        }
        assert_eq!(pod(&format!("0::/kubepods/pod{hash}/x\n")).as_deref(), Some(hash));
        let v1 =
            format!("12:pids:/kubepods/pod{UID}/x\n3:cpu,cpuacct:/kubepods/pod{UID}/x\n0::/\n");
        assert_eq!(pod(&v1).as_deref(), Some(UID), "where one hierarchy says nothing");
    }

    #[test]
    fn what_is_no_pods_group_is_nobodys() {
        for text in [
            "",
            "0::/\n",
            "0::/system.slice/containerd.service\n",
            "0::/user.slice/user-1000.slice/session-1.scope\n",
            "0::/podman/libpod-4711\n",
            "0::/kubepods/pod7a01\n",
            "0::/kubepods/podZa01c4de-0b5f-4c1e-9d2a-66f0a1b2c3d4\n",
            "0::/kubepods/pod7A01C4DE-0B5F-4C1E-9D2A-66F0A1B2C3D4\n",
            "0::/kubepods/xpod7a01c4de-0b5f-4c1e-9d2a-66f0a1b2c3d4\n",
            "0::/kubepods/pod7a01c4de-0b5f-4c1e-9d2a-66f0a1b2c3d4.scope\n",
            "nonsense\n",
        ] {
            assert_eq!(pod(text), None, "{text}");
        }
    }

    #[test]
    fn nobody_poses_as_another_pod_by_groups_below_its_own() {
        let (own, other) = (systemd(UID), systemd(OTHER));
        for path in [
            format!("/kubepods/pod{UID}/4711/pod{OTHER}/x"),
            format!("/kubepods/pod{UID}/kubepods.slice/kubepods-pod{other}.slice"),
            format!("/kubepods-pod{own}.slice/x.scope/kubepods-pod{other}.slice"),
            format!("/../../pod{UID}/pod{OTHER}"),
        ] {
            assert_eq!(pod(&format!("0::{path}\n")).as_deref(), Some(UID), "{path}");
        }
        let both = format!("2:cpu:/kubepods/pod{UID}/x\n1:name=systemd:/kubepods/pod{OTHER}/x\n");
        assert_eq!(pod(&both), None, "in two pods it is in none");
        // In a line, and in the name of a controller.
        let forged = format!("1:name=/pod{OTHER}:/kubepods/pod{UID}/a:/pod{OTHER}\n");
        assert_eq!(pod(&forged).as_deref(), Some(UID));
    }
}
