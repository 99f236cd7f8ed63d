//! When what is due, and what the Secret keeps of it.

use super::*;

const SCHEDULE: Schedule = Schedule {
    ca_life: Duration::from_secs(900_000),
    leaf_life: Duration::from_secs(9000),
    grace: Duration::from_secs(600),
};

fn at(seconds: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_900_000_000 + seconds)
}

fn step(authority: &mut Authority, seconds: u64) -> bool {
    authority.step(at(seconds), &SCHEDULE).expect("a step")
}

fn certificates(authority: &Authority) -> usize {
    authority.bundle().matches("BEGIN CERTIFICATE").count()
}

/// To the Secret and back, as the next leader finds it.
fn reread(authority: &Authority) -> Authority {
    let again = Authority::from_fields(&authority.to_fields(), "a Secret").expect("fields");
    assert_eq!(again.to_fields(), authority.to_fields());
    again
}

#[test]
fn a_new_ca_signs_only_after_its_bundle_was_out_for_the_grace() {
    let mut authority = Authority::generate(at(0), &SCHEDULE).expect("a CA");
    let first = authority.active().certificate().to_owned();
    assert!(!step(&mut authority, 599_999));
    assert_eq!(certificates(&authority), 1);

    assert!(step(&mut authority, 600_000));
    assert_eq!(certificates(&authority), 2);
    let mut authority = reread(&authority);
    assert!(!step(&mut authority, 700_000), "it was never published");
    assert_eq!(authority.active().certificate(), first);

    assert!(authority.mark_published(at(700_000)));
    assert!(!authority.mark_published(at(700_500)), "known already");
    let mut authority = reread(&authority);
    assert!(!step(&mut authority, 700_599));
    assert_eq!(authority.active().certificate(), first);
    assert!(step(&mut authority, 700_600));
    assert_ne!(authority.active().certificate(), first);
    assert!(authority.bundle().contains(&first), "its leaves still count");

    let mut authority = reread(&authority);
    assert!(!authority.mark_published(at(700_700)), "nothing waits for it");
    assert!(!step(&mut authority, 710_199));
    assert!(step(&mut authority, 710_200));
    assert!(!authority.bundle().contains(&first));
    assert!(!step(&mut reread(&authority), 710_300));
}

#[test]
fn a_bundle_that_cannot_be_published_stops_the_rotation_but_not_for_ever() {
    let mut authority = Authority::generate(at(0), &SCHEDULE).expect("a CA");
    let end = 900_000 - 9000;
    assert!(step(&mut authority, 600_000));
    assert!(!step(&mut authority, end - 1));
    assert!(step(&mut authority, end));
    assert!(matches!(authority.phase(), Phase::Retiring { .. }));
}

#[test]
fn a_ca_that_nobody_renewed_is_replaced_at_once() {
    let mut authority = Authority::generate(at(0), &SCHEDULE).expect("a CA");
    assert!(step(&mut authority, 2_000_000));
    assert_eq!(certificates(&authority), 2);
    let names = ["a.example".to_owned()];
    let leaf = authority.issue(&names, at(2_000_000), &SCHEDULE).expect("a leaf");
    assert_eq!(leaf.not_after(), at(2_009_000));
}

#[test]
fn a_leaf_is_renewed_at_two_thirds_and_ends_with_its_ca() {
    let authority = Authority::generate(at(0), &SCHEDULE).expect("a CA");
    let names = ["a.example".to_owned()];
    let leaf = authority.issue(&names, at(100), &SCHEDULE).expect("a leaf");
    assert_eq!((leaf.renew_at(), leaf.not_after()), (at(6100), at(9100)));
    let leaf = authority.issue(&names, at(899_997), &SCHEDULE).expect("a leaf");
    assert_eq!((leaf.renew_at(), leaf.not_after()), (at(899_999), at(900_000)));
    let refused = authority.issue(&names, at(900_000), &SCHEDULE).expect_err("it is over");
    assert!(refused.to_string().contains("has expired"), "{refused}");
}
