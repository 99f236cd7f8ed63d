//! What sidecars said while their pods were there.

use std::{
    io::{BufRead as _, BufReader},
    process::Child,
    thread::{self, JoinHandle},
};

use crate::stage::{Stage, items};

/// Follows sidecars, since nobody can ask those of pods that are gone.
#[derive(Default)]
pub(crate) struct Journals(Vec<Journal>);

struct Journal {
    pod: String,
    kubectl: Child,
    unusual: JoinHandle<Vec<String>>,
}

impl Journals {
    /// Follows those that are there now, and were not before.
    pub(crate) fn follow(&mut self, stage: &Stage, selector: &str) {
        let pods = ["pods", "--selector", selector];
        for pod in stage.get(&pods).iter().flat_map(items) {
            let name = pod["metadata"]["name"].as_str().expect("a name");
            if !self.0.iter().any(|journal| journal.pod == name) {
                self.0.push(Journal::open(stage, name));
            }
        }
    }

    /// All that was said but for requests that were let through.
    pub(crate) fn unusual(self) -> String {
        self.0.into_iter().map(Journal::close).collect()
    }
}

impl Journal {
    fn open(stage: &Stage, pod: &str) -> Self {
        let logs = ["-n", &stage.namespace, "logs", "-f", "--timestamps", "-c", "remora", pod];
        let mut kubectl = stage.kubectl.command(&logs).spawn().expect("kubectl logs starts");
        let lines = BufReader::new(kubectl.stdout.take().expect("a pipe")).lines();
        let is_unusual = |line: &String| !line.contains(r#""verdict":"FORWARDED""#);
        let unusual =
            thread::spawn(move || lines.map_while(Result::ok).filter(is_unusual).collect());
        Self { pod: pod.to_owned(), kubectl, unusual }
    }

    fn close(mut self) -> String {
        let _ = self.kubectl.kill();
        let _ = self.kubectl.wait();
        let lines = self.unusual.join().expect("lines are read");
        format!("--- {}\n{}\n", self.pod, lines.join("\n"))
    }
}
