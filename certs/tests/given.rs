//! Certificates that somebody else issued, as a Secret has them.

use std::time::{Duration, SystemTime};

use remora_certs::{Ca, Given, Leaf, MAX_BUNDLE_BYTES, MAX_CERTIFICATES};

fn leaf() -> (Ca, Leaf) {
    let (now, day) = (SystemTime::now(), Duration::from_secs(86_400));
    let ca = Ca::generate(now, day * 10).expect("a CA");
    let leaf = ca.issue(&["a.svc".to_owned()], now, day).expect("a leaf");
    (ca, leaf)
}

fn refused(certificate: &str, key: &str) -> String {
    let error = Given::parse(certificate.as_bytes(), key.as_bytes(), "secret x");
    let text = error.expect_err("refused").to_string();
    assert!(text.starts_with("secret x: "), "{text}");
    assert!(!text.contains(key.lines().nth(1).unwrap_or("no key")), "a key in {text}");
    text
}

#[test]
fn a_certificate_with_its_chain_and_its_key_is_taken() {
    let (ca, leaf) = leaf();
    let chain = format!("{}{}", leaf.certificate(), ca.certificate());
    for certificate in [leaf.certificate(), &chain] {
        let given =
            Given::parse(certificate.as_bytes(), leaf.key().as_bytes(), "x").expect("taken");
        assert!(given.not_before() < SystemTime::now());
        // Certificates have whole seconds.
        let gap = leaf.not_after().duration_since(given.not_after()).expect("no later");
        assert!(gap < Duration::from_secs(1));
    }
}

#[test]
fn what_is_none_is_refused_without_showing_the_key() {
    let ((_, leaf), (_, other)) = (leaf(), leaf());
    assert!(refused("", leaf.key()).contains("none of X.509"));
    assert!(refused("x", leaf.key()).contains("none of X.509"));
    assert!(refused(leaf.certificate(), "").contains("no private key"));
    assert!(refused(leaf.certificate(), leaf.certificate()).contains("no private key"));
    assert!(refused(leaf.certificate(), other.key()).contains("the key is not the certificate's"));
}

#[test]
fn chains_at_the_caps_and_one_beyond() {
    let (_, leaf) = leaf();
    let chain = leaf.certificate().repeat(MAX_CERTIFICATES);
    assert!(Given::parse(chain.as_bytes(), leaf.key().as_bytes(), "x").is_ok());
    let chain = leaf.certificate().repeat(MAX_CERTIFICATES + 1);
    assert!(refused(&chain, leaf.key()).contains("more than 16 certificates"));
    let padded = |bytes: usize| {
        let mut text = leaf.certificate().to_owned();
        text.push_str(&"\n".repeat(bytes - text.len()));
        text
    };
    assert!(Given::parse(padded(MAX_BUNDLE_BYTES).as_bytes(), leaf.key().as_bytes(), "x").is_ok());
    assert!(refused(&padded(MAX_BUNDLE_BYTES + 1), leaf.key()).contains("more than 65536 bytes"));
}
