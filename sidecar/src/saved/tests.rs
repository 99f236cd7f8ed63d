//! What a file must be to be used.

use std::{
    fs::{self, File},
    time::SystemTime,
};

use tempfile::TempDir;

use super::*;

const DAY: Duration = Duration::from_secs(86_400);

fn saved() -> Saved {
    let response = |version: &str| DiscoveryResponse {
        version_info: version.into(),
        type_url: "a type".into(),
        ..Default::default()
    };
    Saved { pod_uid: "7a".into(), policies: response("3"), hosts: response("9"), services: None }
}

fn refused(bytes: &[u8]) -> String {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("snapshot");
    fs::write(&path, bytes).unwrap();
    load(&path, "7a", DAY).unwrap_err().to_string()
}

#[test]
fn what_was_written_is_read_and_nothing_lies_beside_it() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("snapshot");
    assert_eq!(load(&path, "7a", DAY).unwrap(), None);
    for _ in 0..2 {
        file::write(&path, &saved().to_bytes(), |place| place()).unwrap();
        assert_eq!(load(&path, "7a", DAY).unwrap(), Some(saved()));
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }
    file::remove(&path).unwrap();
    file::remove(&path).unwrap();
    file::touch(&path).unwrap();
    assert_eq!(load(&path, "7a", DAY).unwrap(), None);
}

#[test]
fn every_flipped_bit_and_every_cut_is_refused() {
    let good = saved().to_bytes();
    for at in 0..good.len() {
        for bit in 0..8 {
            let mut bytes = good.clone();
            bytes[at] ^= 1 << bit;
            assert!(Saved::from_bytes(&bytes).is_err(), "bit {bit} of byte {at}");
        }
        assert!(Saved::from_bytes(&good[..at]).is_err(), "cut at {at}");
    }
    assert!(refused(&[&good[..], b"x"].concat()).contains("checksum"));
    assert!(refused(b"").contains("not written by this version"));
}

#[test]
fn a_field_that_is_not_known_is_refused() {
    // Field 9, a varint, with a checksum that is right.
    let body = [saved().encode_to_vec(), vec![9 << 3, 1]].concat();
    let bytes = [MAGIC, digest(&SHA256, &body).as_ref(), &body].concat();
    assert!(refused(&bytes).contains("not written by this version"));
}

#[test]
fn another_pods_file_is_refused() {
    let other = Saved { pod_uid: "7b".into(), ..saved() };
    assert_eq!(refused(&other.to_bytes()), "it is of the pod with uid \"7b\"");
}

#[test]
fn a_file_is_good_up_to_its_age_and_no_longer() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("snapshot");
    fs::write(&path, saved().to_bytes()).unwrap();
    let slack = Duration::from_secs(30);
    let now = SystemTime::now();
    let dated = |time| {
        File::options().write(true).open(&path).unwrap().set_modified(time).unwrap();
        load(&path, "7a", DAY).map_err(|why| why.to_string())
    };
    assert!(dated(now - DAY + slack).is_ok());
    assert!(dated(now - DAY - slack).unwrap_err().contains("more than 86400 s"));
    assert!(dated(now + CLOCK_STEP - slack).is_ok());
    assert!(dated(now + CLOCK_STEP + slack).unwrap_err().contains("ahead of the clock"));
    file::touch(&path).unwrap();
    assert!(load(&path, "7a", DAY).is_ok());
}

#[test]
fn a_file_is_read_up_to_its_cap_and_not_beyond() {
    let with = |length: usize| {
        let mut large = Saved { services: Some(saved().hosts), ..saved() };
        large.policies.nonce = "n".repeat(length);
        large.to_bytes()
    };
    // Two lengths in it grow with the nonce; both have their full width here.
    let room = MAX_BYTES - (with(MAX_MESSAGE_BYTES).len() - MAX_MESSAGE_BYTES);
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("snapshot");
    fs::write(&path, with(room)).unwrap();
    assert_eq!(fs::metadata(&path).unwrap().len(), u64::try_from(MAX_BYTES).unwrap());
    assert!(load(&path, "7a", DAY).is_ok());
    fs::write(&path, with(room + 1)).unwrap();
    assert!(matches!(load(&path, "7a", DAY), Err(Refusal::TooLarge)));
}

#[test]
fn a_full_disk_leaves_nothing_behind() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("snapshot");
    // `/dev/full` takes no byte, as a full disk.
    std::os::unix::fs::symlink("/dev/full", path.with_extension("tmp")).unwrap();
    let error = file::write(&path, &saved().to_bytes(), |place| place()).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::StorageFull);
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
}
