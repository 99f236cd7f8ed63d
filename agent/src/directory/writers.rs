//! Which files are being written, as the kernel tells it.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::path::Path;
use std::time::{Duration, Instant};

use notify::event::{AccessKind, AccessMode, Event, EventKind, ModifyKind, RenameMode};

/// How long a file that was created but not written to counts as being
/// written: a hard link or `O_TMPFILE` brings a file that nobody will close.
pub(crate) const QUIET: Duration = Duration::from_secs(1);

/// What an event means for the directory.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Observed {
    /// Nothing: somebody looked.
    Nothing,
    /// These entries changed.
    Touched(Vec<OsString>),
    /// Events were lost: anything may have changed.
    Lost,
    /// The directory itself was moved or removed.
    Gone,
}

/// The files that somebody holds open for writing.
#[derive(Debug, Default)]
pub(crate) struct Writers(BTreeMap<OsString, Writing>);

#[derive(Debug, Clone, Copy)]
struct Writing {
    /// The last event about it.
    last: Instant,
    /// Whether it was written to: then only its closing ends the wait, since
    /// the kernel reports that whatever becomes of the writer.
    modified: bool,
    reported: bool,
}

impl Writers {
    /// Takes note of an event in `directory`.
    pub(crate) fn observe(&mut self, directory: &Path, event: &Event, now: Instant) -> Observed {
        if event.need_rescan() {
            self.0.clear();
            return Observed::Lost;
        }
        if event.paths.iter().any(|path| path == directory) {
            let is_gone = event.kind.is_remove()
                || matches!(event.kind, EventKind::Modify(ModifyKind::Name(_)));
            return if is_gone { Observed::Gone } else { Observed::Nothing };
        }
        let names: Vec<OsString> =
            event.paths.iter().filter_map(|path| path.file_name()).map(OsStr::to_owned).collect();
        match event.kind {
            EventKind::Access(AccessKind::Close(AccessMode::Write))
            | EventKind::Remove(_)
            | EventKind::Modify(ModifyKind::Name(RenameMode::To)) => self.forget(&names),
            EventKind::Access(_) => return Observed::Nothing,
            EventKind::Create(_) => self.created(directory, &names, now),
            EventKind::Modify(ModifyKind::Data(_)) => self.begin(&names, true, now),
            EventKind::Modify(ModifyKind::Name(RenameMode::Both)) => self.renamed(&names),
            _ => {}
        }
        Observed::Touched(names)
    }

    /// Whether reading this file now might show half of it.
    pub(crate) fn is_busy(&self, name: &OsStr, now: Instant) -> bool {
        self.0
            .get(name)
            .is_some_and(|writing| writing.modified || now.duration_since(writing.last) < QUIET)
    }

    /// The files that have been held open for longer than [`QUIET`], each told once.
    pub(crate) fn overdue(&mut self, now: Instant) -> Vec<OsString> {
        let late = |writing: &Writing| {
            writing.modified && !writing.reported && now.duration_since(writing.last) >= QUIET
        };
        let mut names = Vec::new();
        for (name, writing) in self.0.iter_mut().filter(|(_, writing)| late(writing)) {
            writing.reported = true;
            names.push(name.clone());
        }
        names
    }

    /// When the directory is to be looked at again though nothing happens.
    pub(crate) fn next(&self) -> Option<Instant> {
        self.0.values().filter(|writing| !writing.reported).map(|w| w.last + QUIET).min()
    }

    /// Drops files that `keep` does not name, and those whose wait is over.
    pub(crate) fn retain(&mut self, now: Instant, keep: impl Fn(&OsStr) -> bool) {
        self.0.retain(|name, writing| {
            keep(name) && (writing.modified || now.duration_since(writing.last) < QUIET)
        });
    }

    fn created(&mut self, directory: &Path, names: &[OsString], now: Instant) {
        // Links and folders are whole from the start.
        let is_file = |name: &&OsString| {
            directory.join(name).symlink_metadata().is_ok_and(|found| found.is_file())
        };
        let files: Vec<_> = names.iter().filter(is_file).cloned().collect();
        self.begin(&files, false, now);
    }

    fn begin(&mut self, names: &[OsString], modified: bool, now: Instant) {
        for name in names {
            let known = self.0.get(name).copied();
            let modified = modified || known.is_some_and(|writing| writing.modified);
            let reported = known.is_some_and(|writing| writing.reported);
            self.0.insert(name.clone(), Writing { last: now, modified, reported });
        }
    }

    /// A writer keeps its file through a rename.
    fn renamed(&mut self, names: &[OsString]) {
        if let [from, to] = names
            && let Some(writing) = self.0.remove(from)
        {
            self.0.insert(to.clone(), writing);
        }
    }

    fn forget(&mut self, names: &[OsString]) {
        for name in names {
            self.0.remove(name);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use notify::event::{CreateKind, DataChange, Flag};

    use super::*;

    const DATA: EventKind = EventKind::Modify(ModifyKind::Data(DataChange::Any));
    const CLOSE: EventKind = EventKind::Access(AccessKind::Close(AccessMode::Write));

    struct Scene {
        directory: tempfile::TempDir,
        writers: Writers,
        now: Instant,
    }

    impl Scene {
        fn new() -> Self {
            let directory = tempfile::tempdir().expect("a directory");
            Self { directory, writers: Writers::default(), now: Instant::now() }
        }

        fn path(&self, name: &str) -> PathBuf {
            self.directory.path().join(name)
        }

        fn see(&mut self, kind: EventKind, names: &[&str]) -> Observed {
            let event =
                names.iter().fold(Event::new(kind), |event, name| event.add_path(self.path(name)));
            self.writers.observe(self.directory.path(), &event, self.now)
        }

        fn is_busy(&self, name: &str) -> bool {
            self.writers.is_busy(OsStr::new(name), self.now)
        }
    }

    #[test]
    fn a_file_is_busy_from_its_first_write_until_it_is_closed() {
        let mut scene = Scene::new();
        assert_eq!(scene.see(DATA, &["a"]), Observed::Touched(vec!["a".into()]));
        assert!(scene.is_busy("a") && !scene.is_busy("b"));
        scene.now += QUIET * 100;
        assert!(scene.is_busy("a"), "a slow writer is waited for");
        scene.see(CLOSE, &["a"]);
        assert!(!scene.is_busy("a"));
    }

    #[test]
    fn a_slow_writer_is_told_once() {
        let mut scene = Scene::new();
        scene.see(DATA, &["a"]);
        assert!(scene.writers.overdue(scene.now).is_empty());
        assert_eq!(scene.writers.next(), Some(scene.now + QUIET));
        scene.now += QUIET;
        assert_eq!(scene.writers.overdue(scene.now), [OsString::from("a")]);
        assert!(scene.writers.overdue(scene.now).is_empty());
        assert_eq!(scene.writers.next(), None);
    }

    #[test]
    fn a_created_file_that_nobody_writes_to_is_busy_for_a_second() {
        let mut scene = Scene::new();
        std::fs::write(scene.path("a"), "x").expect("written");
        std::os::unix::fs::symlink("a", scene.path("link")).expect("linked");
        scene.see(EventKind::Create(CreateKind::File), &["a"]);
        scene.see(EventKind::Create(CreateKind::File), &["link"]);
        assert!(scene.is_busy("a") && !scene.is_busy("link"));
        scene.now += QUIET;
        assert!(!scene.is_busy("a"));
    }

    #[test]
    fn a_writer_keeps_its_file_through_a_rename() {
        let mut scene = Scene::new();
        scene.see(DATA, &["a"]);
        scene.see(EventKind::Modify(ModifyKind::Name(RenameMode::Both)), &["a", "b"]);
        assert!(!scene.is_busy("a") && scene.is_busy("b"));
        scene.see(EventKind::Modify(ModifyKind::Name(RenameMode::To)), &["b"]);
        assert!(!scene.is_busy("b"), "a whole file took its place");
    }

    #[test]
    fn looking_is_nothing_and_lost_events_are_everything() {
        let mut scene = Scene::new();
        let open = EventKind::Access(AccessKind::Open(AccessMode::Any));
        assert_eq!(scene.see(open, &["a"]), Observed::Nothing);
        scene.see(DATA, &["a"]);
        let lost = Event::new(EventKind::Other).set_flag(Flag::Rescan);
        let observed = scene.writers.observe(scene.directory.path(), &lost, scene.now);
        assert_eq!(observed, Observed::Lost);
        assert!(!scene.is_busy("a"), "its closing may have been among them");
        let removed = Event::new(EventKind::Remove(notify::event::RemoveKind::Folder))
            .add_path(scene.directory.path().to_owned());
        let observed = scene.writers.observe(scene.directory.path(), &removed, scene.now);
        assert_eq!(observed, Observed::Gone);
    }
}
