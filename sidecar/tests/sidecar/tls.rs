//! An agent behind TLS: who proves what to whom, and what is said when it fails.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use remora_sidecar::config::{Agent as Address, Tls};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio_rustls::rustls::pki_types::ServerName;
use tonic::Status;

use crate::support::{Authority, CLIENT, Front, Kind, LineServer, Pod, hosts, l7, policy, until};

/// The name in the agent's certificate.
const NAME: &str = "127.0.0.1";

/// A pod whose agent is behind TLS.
struct Secured {
    pod: Pod,
    front: Front,
    authority: Authority,
    files: Files,
}

/// What is mounted into the pod.
struct Files {
    dir: TempDir,
}

impl Files {
    fn ca(&self) -> PathBuf {
        self.dir.path().join("ca.crt")
    }

    fn token(&self) -> PathBuf {
        self.dir.path().join("token")
    }
}

impl Secured {
    /// Whose CA and token are not there yet.
    async fn start() -> Self {
        Self::with(NAME, Duration::from_secs(20)).await
    }

    async fn with(name: &str, keepalive: Duration) -> Self {
        let app = LineServer::start().await;
        let authority = Authority::new();
        let files = Files { dir: TempDir::new().unwrap() };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let tls = Tls {
            server: ServerName::try_from(NAME).unwrap(),
            port: address.port(),
            ca: files.ca(),
            token: files.token(),
        };
        let pod = Pod::configured(|config| {
            config.agent = Address::Tls(tls);
            config.keepalive = keepalive;
            config.original_destination =
                remora_sidecar::config::OriginalDestination::Fixed(app.address);
        })
        .await;
        let front = Front::start(listener, pod.agent_socket(), &authority, name);
        pod.agent.policy("1", &policy(vec![l7(app.address.port(), CLIENT, &["hello"])]));
        pod.agent.hosts("1", &hosts(CLIENT));
        Self { pod, front, authority, files }
    }

    /// With CA and token in their places.
    async fn ready() -> Self {
        let secured = Self::start().await;
        secured.authority.publish(&secured.files.ca());
        write(&secured.files.token(), "one");
        secured
    }

    async fn acked(&mut self) {
        self.pod.agent.acked(Kind::Policies, "1").await;
    }
}

fn write(path: &Path, text: &str) {
    std::fs::write(path, text).unwrap();
}

#[tokio::test]
async fn an_agent_that_proves_itself_is_shown_the_token() {
    let mut secured = Secured::ready().await;
    secured.acked().await;
    assert_eq!(secured.pod.agent.tokens(), vec![Some("Bearer one".to_owned()); 2]);
    assert_eq!(secured.pod.agent.pods(), vec![Some("default/droid/7a".to_owned()); 2]);
    assert_eq!(secured.pod.not_ready().await, None);
    assert_eq!(secured.pod.metric("remora_agent_connected").await, 1);
    let mut client = secured.pod.connect().await;
    client.send("hello\nbye\n").await;
    client.expect("ok hello\ndenied\n").await;
}

#[tokio::test]
async fn a_new_token_is_shown_on_the_next_connection() {
    let mut secured = Secured::ready().await;
    secured.acked().await;
    write(&secured.files.token(), "two\n");
    secured.pod.agent.hang_up();
    secured.acked().await;
    let expected = ["one", "one", "two", "two"].map(|token| Some(format!("Bearer {token}")));
    assert_eq!(secured.pod.agent.tokens(), expected);
}

#[tokio::test]
async fn without_a_ca_it_says_so_until_there_is_one() {
    let mut secured = Secured::start().await;
    let ca = secured.files.ca().display().to_string();
    secured.pod.says(&format!("from https://127.0.0.1:{}", secured.front.address.port())).await;
    secured.pod.says(&ca).await;
    secured.pod.says("No such file").await;
    write(&secured.files.ca(), "no PEM");
    secured.pod.says("holds no certificate").await;
    assert_eq!(secured.front.begun(), 0, "nobody was asked without a CA");

    secured.authority.publish(&secured.files.ca());
    let token = secured.files.token().display().to_string();
    secured.pod.says(&format!("no token: {token}: No such file")).await;
    assert_eq!(secured.pod.agent.tokens(), [], "nothing was said without a token");
    write(&secured.files.token(), "one");
    secured.acked().await;
}

#[tokio::test]
async fn an_impostor_never_sees_the_token() {
    let mut secured = Secured::ready().await;
    // Its connection is there before the impostor is.
    secured.acked().await;
    let impostor = Authority::new();
    for (authority, name) in [(&impostor, NAME), (&secured.authority, "127.0.0.2")] {
        secured.front.show(authority, name);
        let (begun, finished) = (secured.front.begun(), secured.front.finished());
        secured.pod.agent.hang_up();
        until("two further attempts", || async { secured.front.begun() >= begun + 2 }).await;
        assert_eq!(secured.front.finished(), finished, "{name}: the handshake was finished");
    }
    assert_eq!(secured.pod.agent.tokens().len(), 2, "those of the first connection");
    assert_eq!(secured.pod.not_ready().await, None, "what is in force stays");
    assert_eq!(secured.pod.metric("remora_agent_connected").await, 0);
}

#[tokio::test]
async fn a_certificate_that_is_not_right_is_the_reason() {
    for (name, trusted, says) in [
        (NAME, false, "UnknownIssuer"),
        ("127.0.0.2", true, "127.0.0.1"),
        ("remora-agent.remora.svc", true, "127.0.0.1"),
    ] {
        let secured = Secured::with(name, Duration::from_secs(20)).await;
        write(&secured.files.token(), "one");
        let authority = if trusted { &secured.authority } else { &Authority::new() };
        authority.publish(&secured.files.ca());
        secured.pod.says("its certificate is not to be trusted by").await;
        secured.pod.says(says).await;
        secured.pod.says("this pod's token was not sent").await;
        assert_eq!(secured.front.finished(), 0);
    }
}

#[tokio::test]
async fn a_server_without_tls_is_the_reason() {
    let plain = LineServer::greeting(b"what do you want?\n").await;
    let files = Files { dir: TempDir::new().unwrap() };
    Authority::new().publish(&files.ca());
    let pod = Pod::configured(|config| {
        config.agent = Address::Tls(Tls {
            server: ServerName::try_from(NAME).unwrap(),
            port: plain.address.port(),
            ca: files.ca(),
            token: files.token(),
        });
    })
    .await;
    pod.says("no TLS with it").await;
}

#[tokio::test]
async fn two_rotations_of_the_ca_need_no_restart() {
    let mut secured = Secured::ready().await;
    secured.acked().await;
    for _ in 0..2 {
        let next = Authority::new();
        // As the agent rotates: first both are trusted, then the new one serves.
        let both = format!("{}{}", secured.authority.pem(), next.pem());
        write(&secured.files.ca(), &both);
        secured.front.show(&next, NAME);
        secured.pod.agent.hang_up();
        secured.acked().await;
        next.publish(&secured.files.ca());
        secured.authority = next;
    }
    // One that was missed meanwhile is caught up with.
    let next = Authority::new();
    secured.front.show(&next, NAME);
    let begun = secured.front.begun();
    secured.pod.agent.hang_up();
    until("a refusal", || async { secured.front.begun() > begun }).await;
    next.publish(&secured.files.ca());
    secured.acked().await;
}

#[tokio::test]
async fn what_the_agent_refuses_is_the_reason() {
    let mut secured = Secured::start().await;
    secured.pod.agent.refuse(Some(Status::unauthenticated("the audience is another's")));
    secured.authority.publish(&secured.files.ca());
    write(&secured.files.token(), "one");
    secured.pod.says("it does not accept this pod's token: the audience is another's").await;
    secured.pod.agent.refuse(Some(Status::permission_denied("no pod default/droid of uid 7a")));
    secured.pod.says("it does not serve this pod: no pod default/droid of uid 7a").await;
    secured.pod.agent.refuse(Some(Status::unavailable("the API server does not answer")));
    secured.pod.says("the API server does not answer").await;
    assert_eq!(secured.pod.metric("remora_agent_connected").await, 0);
    secured.pod.agent.refuse(None);
    secured.acked().await;
}

#[tokio::test]
async fn an_agent_that_vanishes_is_noticed() {
    let mut secured = Secured::with(NAME, Duration::from_millis(50)).await;
    secured.authority.publish(&secured.files.ca());
    write(&secured.files.token(), "one");
    secured.acked().await;
    let finished = secured.front.finished();
    // Nothing is closed: packets simply stop.
    secured.front.freeze();
    secured.acked().await;
    assert!(secured.front.finished() > finished);
}

#[tokio::test]
async fn an_unix_socket_is_shown_no_token() {
    let app = LineServer::start().await;
    let pod = Pod::ready(app.address, vec![]).await;
    assert_eq!(pod.agent.tokens(), [None, None]);
    assert_eq!(pod.agent.pods(), [None, None], "the socket says whose it is");
}
