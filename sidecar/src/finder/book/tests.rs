//! Who is looked for when.

use remora_api::endpoints::Variable;
use tempfile::TempDir;

use super::*;

const UID: &str = "7a01c4de-0b5f-4c1e-9d2a-66f0a1b2c3d4";

fn endpoint(uid: &str, ips: &str) -> Endpoint {
    let pair = |(name, value): (&str, &str)| Variable { name: name.into(), value: value.into() };
    let variables = [(NAMESPACE, "shop"), (NAME, "cache"), (ADDRESSES, ips)].map(pair);
    let (namespace, name) = ("shop".into(), "cache".into());
    Endpoint { namespace, name, uid: uid.into(), variables: variables.into() }
}

#[test]
fn what_is_no_pod_is_left_out_and_hurts_nobody_else() {
    let mut book = Book::new(Vec::new());
    book.take(&[
        endpoint("../../etc/passwd", "10.0.0.7"),
        endpoint("", "10.0.0.7"),
        endpoint("00000000-1111-2222-3333-444444444444", "10.0.0.7,nonsense"),
        endpoint("00000000-1111-2222-3333-444444444445", ""),
        endpoint(UID, "10.0.0.7,fd00::7"),
    ]);
    assert_eq!((book.0.len(), book.has(UID)), (1, true));
    assert_eq!(book.0.get(UID).unwrap().name(), "shop/cache");
}

#[test]
fn who_is_not_found_is_looked_for_ever_more_seldom_and_who_is_new_at_once() {
    let dir = TempDir::new().unwrap();
    let mut folder = Folder::open(dir.path().to_owned(), None, BTreeMap::new()).unwrap();
    let search = Search::new();
    let mut book = Book::new(Vec::new());
    let mut now = Instant::now();
    assert_eq!(book.look(&search, &mut folder, now).unwrap(), Duration::MAX, "nobody is missing");
    // An address of documentation, which no network has.
    book.take(&[endpoint(UID, "198.51.100.7")]);
    let mut pauses = Vec::new();
    for _ in 0..9 {
        let pause = book.look(&search, &mut folder, now).unwrap();
        pauses.push(pause.as_millis());
        now += pause;
    }
    assert_eq!(pauses, [50, 100, 200, 400, 800, 1600, 3200, 5000, 5000]);
    // What it was told before does not count for what it is told now.
    book.take(&[endpoint(UID, "198.51.100.8")]);
    assert!(book.0.get(UID).unwrap().is_due(now));
}
