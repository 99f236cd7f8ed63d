//! Both sides of a handshake, in memory: who reaches whom.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use remora_certs::{
    Authority, Bundle, Ca, Leaf, Phase, Schedule, Serving, client_config, server_config,
};
use rustls::{CertificateError, ClientConnection, Error, ServerConnection};
use rustls_pki_types::ServerName;

const NAME: &str = "remora-agent.remora.svc";
const DAY: Duration = Duration::from_secs(86_400);

fn names() -> Vec<String> {
    vec![NAME.to_owned()]
}

fn ca() -> Ca {
    Ca::generate(SystemTime::now(), 365 * DAY).expect("a CA")
}

fn bundle(pem: &str) -> Bundle {
    Bundle::parse(pem.as_bytes(), "test").expect("a bundle")
}

fn serving(leaf: &Leaf) -> Arc<Serving> {
    let serving = Arc::new(Serving::default());
    serving.set(leaf.certified());
    serving
}

/// What each side makes of the handshake, and what the client's app could send.
fn shake(serving: &Arc<Serving>, bundle: &Bundle, name: &str) -> Result<(), Error> {
    let server = server_config(Arc::clone(serving)).expect("a server");
    let mut server = ServerConnection::new(server).expect("a connection");
    let name = ServerName::try_from(name.to_owned()).expect("a name");
    let mut client = ClientConnection::new(client_config(bundle).expect("a client"), name)
        .expect("a connection");
    while client.is_handshaking() || server.is_handshaking() {
        let mut bytes = Vec::new();
        client.write_tls(&mut bytes).expect("written");
        server.read_tls(&mut bytes.as_slice()).expect("read");
        let heard = server.process_new_packets();
        let mut bytes = Vec::new();
        server.write_tls(&mut bytes).expect("written");
        client.read_tls(&mut bytes.as_slice()).expect("read");
        client.process_new_packets()?;
        heard?;
    }
    assert_eq!(client.protocol_version(), Some(rustls::ProtocolVersion::TLSv1_3));
    assert_eq!(client.alpn_protocol(), Some(&b"h2"[..]));
    Ok(())
}

#[test]
fn a_server_of_the_bundles_ca_and_name_is_reached() {
    let ca = ca();
    let leaf = ca.issue(&names(), SystemTime::now(), DAY).expect("a leaf");
    assert_eq!(shake(&serving(&leaf), &bundle(ca.certificate()), NAME), Ok(()));
}

#[test]
fn another_ca_is_refused() {
    let leaf = ca().issue(&names(), SystemTime::now(), DAY).expect("a leaf");
    let refused = shake(&serving(&leaf), &bundle(ca().certificate()), NAME);
    assert_eq!(refused, Err(Error::InvalidCertificate(CertificateError::UnknownIssuer)));
}

#[test]
fn another_ca_of_the_same_name_is_refused() {
    let now = SystemTime::now();
    let (one, two) = (Ca::generate(now, DAY).expect("a CA"), Ca::generate(now, DAY).expect("a CA"));
    let leaf = one.issue(&names(), now, DAY).expect("a leaf");
    assert!(shake(&serving(&leaf), &bundle(two.certificate()), NAME).is_err());
    let both = bundle(&format!("{}{}", two.certificate(), one.certificate()));
    assert_eq!(shake(&serving(&leaf), &both, NAME), Ok(()));
}

#[test]
fn another_name_is_refused() {
    let ca = ca();
    let leaf = ca.issue(&names(), SystemTime::now(), DAY).expect("a leaf");
    for name in ["remora-agent.other.svc", "svc", "127.0.0.1"] {
        let refused = shake(&serving(&leaf), &bundle(ca.certificate()), name);
        assert!(matches!(refused, Err(Error::InvalidCertificate(_))), "{name}: {refused:?}");
    }
}

#[test]
fn an_expired_certificate_and_one_from_the_future_are_refused() {
    let now = SystemTime::now();
    let ca = Ca::generate(now - 10 * DAY, 365 * DAY).expect("a CA");
    for issued in [now - 2 * DAY, now + DAY] {
        let leaf = ca.issue(&names(), issued, DAY).expect("a leaf");
        let refused = shake(&serving(&leaf), &bundle(ca.certificate()), NAME);
        assert!(matches!(refused, Err(Error::InvalidCertificate(_))), "{refused:?}");
    }
}

#[test]
fn a_server_without_a_certificate_is_refused() {
    let serving = Arc::new(Serving::default());
    assert!(!serving.is_set());
    assert!(shake(&serving, &bundle(ca().certificate()), NAME).is_err());
}

#[test]
fn a_leaf_signs_nothing() {
    let ca = ca();
    let now = SystemTime::now();
    let outer = ca.issue(&names(), now, DAY).expect("a leaf");
    // Trusting a leaf as if it were a root does not make its siblings good.
    let inner = Ca::generate(now, DAY).expect("a CA").issue(&names(), now, DAY).expect("a leaf");
    let mut chain = inner.certified().cert.clone();
    chain.extend(outer.certified().cert.clone());
    let forged = rustls::sign::CertifiedKey::new(chain, Arc::clone(&inner.certified().key));
    let serving = Arc::new(Serving::default());
    serving.set(Arc::new(forged));
    assert!(shake(&serving, &bundle(ca.certificate()), NAME).is_err());
}

#[test]
fn the_next_handshake_shows_the_certificate_that_was_set_last() {
    let (one, two) = (ca(), ca());
    let now = SystemTime::now();
    let serving = serving(&one.issue(&names(), now, DAY).expect("a leaf"));
    assert_eq!(shake(&serving, &bundle(one.certificate()), NAME), Ok(()));
    serving.set(two.issue(&names(), now, DAY).expect("a leaf").certified());
    assert!(shake(&serving, &bundle(one.certificate()), NAME).is_err());
    assert_eq!(shake(&serving, &bundle(two.certificate()), NAME), Ok(()));
    serving.clear();
    assert!(shake(&serving, &bundle(two.certificate()), NAME).is_err());
}

#[test]
fn a_client_that_rereads_its_bundle_outlives_two_rotations() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("ca.crt");
    let schedule = Schedule::default();
    // Two whole rotations fit before now, so that the last leaf counts today.
    let mut now = SystemTime::now() - 600 * DAY;
    let mut authority = Authority::generate(now, &schedule).expect("a CA");
    std::fs::write(&path, authority.bundle()).expect("written");
    let born_with = Bundle::read(&path).expect("a bundle");
    let mut rotations = 0;
    while now < SystemTime::now() {
        if authority.step(now, &schedule).expect("a step") {
            std::fs::write(&path, authority.bundle()).expect("written");
            authority.mark_published(now);
            rotations += usize::from(matches!(authority.phase(), Phase::Retiring { .. }));
        }
        // At every moment, who has read the file of that moment knows the signer.
        assert!(authority.bundle().contains(authority.active().certificate()));
        now += DAY / 4;
    }
    assert_eq!(rotations, 2);
    let leaf = authority.issue(&names(), SystemTime::now(), &schedule).expect("a leaf");
    let refused = shake(&serving(&leaf), &born_with, NAME);
    assert_eq!(refused, Err(Error::InvalidCertificate(CertificateError::UnknownIssuer)));
    let reread = Bundle::read(&path).expect("a bundle");
    assert_ne!(reread, born_with);
    assert_eq!(shake(&serving(&leaf), &reread, NAME), Ok(()));
}

/// The bundle before each step, too: a client may read it late.
#[test]
fn a_client_one_step_behind_is_not_left_behind() {
    let schedule = Schedule::default();
    let start = SystemTime::now() - 300 * DAY;
    let mut authority = Authority::generate(start, &schedule).expect("a CA");
    let mut before = authority.bundle();
    let mut now = start;
    while now < SystemTime::now() {
        if authority.step(now, &schedule).expect("a step") {
            let signer = authority.active().certificate();
            assert!(before.contains(signer), "the signer was announced");
            authority.mark_published(now);
            before = authority.bundle();
        }
        now += DAY / 4;
    }
    assert_eq!(before.matches("BEGIN").count(), 1, "one rotation, and it is over");
}
