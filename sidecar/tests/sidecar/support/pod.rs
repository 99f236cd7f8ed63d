//! A pod: a sidecar with its agent, and clients that reach it.

use std::{io, net::SocketAddr, path::PathBuf, sync::Mutex, time::Duration};

use remora_sidecar::{
    Addresses, App, Config, Network,
    access_log::Options,
    config::{Agent as Address, OriginalDestination, Pod as Metadata, Probes},
    limits::Limits,
    ready,
};
use serde_json::Value as Json;
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpSocket, TcpStream},
    sync::{mpsc, oneshot},
    task::JoinHandle,
};
use tracing::level_filters::LevelFilter;

use super::{
    Agent, CLIENT, Kind, agent::socket, egress, hosts, line::REGISTRY, policy, until, within,
};

/// More lines than a test leaves unread.
const LINES: usize = 16_384;

/// A sidecar whose connections all go to one app.
pub(crate) struct Pod {
    pub(crate) agent: Agent,
    pub(crate) addresses: Addresses,
    lines: mpsc::Receiver<String>,
    stop: Option<oneshot::Sender<()>>,
    ran: JoinHandle<()>,
    dir: TempDir,
}

impl Pod {
    /// A sidecar before `app`; its agent says nothing yet.
    pub(crate) async fn start(app: SocketAddr) -> Self {
        Self::with(OriginalDestination::Fixed(app), Duration::from_secs(5)).await
    }

    pub(crate) async fn with(original_destination: OriginalDestination, drain: Duration) -> Self {
        Self::configured(|config| {
            config.original_destination = original_destination;
            config.drain = drain;
        })
        .await
    }

    /// A sidecar of which a test wants something of its own.
    pub(crate) async fn configured(change: impl FnOnce(&mut Config)) -> Self {
        let dir = TempDir::new().unwrap();
        let agent = Agent::start(&socket(dir.path()));
        Self::following(agent, dir, change).await
    }

    /// One whose app dials `destination`, and whose agent knows of services.
    pub(crate) async fn dialling(destination: SocketAddr) -> Self {
        let dir = TempDir::new().unwrap();
        let agent = Agent::with_services(&socket(dir.path()));
        let fixed = OriginalDestination::Fixed(destination);
        Self::following(agent, dir, |config| config.original_destination = fixed).await
    }

    async fn following(agent: Agent, dir: TempDir, change: impl FnOnce(&mut Config)) -> Self {
        let anywhere: SocketAddr = "127.0.0.1:0".parse().unwrap();
        let mut config = Config {
            agent: Address::Unix(socket(dir.path())),
            keepalive: Duration::from_secs(20),
            pod: Metadata {
                namespace: "default".into(),
                name: "droid".into(),
                uid: "7a".into(),
                ips: vec![anywhere.ip()],
            },
            network: Network::default(),
            inbound: anywhere,
            outbound: vec![anywhere],
            admin: anywhere,
            metrics: anywhere,
            health: anywhere,
            probes: Probes::default(),
            node: Vec::new(),
            snapshot: None,
            snapshot_age: Duration::from_secs(60),
            unknown_wait: Duration::from_secs(5),
            limits: Limits::default(),
            access_log: Options { shown: vec!["*".into()], rate: u64::MAX, ..Options::default() },
            drain_delay: Duration::ZERO,
            drain: Duration::from_secs(5),
            threads: 1,
            log: LevelFilter::OFF,
            original_destination: OriginalDestination::Fixed(anywhere),
        };
        change(&mut config);
        let (to, lines) = mpsc::channel(LINES);
        let sink = move |lines: &str| {
            let mut lines = lines.lines();
            lines.try_for_each(|line| to.blocking_send(line.to_owned())).map_err(io::Error::other)
        };
        let app = App::new(config, REGISTRY).access_log(Box::new(sink)).bind().await.unwrap();
        let addresses = app.addresses().clone();
        let (stop, stopped) = oneshot::channel();
        let ran = tokio::spawn(app.run(async { drop(stopped.await) }));
        Self { agent, addresses, lines, stop: Some(stop), ran, dir }
    }

    /// A sidecar in which these port policies are in force as version 1, with
    /// clients on 127.0.0.1 being [`CLIENT`].
    pub(crate) async fn ready(
        app: SocketAddr,
        ports: Vec<remora_api::cilium::PortNetworkPolicy>,
    ) -> Self {
        Self::with_policy(app, &policy(ports)).await
    }

    /// The same for what goes out: servers on 127.0.0.1 are [`CLIENT`].
    pub(crate) async fn ready_to_go_out(
        server: SocketAddr,
        ports: Vec<remora_api::cilium::PortNetworkPolicy>,
    ) -> Self {
        Self::with_policy(server, &egress(ports)).await
    }

    async fn with_policy(app: SocketAddr, policy: &remora_api::cilium::NetworkPolicy) -> Self {
        let mut pod = Self::start(app).await;
        pod.agent.policy("1", policy);
        pod.agent.hosts("1", &hosts(CLIENT));
        pod.agent.acked(Kind::Policies, "1").await;
        pod
    }

    /// Why it is not ready, if it is not.
    pub(crate) async fn not_ready(&self) -> Option<String> {
        let admin = self.addresses.admin;
        tokio::task::spawn_blocking(move || ready::ask(admin)).await.unwrap().err()
    }

    /// Waits until it says why it is not ready, in these words among others.
    pub(crate) async fn says(&self, words: &str) {
        let last = Mutex::new(None);
        until(&format!("a reason with `{words}`"), || async {
            let reason = self.not_ready().await;
            let found = reason.as_ref().is_some_and(|reason| reason.contains(words));
            *last.lock().unwrap() = reason;
            found
        })
        .await;
    }

    /// Replaces the agent by one that has said nothing, in its place.
    pub(crate) async fn restart_agent(&mut self) {
        let path = socket(self.dir.path());
        let old = std::mem::replace(&mut self.agent, Agent::start(&path));
        old.stop().await;
    }

    /// Leaves nobody behind the socket.
    pub(crate) async fn stop_agent(self) -> Self {
        let elsewhere = self.dir.path().join("elsewhere.sock");
        let Self { agent, addresses, lines, stop, ran, dir } = self;
        agent.stop().await;
        Self { agent: Agent::start(&elsewhere), addresses, lines, stop, ran, dir }
    }

    /// The socket that the agent listens on.
    pub(crate) fn agent_socket(&self) -> PathBuf {
        socket(self.dir.path())
    }

    /// The value of one series, named with its labels.
    pub(crate) async fn metric(&self, series: &str) -> u64 {
        let (_, page) = get("127.0.0.1", self.addresses.metrics, "/metrics").await;
        let line = page.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
        line.unwrap_or_else(|| panic!("no {series} in {page}")).parse().unwrap()
    }

    pub(crate) async fn connect(&self) -> Client {
        Client::connect("127.0.0.1", self.addresses.inbound).await
    }

    /// A connection of the pod's own app.
    pub(crate) async fn connect_out(&self) -> Client {
        Client::connect("127.0.0.1", self.addresses.outbound[0]).await
    }

    /// The next line of the access log.
    pub(crate) async fn line(&mut self) -> Json {
        let line = within("a line in the access log", self.lines.recv()).await.unwrap();
        assert!(!line.contains('\n'));
        serde_json::from_str(&line).unwrap()
    }

    /// The lines that nobody has read yet.
    pub(crate) fn lines_so_far(&mut self) -> Vec<Json> {
        let lines = std::iter::from_fn(|| self.lines.try_recv().ok());
        lines.map(|line| serde_json::from_str(&line).unwrap()).collect()
    }

    /// Asks it to stop.
    pub(crate) fn stop(&mut self) {
        let _ = self.stop.take().unwrap().send(());
    }

    /// Waits until it has stopped, and returns the log's remaining lines.
    pub(crate) async fn stopped(mut self) -> Vec<Json> {
        within("the sidecar to stop", &mut self.ran).await.unwrap();
        let rest = std::iter::from_fn(|| self.lines.try_recv().ok());
        rest.map(|line| serde_json::from_str(&line).unwrap()).collect()
    }

    /// Waits until every line so far is written, and returns them.
    pub(crate) async fn stop_and_read_log(mut self) -> Vec<Json> {
        self.stop();
        self.stopped().await
    }
}

/// A client's connection.
pub(crate) struct Client(pub(crate) TcpStream);

impl Client {
    pub(crate) async fn connect(from: &str, to: SocketAddr) -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind((from.parse::<std::net::IpAddr>().unwrap(), 0).into()).unwrap();
        Self(within("a connection", socket.connect(to)).await.unwrap())
    }

    /// Sends as much as the other side still takes.
    pub(crate) async fn send(&mut self, text: &str) {
        // A peer that has reset by now is what some tests are about.
        let _ = within("the client's bytes to leave", self.0.write_all(text.as_bytes())).await;
    }

    pub(crate) async fn end(&mut self) {
        self.0.shutdown().await.unwrap();
    }

    /// Reads exactly that text.
    pub(crate) async fn expect(&mut self, text: &str) {
        let mut bytes = vec![0; text.len()];
        within(text, self.0.read_exact(&mut bytes)).await.unwrap();
        assert_eq!(String::from_utf8(bytes).unwrap(), text);
    }

    /// Reads up to the end, or up to a reset.
    pub(crate) async fn rest(&mut self) -> (String, io::Result<()>) {
        let mut bytes = Vec::new();
        let end = within("the end", self.0.read_to_end(&mut bytes)).await;
        (String::from_utf8(bytes).unwrap(), end.map(drop))
    }

    /// Reads a reset, and not a byte before it.
    pub(crate) async fn expect_reset(&mut self) {
        let (bytes, end) = self.rest().await;
        assert_eq!(bytes, "");
        assert_eq!(end.unwrap_err().kind(), io::ErrorKind::ConnectionReset);
    }
}

/// Asks one of the sidecar's own ports: status and body.
pub(crate) async fn get(from: &str, to: SocketAddr, path: &str) -> (u16, String) {
    ask(from, to, &format!("GET {path}")).await
}

/// The same with a method, and further headers after a line's end.
pub(crate) async fn ask(from: &str, to: SocketAddr, what: &str) -> (u16, String) {
    let (line, headers) = what.split_once('\n').unwrap_or((what, ""));
    let mut client = Client::connect(from, to).await;
    client.send(&format!("{line} HTTP/1.1\r\nHost: sidecar\r\n{headers}\r\n")).await;
    let (answer, end) = client.rest().await;
    end.unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
}
