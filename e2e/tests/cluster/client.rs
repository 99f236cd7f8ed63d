//! A client in a pod, whose connections a test holds from outside.

use std::{
    fmt,
    io::{BufRead as _, BufReader, Write as _},
    process::{Child, ChildStdin, Stdio},
    sync::mpsc::{self, Receiver},
    thread,
    time::Duration,
};

use serde_json::{Value, json};

use crate::kubectl::{Kubectl, eventually};

/// Longer than the client itself waits for an answer.
const PATIENCE: Duration = Duration::from_secs(30);

/// What became of a request or of a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Answer {
    /// The whole reply.
    Reply(String),
    /// How it ended: `reset`, `closed`, `refused`, `silence` or another word.
    End(String),
}

impl Answer {
    pub(crate) fn of(value: &Value) -> Self {
        match value["reply"].as_str() {
            Some(reply) => Self::Reply(reply.to_owned()),
            None => Self::End(value["end"].as_str().unwrap_or("failed").to_owned()),
        }
    }

    pub(crate) fn denied() -> Self {
        Self::Reply("CLIENT_ERROR access denied\r\n".to_owned())
    }

    pub(crate) fn miss() -> Self {
        Self::Reply("END\r\n".to_owned())
    }

    pub(crate) fn reset() -> Self {
        Self::End("reset".to_owned())
    }
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Reply(text) => write!(f, "{}", text.trim_end().escape_debug()),
            Self::End(how) => write!(f, "connection {how}"),
        }
    }
}

/// A session in a pod of the image `remora-test/app`.
pub(crate) struct Client {
    process: Child,
    stdin: ChildStdin,
    answers: Receiver<String>,
    name: String,
}

/// A connection of a [`Client`].
pub(crate) struct Connection(Value);

impl Client {
    /// Starts a session in a pod's default container.
    pub(crate) fn start(kubectl: &Kubectl, namespace: &str, pod: &str) -> Self {
        let args = ["-n", namespace, "exec", "-i", pod, "--", "/remora-test-app", "session"];
        let mut command = kubectl.command(&args);
        command.stdin(Stdio::piped()).stderr(Stdio::inherit());
        let mut process = command.spawn().expect("kubectl exec starts");
        let stdin = process.stdin.take().expect("a pipe");
        let stdout = BufReader::new(process.stdout.take().expect("a pipe"));
        let (sender, answers) = mpsc::channel();
        thread::spawn(move || {
            for line in stdout.lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        Self { process, stdin, answers, name: format!("{namespace}/{pod}") }
    }

    /// Waits until a new Service leads to its pods: until kube-proxy knows of
    /// them, the client's own node refuses. Nobody of ours ever does.
    pub(crate) fn reach(&mut self, service: &str) {
        eventually(&format!("{service} leads to its pods"), || match self.open(service) {
            Err(Answer::End(how)) if how != "reset" && how != "closed" => Err(how),
            Ok(connection) => {
                self.close(&connection);
                Ok(())
            }
            Err(_) => Ok(()),
        });
    }

    /// Waits until a Service's pods reply to a request. A client with a sidecar is accepted by that
    /// whoever is reached behind it, and if kube-proxy does not know of the Service yet, that may
    /// be anybody.
    pub(crate) fn reach_with(&mut self, service: &str, request: &str) {
        eventually(&format!("{service} replies"), || match self.ask_anew(service, request) {
            Answer::Reply(_) => Ok(()),
            Answer::End(how) => Err(how),
        });
    }

    /// Opens a connection, or says how that ended.
    pub(crate) fn open(&mut self, to: &str) -> Result<Connection, Answer> {
        let answer = self.tell(&json!({"open": to}));
        if answer["id"].is_u64() {
            Ok(Connection(answer["id"].clone()))
        } else {
            Err(Answer::of(&answer))
        }
    }

    /// Sends one request and takes its reply.
    pub(crate) fn ask(&mut self, on: &Connection, request: &str) -> Answer {
        Answer::of(&self.tell(&json!({"ask": request, "on": on.0})))
    }

    /// The same on a connection of its own, which is closed afterwards: a server
    /// has room for so many.
    pub(crate) fn ask_anew(&mut self, to: &str, request: &str) -> Answer {
        let connection = match self.open(to) {
            Ok(connection) => connection,
            Err(end) => return end,
        };
        let answer = self.ask(&connection, request);
        self.close(&connection);
        answer
    }

    fn close(&mut self, connection: &Connection) {
        self.tell(&json!({"close": connection.0}));
    }

    fn tell(&mut self, command: &Value) -> Value {
        let told = writeln!(self.stdin, "{command}").and_then(|()| self.stdin.flush());
        told.unwrap_or_else(|error| panic!("the session in {} is over: {error}", self.name));
        let line = self.answers.recv_timeout(PATIENCE);
        let line = line.unwrap_or_else(|_| {
            panic!("expected of {}: an answer to {command}\nseen in {PATIENCE:?}: none", self.name)
        });
        serde_json::from_str(&line).unwrap_or_else(|error| panic!("{line}: {error}"))
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
