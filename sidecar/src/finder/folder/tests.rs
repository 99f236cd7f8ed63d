//! What is in the folder when.

use tempfile::TempDir;

use super::*;

const UID: &str = "7a01c4de-0b5f-4c1e-9d2a-66f0a1b2c3d4";
const OTHER: &str = "00000000-1111-2222-3333-444444444444";

fn map(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn open(root: &TempDir) -> Folder {
    let at = |name| root.path().join(name);
    let own = map(&[("REMORA_AGENT", "https://agent:16010")]);
    Folder::open(at("endpoints"), Some(at("snapshots")), own).unwrap()
}

fn names(path: &Path) -> Vec<String> {
    let mut names: Vec<_> = fs::read_dir(path)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort_unstable();
    names
}

#[test]
fn a_file_says_what_the_agent_has_told_and_how_to_reach_it() {
    let root = TempDir::new().unwrap();
    let mut folder = open(&root);
    let endpoints = root.path().join("endpoints");
    let told = map(&[
        ("REMORA_POD_NAME", "cache"),
        ("REMORA_AGENT", "unix:/evil"),
        ("REMORA_SNAPSHOT", "/x"),
    ]);
    let network = Path::new("/proc/7/ns/net");
    assert!(folder.put(UID, (network, 4711), &told).unwrap());
    assert!(!folder.put(UID, (network, 4711), &told).unwrap(), "the same is not written again");
    let path = endpoints.join(format!("{UID}.json"));
    let file: node::File = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    assert_eq!((file.network.as_path(), file.inode), (network, Some(4711)));
    let snapshot = root.path().join("snapshots").join(UID).display().to_string();
    let expected = map(&[
        ("REMORA_POD_NAME", "cache"),
        ("REMORA_AGENT", "https://agent:16010"),
        ("REMORA_SNAPSHOT", &snapshot),
    ]);
    assert_eq!(file.variables, expected, "whatever a pod would have it be");
    assert_eq!(names(&endpoints), [format!("{UID}.json")]);
    let earlier = open(&root).earlier();
    assert_eq!(earlier, [(UID.to_owned(), map(&[("REMORA_POD_NAME", "cache")]))]);
    assert!(folder.put(UID, (network, 4712), &told).unwrap(), "another network");
    folder.remove(UID).unwrap();
    folder.remove(UID).unwrap();
    assert!(names(&endpoints).is_empty());
}

#[test]
fn who_is_gone_leaves_nothing_behind() {
    let root = TempDir::new().unwrap();
    let (endpoints, snapshots) = (root.path().join("endpoints"), root.path().join("snapshots"));
    let mut folder = open(&root);
    for uid in [UID, OTHER] {
        folder.put(uid, (Path::new("/n"), 1), &BTreeMap::new()).unwrap();
        fs::write(snapshots.join(uid), "").unwrap();
    }
    fs::write(snapshots.join(format!("{OTHER}.tmp")), "").unwrap();
    assert!(!is_listed(&endpoints));
    let book = Book::new(vec![(UID.to_owned(), map(&[("REMORA_POD_IPS", "10.0.0.7")]))]);
    folder.keep_only(&book).unwrap();
    assert_eq!(names(&snapshots).len(), 3, "until the agent has told of all");
    folder.listed(&book).unwrap();
    assert!(is_listed(&endpoints));
    assert_eq!(names(&endpoints), [".listed".to_owned(), format!("{UID}.json")]);
    assert_eq!(names(&snapshots), [UID]);
    // Another run has not been told yet.
    let folder = open(&root);
    assert!(!is_listed(&endpoints));
    assert_eq!(folder.earlier(), [(UID.to_owned(), BTreeMap::new())]);
}
