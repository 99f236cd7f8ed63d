//! The faults. Each has passed when its function returns.

use std::{
    fs,
    io::Write as _,
    net::{SocketAddr, TcpStream},
    os::unix::{fs::symlink, process::CommandExt as _},
    process::Command,
    thread,
    time::Duration,
};

use fastrand::Rng;
use remora_netns::{Pod, Signal};
use socket2::SockRef;

use super::{
    PORT, Verdicts,
    load::{self, Came},
    policy,
    recorder::Recorder,
    weather,
};
use crate::{
    by_hand::{ByHand, PROXY_UID, Sidecar},
    stage::{PATIENCE, Stage},
};

/// What can go wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    SidecarKilled,
    AgentKilled,
    ServerKilled,
    SidecarStopped,
    AgentStopped,
    Reset,
    HalfOpen,
    Drip,
    Weather,
    FewDescriptors,
    FullDisk,
    PolicyFlip,
    Garbage,
    /// The sidecar is killed while its agent is away.
    BothKilled,
}

use Kind::{
    AgentKilled, AgentStopped, BothKilled, Drip, FewDescriptors, FullDisk, Garbage, HalfOpen,
    PolicyFlip, Reset, ServerKilled, SidecarKilled, SidecarStopped, Weather,
};

pub(super) const KINDS: [Kind; 14] = [
    SidecarKilled,
    AgentKilled,
    ServerKilled,
    SidecarStopped,
    AgentStopped,
    Reset,
    HalfOpen,
    Drip,
    Weather,
    FewDescriptors,
    FullDisk,
    PolicyFlip,
    Garbage,
    BothKilled,
];

/// Connections of a storm.
const STORM: usize = 30;

/// All that faults happen to.
pub(super) struct World {
    pub(super) stage: Stage,
    pub(super) by_hand: ByHand,
    pub(super) sidecar: Sidecar,
    pub(super) recorder: Recorder,
    /// How often the policy was changed.
    pub(super) versions: u64,
    /// Keys that were asked for in between.
    pub(super) probes: u64,
}

impl World {
    pub(super) fn address(&self) -> SocketAddr {
        (self.by_hand.cache.ipv4(), PORT).into()
    }

    /// Whether a request on a new connection is answered as it should be.
    pub(super) fn probe(&mut self, client: &Pod, verdicts: &Verdicts) -> bool {
        self.probes += 1;
        let key = format!("pub:probe:{}", self.probes);
        let Some(mut stream) = load::connect(client, self.address()) else { return false };
        load::ask(&mut stream, &key, verdicts) == Came::Right
    }

    pub(super) fn bring_about(
        &mut self,
        kind: Kind,
        client: &Pod,
        rng: &mut Rng,
        verdicts: &Verdicts,
    ) {
        let a_while = Duration::from_millis(rng.u64(10..120));
        match kind {
            SidecarKilled => self.restart_sidecar(),
            AgentKilled => {
                self.stage.kill_agent();
                thread::sleep(a_while);
                self.stage.restart_agent();
            }
            BothKilled => {
                self.stage.kill_agent();
                self.restart_sidecar();
                thread::sleep(a_while);
                self.stage.restart_agent();
            }
            ServerKilled => self.recorder.die(a_while),
            SidecarStopped => {
                self.sidecar.signal("STOP");
                thread::sleep(a_while);
                self.sidecar.signal("CONT");
            }
            AgentStopped => {
                self.stage.agent.signal(Signal::STOP);
                thread::sleep(a_while);
                self.stage.agent.signal(Signal::CONT);
            }
            Reset => self.reset(client, rng),
            HalfOpen => self.half_open(client),
            Drip => self.drip(client, verdicts),
            Weather => self.weather(client, rng, verdicts),
            FewDescriptors => self.few_descriptors(client),
            FullDisk => self.full_disk(a_while),
            PolicyFlip => {
                for _ in 0..3 {
                    self.flip();
                    thread::sleep(a_while / 3);
                }
            }
            Garbage => self.garbage(client, rng),
        }
    }

    fn restart_sidecar(&mut self) {
        self.sidecar.end();
        self.sidecar = self.by_hand.start(&[]);
    }

    fn flip(&mut self) {
        self.versions += 1;
        self.stage.write_policy("cache.yaml", &policy(self.versions));
    }

    /// Clients that go with a reset, in the middle of a request.
    fn reset(&self, client: &Pod, rng: &mut Rng) {
        for _ in 0..5 {
            let Some(mut stream) = load::connect(client, self.address()) else { continue };
            let request = b"get pub:never-whole\r\n";
            let _ = stream.write_all(&request[..rng.usize(..request.len())]);
            let _ = SockRef::from(&stream).set_linger(Some(Duration::ZERO));
        }
    }

    /// A client that vanishes: no packet of its leaves any more, not even the
    /// one that says so.
    fn half_open(&self, client: &Pod) {
        let Some(mut stream) = load::connect(client, self.address()) else { return };
        let port = stream.local_addr().expect("an address").port().to_string();
        let rule = ["iptables", "-w", "-A", "OUTPUT", "-p", "tcp", "--sport", &port, "-j", "DROP"];
        let done = client.netns_exec(&rule).expect("iptables");
        assert_eq!(done.code, 0, "{done:?}");
        let _ = stream.write_all(b"get pub:vanished\r\n");
    }

    /// A request byte by byte.
    fn drip(&self, client: &Pod, verdicts: &Verdicts) {
        let Some(mut stream) = load::connect(client, self.address()) else { return };
        let _ = stream.set_nodelay(true);
        let _ = stream.set_read_timeout(Some(PATIENCE));
        for byte in b"get pub:drip\r\n" {
            if stream.write_all(&[*byte]).is_err() {
                return;
            }
            thread::sleep(Duration::from_millis(1));
        }
        load::answer(&mut stream, "pub:drip", verdicts);
    }

    /// Several clients through bad weather, each with keys of its own.
    fn weather(&self, client: &Pod, rng: &mut Rng, verdicts: &Verdicts) {
        const CLIENTS: usize = 4;
        let way = weather::begin(client, self.address(), CLIENTS, rng);
        let streams: Vec<TcpStream> =
            (0..CLIENTS).filter_map(|_| client.connect(way).ok()).collect();
        thread::scope(|scope| {
            for (number, mut stream) in streams.into_iter().enumerate() {
                scope.spawn(move || {
                    for sequence in 0..3 {
                        let key = format!("pub:weather:{number}:{sequence}");
                        load::ask(&mut stream, &key, verdicts);
                    }
                });
            }
        });
    }

    /// A storm on a sidecar that may open next to nothing.
    fn few_descriptors(&self, client: &Pod) {
        let pid = self.sidecar.pid().to_string();
        let limit = |soft: &str| {
            let limit = format!("--nofile={soft}:");
            // Whose process it is may do so; root alone may not.
            let mut command = Command::new("prlimit");
            command.args(["--pid", &pid, &limit]).uid(PROXY_UID).gid(PROXY_UID);
            assert!(command.status().expect("prlimit").success(), "prlimit {limit}");
        };
        limit("32");
        let storm: Vec<_> =
            (0..STORM).filter_map(|_| load::connect(client, self.address())).collect();
        drop(storm);
        limit("4096");
    }

    /// The disk is full while the policy changes. What is saved then is
    /// nothing, until the next change.
    fn full_disk(&mut self, a_while: Duration) {
        let beside = self.by_hand.snapshot().with_extension("tmp");
        // One that is being written just now is in the way: then it is not full.
        let _ = symlink("/dev/full", &beside);
        self.flip();
        thread::sleep(a_while);
        let _ = fs::remove_file(&beside);
        self.flip();
    }

    fn garbage(&self, client: &Pod, rng: &mut Rng) {
        let Some(mut stream) = load::connect(client, self.address()) else { return };
        let bytes: Vec<u8> = (0..rng.usize(1..4096)).map(|_| rng.u8(..)).collect();
        let _ = stream.write_all(&bytes);
    }
}
