//! Tests on real files that are written, renamed, held open and deleted.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::fs::symlink;
use std::sync::mpsc;
use std::sync::mpsc::Receiver;

use super::*;

/// How long a condition may take to come true.
const PATIENCE: Duration = Duration::from_secs(5);

/// A directory that is being watched.
struct Scene {
    folder: tempfile::TempDir,
    manifests: Receiver<Manifests>,
    last: Manifests,
    watch: Option<Watch>,
}

impl Scene {
    fn new(files: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        for (name, text) in files {
            fs::write(folder.path().join(name), text).expect("written");
        }
        let (sender, manifests) = mpsc::channel();
        let watch = Watch::start(folder.path(), move |now| drop(sender.send(now)));
        let watch = Some(watch.expect("watching"));
        let mut scene = Self { folder, manifests, last: Manifests::default(), watch };
        scene.last = scene.manifests.recv_timeout(PATIENCE).expect("a first scan");
        scene
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).expect("written");
    }

    /// Waits until the directory says this.
    fn await_that(&mut self, what: &str, is_so: impl Fn(&Manifests) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !is_so(&self.last) {
            let left = deadline.saturating_duration_since(Instant::now());
            let Ok(next) = self.manifests.recv_timeout(left) else {
                panic!("{what}: never came true: {:?}", names(&self.last))
            };
            self.last = next;
        }
    }

    fn await_names(&mut self, expected: &[&str]) {
        self.await_that(&format!("{expected:?}"), |now| names(now) == expected);
    }

    /// Waits until everything up to now has been seen, by a file of its own.
    fn await_scan(&mut self) {
        let mark = format!("z{}", self.folder.path().read_dir().expect("a listing").count());
        fs::write(self.path(&format!("{mark}.yaml")), pod(&mark)).expect("written");
        self.await_that("a mark", |now| names(now).contains(&mark));
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        if let Some(watch) = self.watch.take() {
            watch.stop();
        }
    }
}

fn pod(name: &str) -> String {
    format!("apiVersion: v1\nkind: Pod\nmetadata: {{name: {name}}}\nspec: {{}}\n")
}

/// The names of all documents, in order.
fn names(manifests: &Manifests) -> Vec<String> {
    let name = |document: &Document| {
        let metadata = document.node.get("metadata")?;
        Some(metadata.get("name")?.as_str()?.to_owned())
    };
    manifests.documents.iter().filter_map(name).collect()
}

#[test]
fn only_manifests_count_in_the_order_of_their_names() {
    let scene = Scene::new(&[
        ("b.yml", &pod("b")),
        ("c.json", r#"{"kind":"Pod","metadata":{"name":"c"}}"#),
        ("a.yaml", &format!("{}---\n{}", pod("a1"), pod("a2"))),
        (".hidden.yaml", &pod("no")),
        ("d.yaml~", &pod("no")),
        (".d.yaml.swp", &pod("no")),
        ("d.yaml.tmp", &pod("no")),
        ("README.md", "no"),
    ]);
    assert_eq!(names(&scene.last), ["a1", "a2", "b", "c"]);
}

#[test]
fn creation_rename_rewriting_and_deletion_are_seen() {
    let mut scene = Scene::new(&[]);
    scene.write("a.yaml", &pod("one"));
    scene.await_names(&["one"]);
    scene.write("a.tmp", &pod("two"));
    fs::rename(scene.path("a.tmp"), scene.path("a.yaml")).expect("renamed");
    scene.await_names(&["two"]);
    scene.write("a.yaml", &pod("six"));
    scene.await_names(&["six"]);
    fs::rename(scene.path("a.yaml"), scene.path("b.yaml")).expect("renamed");
    scene.await_that("the new name", |now| {
        let place = |d: &Document| d.node.location.file_and_line().to_string();
        names(now) == ["six"] && now.documents.iter().all(|d| place(d).ends_with("b.yaml:1"))
    });
    fs::remove_file(scene.path("b.yaml")).expect("removed");
    scene.await_names(&[]);
}

#[test]
fn a_file_that_is_being_written_is_left_alone_until_it_is_closed() {
    let mut scene = Scene::new(&[("a.yaml", &format!("{}---\n{}", pod("one"), pod("two")))]);
    let mut writer = OpenOptions::new();
    let mut file = writer.write(true).truncate(true).open(scene.path("a.yaml")).expect("truncated");
    scene.await_scan();
    assert_eq!(names(&scene.last)[..2], ["one", "two"], "truncated");
    file.write_all(pod("three").as_bytes()).expect("written");
    scene.await_scan();
    assert_eq!(names(&scene.last)[..2], ["one", "two"], "half-written, though it could be read");
    file.write_all(format!("---\n{}", pod("four")).as_bytes()).expect("written");
    drop(file);
    scene.await_that("closed", |now| names(now).starts_with(&["three".into(), "four".into()]));
}

#[test]
fn a_new_file_is_not_read_before_it_is_closed() {
    let mut scene = Scene::new(&[]);
    let mut file = fs::File::create(scene.path("a.yaml")).expect("created");
    scene.await_scan();
    file.write_all(b"apiVersion: cilium.io/v2\nkind: Cil").expect("written");
    scene.await_scan();
    assert!(scene.last.unreadable.is_empty());
    drop(file);
    scene.await_that("closed", |now| now.unreadable.len() == 1);
}

#[test]
fn an_empty_or_broken_file_keeps_its_last_good_documents() {
    let mut scene = Scene::new(&[("a.yaml", &pod("one"))]);
    for broken in ["", "# nothing\n", "kind: [", "kind: Pod\n---\n- no\n", "a\u{0}b"] {
        scene.write("a.yaml", broken);
        scene.await_scan();
        assert_eq!(names(&scene.last)[0], "one", "{broken:?}");
        assert!(scene.last.unreadable.is_empty());
    }
    scene.write("a.yaml", &pod("two"));
    scene.await_that("mended", |now| names(now)[0] == "two");
}

#[test]
fn a_file_that_never_was_good_closes_what_it_may_mean() {
    let broken = "kind: L7Policy\nmetadata: {namespace: shop}\nspec: [\n";
    let mut scene = Scene::new(&[("a.yaml", broken), ("b.yaml", &pod("b"))]);
    assert_eq!(names(&scene.last), ["b"], "the others are served");
    let unreadable = &scene.last.unreadable[0];
    assert!(unreadable.error.contains("a.yaml:"), "{}", unreadable.error);
    assert_eq!(unreadable.scope, Scope::Namespaces(["shop".to_owned()].into()));
    scene.write("a.yaml", "kind: L7Policy\nmetadata: {}\nspec: [\n");
    let default = Scope::Namespaces(["default".to_owned()].into());
    scene.await_that("another", |now| now.unreadable[0].scope == default);
    fs::remove_file(scene.path("a.yaml")).expect("removed");
    scene.await_that("removed", |now| now.unreadable.is_empty());
}

#[test]
fn a_misspelt_policy_is_not_overlooked() {
    for (name, text) in [
        ("kind", "apiVersion: cilium.io/v2\nkind: CiliumNetworkPolcy\n"),
        ("none", "apiVersion: cilium.io/v2\n"),
    ] {
        let scene = Scene::new(&[("a.yaml", text)]);
        let scope = scene.last.unreadable.first().map(|own| own.scope.clone());
        assert_eq!(scope, Some(Scope::Namespaces(["default".to_owned()].into())), "{name}");
    }
}

#[test]
fn a_file_without_permission_text_or_end_does_not_stop_the_others() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| folder.path().join(name);
    fs::write(path("b.yaml"), pod("b")).expect("written");
    fs::write(path("latin.yaml"), b"name: \xe9").expect("written");
    fs::create_dir(path("folder.yaml")).expect("made");
    symlink("nowhere", path("dangling.yaml")).expect("linked");
    rustix::fs::mknodat(
        rustix::fs::CWD,
        path("pipe.yaml"),
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::RUSR,
        0,
    )
    .expect("made");
    let (sender, manifests) = mpsc::channel();
    let watch = Watch::start(folder.path(), move |now| drop(sender.send(now))).expect("watching");
    let now: Manifests = manifests.recv_timeout(PATIENCE).expect("a scan");
    watch.stop();
    assert_eq!(names(&now), ["b"]);
    let told: Vec<_> = now.unreadable.iter().map(|own| own.error.as_str()).collect();
    assert_eq!(told.len(), 3, "{told:?}");
    assert!(told[0].contains("dangling.yaml:1: cannot be read: No such file"), "{told:?}");
    assert!(told[1].contains("latin.yaml:1:7: the text is not UTF-8"), "{told:?}");
    assert!(told[2].contains("pipe.yaml:1: cannot be read: it is no regular file"), "{told:?}");
}

#[test]
fn links_of_a_config_map_are_followed_when_they_are_switched() {
    let mut scene = Scene::new(&[]);
    for (version, name) in [("..v1", "one"), ("..v2", "two")] {
        fs::create_dir(scene.path(version)).expect("made");
        fs::write(scene.path(version).join("a.yaml"), pod(name)).expect("written");
    }
    symlink("..v1", scene.path("..data")).expect("linked");
    symlink("..data/a.yaml", scene.path("a.yaml")).expect("linked");
    scene.await_names(&["one"]);
    symlink("..v2", scene.path("..data_tmp")).expect("linked");
    fs::rename(scene.path("..data_tmp"), scene.path("..data")).expect("switched");
    scene.await_names(&["two"]);
}

#[test]
fn a_directory_that_goes_away_leaves_everything_as_it_was_until_it_is_back() {
    let parent = tempfile::tempdir().expect("a folder");
    let (path, away) = (parent.path().join("dir"), parent.path().join("away"));
    fs::create_dir(&path).expect("made");
    fs::write(path.join("a.yaml"), pod("one")).expect("written");
    let (sender, manifests) = mpsc::channel();
    let watch = Watch::start(&path, move |now| drop(sender.send(now))).expect("watching");
    let first: Manifests = manifests.recv_timeout(PATIENCE).expect("a scan");
    assert_eq!(names(&first), ["one"]);
    fs::rename(&path, &away).expect("moved");
    fs::create_dir(&path).expect("made");
    fs::write(path.join("a.yaml"), pod("two")).expect("written");
    let second: Manifests = manifests.recv_timeout(PATIENCE).expect("a scan");
    assert_eq!(names(&second), ["two"], "nothing came between");
    watch.stop();
}

#[test]
fn a_list_counts_as_its_items() {
    let list = "kind: List\nitems:\n- {kind: Pod, metadata: {name: a}}\n- {kind: Pod, metadata: {name: b}}\n";
    assert_eq!(names(&Scene::new(&[("list.yaml", list)]).last), ["a", "b"]);
}
