//! What is no certificate is refused, and the message says where it stands.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use base64::Engine;
use proptest::prelude::*;
use remora_certs::{
    Authority, Bundle, Ca, Error, MAX_BUNDLE_BYTES, MAX_CERTIFICATES, Schedule, client_config,
};

fn ca() -> Ca {
    Ca::generate(SystemTime::now(), Duration::from_secs(3600)).expect("a CA")
}

/// The refusal, which names its place.
fn refusal<T: std::fmt::Debug>(outcome: Result<T, Error>, place: &str) -> String {
    let text = outcome.expect_err("a refusal").to_string();
    assert!(text.starts_with(place), "{text}");
    text
}

#[test]
fn a_file_that_is_no_bundle_is_named() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("ca.crt");
    let place = path.display().to_string();
    assert!(refusal(Bundle::read(&path), &place).contains("is mounted"), "missing");
    assert!(refusal(Bundle::read(folder.path()), &folder.path().display().to_string()).len() > 10);

    let one = ca().certificate().to_owned();
    let key = ca().key();
    let noise = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    let cut = one.get(..one.len() / 2).expect("ASCII");
    let cases: [(&str, String); 8] = [
        ("nothing", String::new()),
        ("no PEM", "hello\n".repeat(20)),
        ("a key alone", key),
        ("no certificate in it", noise.to_owned()),
        ("a good one and a bad one", format!("{one}{noise}")),
        ("cut short", cut.to_owned()),
        ("too many", one.repeat(MAX_CERTIFICATES + 1)),
        ("too long", format!("{one}{}", "\n".repeat(MAX_BUNDLE_BYTES))),
    ];
    for (what, text) in cases {
        std::fs::write(&path, text).expect("written");
        let text = refusal(Bundle::read(&path), &place);
        assert!(text.contains("; put back what the agent wrote"), "{what}: {text}");
    }
    std::fs::write(&path, one.repeat(MAX_CERTIFICATES)).expect("written");
    let most = Bundle::read(&path).expect("the most that is allowed");
    assert_eq!(most.count(), MAX_CERTIFICATES);
    client_config(&most).expect("a configuration");
}

#[test]
fn fields_that_are_no_authority_are_named_and_show_no_key() {
    let schedule = Schedule::default();
    let authority = Authority::generate(SystemTime::now(), &schedule).expect("a CA");
    let good = authority.to_fields();
    let secret = authority.active().key();
    let middle = secret.lines().nth(1).expect("a line of the key").to_owned();
    let with = |name: &str, value: Option<&[u8]>| {
        let mut fields: BTreeMap<String, Vec<u8>> = good.clone();
        match value {
            Some(value) => drop(fields.insert(name.to_owned(), value.to_vec())),
            None => drop(fields.remove(name)),
        }
        Authority::from_fields(&fields, "secret remora/remora-ca")
    };
    let other = ca();
    let broken_key = secret.replace("-----BEGIN", "-----BEGUN");
    let cases: [(&str, Option<&[u8]>); 10] = [
        ("ca.crt", None),
        ("ca.key", None),
        ("ca.crt", Some(b"\xff\xfe")),
        ("ca.crt", Some(b"garbage")),
        ("ca.key", Some(b"garbage")),
        ("ca.key", Some(broken_key.as_bytes())),
        ("ca.key", Some(b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n")),
        ("ca.crt", Some(other.certificate().as_bytes())),
        ("next.crt", Some(other.certificate().as_bytes())),
        ("old.crt", Some(b"garbage")),
    ];
    for (name, value) in cases {
        let text = refusal(with(name, value), "secret remora/remora-ca: ");
        assert!(text.contains(&name[..3]) && !text.contains(&middle), "{name}: {text}");
    }
    for until in [None, Some(&b"soon"[..]), Some(b"-1"), Some(b"99999999999999999999")] {
        let mut fields = good.clone();
        fields.insert("old.crt".to_owned(), other.certificate().as_bytes().to_vec());
        fields.extend(until.map(|until| ("old.until".to_owned(), until.to_vec())));
        refusal(Authority::from_fields(&fields, "s"), "s: old.until");
    }
}

#[test]
fn a_leaf_is_no_authority() {
    let names = ["remora-agent.remora.svc".to_owned()];
    let now = SystemTime::now();
    let leaf = ca().issue(&names, now, Duration::from_secs(60)).expect("a leaf");
    let certified = leaf.certified();
    let der = certified.cert.first().expect("a certificate");
    let pem = pem_of(der);
    refusal(Ca::parse(&pem, &ca().key(), "s"), "s: ");
    let refused = ca().issue(&["caf\u{e9}".to_owned()], now, Duration::from_secs(60));
    refusal(refused, "making a server's certificate: ");
}

fn pem_of(der: &[u8]) -> String {
    let text = base64::engine::general_purpose::STANDARD.encode(der);
    format!("-----BEGIN CERTIFICATE-----\n{text}\n-----END CERTIFICATE-----\n")
}

proptest! {
    #[test]
    fn bytes_that_were_changed_never_panic(at in 0_usize..2000, byte: u8, cut in 0_usize..2000) {
        let authority = Authority::generate(
            SystemTime::UNIX_EPOCH + Duration::from_secs(1_900_000_000), &Schedule::default(),
        ).expect("a CA");
        let mut fields = authority.to_fields();
        for value in fields.values_mut() {
            let length = value.len();
            value[at % length] = byte;
            value.truncate(length.saturating_sub(cut % 7 * 40));
        }
        if let Err(error) = Bundle::parse(&fields["bundle"], "bundle") {
            prop_assert!(error.to_string().starts_with("bundle: "));
        }
        if let Err(error) = Authority::from_fields(&fields, "secret") {
            prop_assert!(error.to_string().starts_with("secret: "), "{error}");
        }
    }

    #[test]
    fn noise_never_panics(noise: Vec<u8>) {
        prop_assert!(Bundle::parse(&noise, "x").is_err());
    }
}
