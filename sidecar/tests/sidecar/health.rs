//! The kubelet's probes and hooks, made from inside the pod.

use std::{convert::Infallible, net::SocketAddr, time::Duration};

use http_body_util::{BodyExt as _, Full};
use remora_sidecar::config::Probes;
use tokio::{net::TcpListener, time::Instant};
use tokio_rustls::rustls::version;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::{
    body::Body,
    codegen::http::{HeaderMap, Request, Response},
    transport::Server,
};

use crate::support::{Canned, LineServer, Pod, ask, get, silent_port, until, within};

/// Where the node speaks from.
const NODE: &str = "127.0.0.7";

/// A pod with one liveness probe.
async fn probed(handler: &str) -> Pod {
    with(&format!("{{\"/probe/app/liveness\":{{{handler}}}}}")).await
}

async fn with(probes: &str) -> Pod {
    Pod::configured(|config| {
        config.probes = Probes::read(probes, &config.pod.ips).unwrap();
        config.node = vec![NODE.parse().unwrap()];
    })
    .await
}

async fn live(pod: &Pod) -> (u16, String) {
    get(NODE, pod.addresses.health, "/probe/app/liveness").await
}

fn http(address: SocketAddr, path: &str) -> String {
    format!("\"httpGet\":{{\"port\":{},\"path\":\"{path}\"}}", address.port())
}

fn answers(target: &str) -> &'static str {
    match target {
        "/ok" | "/ok?x=1" => "200 OK",
        "/teapot" => "418 I'm a teapot",
        "/broken" => "500 Internal Server Error",
        "/not-modified" => "304 Not Modified",
        "/moved" => "302 Found\r\nLocation: /ok",
        "/moved-to-broken" => "301 Moved\r\nLocation: broken",
        "/elsewhere" => "307 Temporary Redirect\r\nLocation: http://192.0.2.1/broken",
        "/round" => "302 Found\r\nLocation: /round",
        "/slow" => "",
        _ => "404 Not Found",
    }
}

#[tokio::test]
async fn an_http_probe_is_the_apps_own_answer() {
    let app = Canned::start(answers).await;
    for (path, status, says) in [
        ("/ok", 200, "ok"),
        ("/ok?x=1#part", 200, "ok"),
        ("/not-modified", 200, "ok"),
        ("/moved", 200, "ok"),
        ("/elsewhere", 200, "ok"),
        ("/moved-to-broken", 503, "HTTP status 500"),
        ("/round", 503, "stopped after 10 redirects"),
        ("/teapot", 503, "HTTP status 418"),
        ("/broken", 503, "HTTP status 500"),
        ("/nowhere", 503, "HTTP status 404"),
    ] {
        let pod = probed(&http(app.address, path)).await;
        assert_eq!(live(&pod).await, (status, format!("{says}\n")), "{path}");
    }
}

#[tokio::test]
async fn an_app_that_is_down_fails_its_probes() {
    let (address, _held) = silent_port();
    let port = address.port();
    for handler in [
        http(address, "/ok"),
        format!("\"tcpSocket\":{{\"port\":{port}}}"),
        format!("\"grpc\":{{\"port\":{port}}}"),
    ] {
        let (status, why) = live(&probed(&handler).await).await;
        assert_eq!(status, 503);
        assert!(why.contains("refused"), "{why}");
    }
}

#[tokio::test]
async fn a_slow_app_fails_when_its_time_is_up() {
    let app = Canned::start(answers).await;
    let pod = probed(&format!("{},\"timeoutSeconds\":1", http(app.address, "/slow"))).await;
    let started = Instant::now();
    assert_eq!(live(&pod).await, (503, "no answer within 1 s\n".into()));
    assert!(started.elapsed() >= Duration::from_secs(1));
}

#[tokio::test]
async fn a_body_that_breaks_off_is_no_good_answer() {
    let app = Canned::start(|_| "200 OK\r\nTransfer-Encoding: chunked").await;
    let (status, why) = live(&probed(&http(app.address, "/")).await).await;
    assert!(status == 503 && why.contains("the answer is broken"), "{why}");
}

#[tokio::test]
async fn headers_go_as_the_manifest_has_them() {
    let app = Canned::start(answers).await;
    let port = app.address.port();
    let pod = probed(&http(app.address, "/ok")).await;
    live(&pod).await;
    let asked = "GET /probe/app/liveness\nUser-Agent: kube-probe/1.36\r\n";
    ask(NODE, pod.addresses.health, asked).await;
    let others = "GET /probe/app/liveness\nUser-Agent: somebody/1\r\n";
    ask(NODE, pod.addresses.health, others).await;
    let own = r#"[{"name":"Host","value":"shop"},{"name":"X-Two","value":"1"},{"name":"X-Two","value":"2"},{"name":"Accept","value":""},{"name":"User-Agent","value":"own"}]"#;
    let handler = format!("\"httpGet\":{{\"port\":{port},\"path\":\"/ok\",\"httpHeaders\":{own}}}");
    live(&probed(&handler).await).await;

    let heads = app.heads();
    assert!(heads[0].contains(&format!("host: 127.0.0.1:{port}\r\n")), "{}", heads[0]);
    for (head, says) in [
        (0, "user-agent: kube-probe\r\n"),
        (0, "accept: */*\r\n"),
        (1, "user-agent: kube-probe/1.36\r\n"),
        (2, "user-agent: kube-probe\r\n"),
        (3, "host: shop\r\n"),
        (3, "x-two: 1\r\n"),
        (3, "x-two: 2\r\n"),
        (3, "user-agent: own\r\n"),
    ] {
        assert!(heads[head].contains(says), "{says} is not in {}", heads[head]);
    }
    assert!(!heads[3].contains("accept:") && !heads[3].contains("127.0.0.1"), "{}", heads[3]);
}

#[tokio::test]
async fn https_is_asked_whatever_its_certificate() {
    for version in [&version::TLS12, &version::TLS13] {
        let app = Canned::tls(answers, version).await;
        for (path, expected) in [("/ok", 200), ("/broken", 503)] {
            let handler = format!(
                "\"httpGet\":{{\"port\":{},\"path\":\"{path}\",\"scheme\":\"HTTPS\"}}",
                app.address.port()
            );
            assert_eq!(live(&probed(&handler).await).await.0, expected, "{path}");
        }
    }
    let plain = LineServer::greeting(b"HTTP/1.1 400 Bad Request\r\n\r\n").await;
    let handler = format!("\"httpGet\":{{\"port\":{},\"scheme\":\"HTTPS\"}}", plain.address.port());
    let (status, why) = live(&probed(&handler).await).await;
    assert!(status == 503 && why.starts_with("TLS: "), "{why}");
}

#[tokio::test]
async fn a_tcp_probe_is_a_connection() {
    let app = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = app.local_addr().unwrap().port();
    let pod = probed(&format!("\"tcpSocket\":{{\"port\":{port}}}")).await;
    assert_eq!(live(&pod).await, (200, "ok\n".into()));
}

/// An app that answers every health check with these bytes of a message, or
/// with a gRPC status.
async fn grpc_app(answer: Result<&'static [u8], &'static str>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let service = tower::service_fn(move |request: Request<Body>| async move {
        assert_eq!(request.uri().path(), "/grpc.health.v1.Health/Check");
        let body = request.into_body().collect().await.unwrap().to_bytes();
        let shop = body.ends_with(b"shop");
        assert!(shop || body.len() == 5, "{body:?}");
        let mut trailers = HeaderMap::new();
        let (message, status) = match answer {
            Ok(message) => (message, "0"),
            Err(status) => (b"".as_slice(), status),
        };
        trailers.insert("grpc-status", status.parse().unwrap());
        let mut frame = Vec::new();
        if status == "0" {
            frame.extend([0, 0, 0, 0, u8::try_from(message.len()).unwrap()]);
            frame.extend(message);
        }
        let body = Full::new(bytes::Bytes::from(frame)).with_trailers(async { Some(Ok(trailers)) });
        let response = Response::builder().header("content-type", "application/grpc");
        Ok::<_, Infallible>(response.body(Body::new(body)).unwrap())
    });
    let incoming = TcpListenerStream::new(listener);
    tokio::spawn(async move { Server::builder().serve_with_incoming(service, incoming).await });
    address
}

#[tokio::test]
async fn a_grpc_probe_asks_for_the_services_health() {
    for (answer, status, says) in [
        (Ok([8, 1].as_slice()), 200, "ok"),
        (Ok(&[8, 2]), 503, "gRPC health status NOT_SERVING"),
        (Ok(&[8, 3]), 503, "gRPC health status SERVICE_UNKNOWN"),
        (Ok(&[]), 503, "gRPC health status UNKNOWN"),
        (Err("5"), 503, "gRPC: the app knows no such service"),
        (Err("12"), 503, "gRPC: the app does not speak the health protocol"),
        (Err("14"), 503, "gRPC: Unavailable"),
    ] {
        let port = grpc_app(answer).await.port();
        for handler in [
            format!("\"grpc\":{{\"port\":{port}}}"),
            format!("\"grpc\":{{\"port\":{port},\"service\":\"shop\"}}"),
        ] {
            assert_eq!(live(&probed(&handler).await).await, (status, format!("{says}\n")));
        }
    }
}

#[tokio::test]
async fn only_the_pods_own_paths_are_answered() {
    let app = Canned::start(answers).await;
    let pod = probed(&http(app.address, "/ok")).await;
    for path in ["/", "/probe/app/readiness", "/probe/app/liveness/", "/ready", "/metrics"] {
        assert_eq!(get(NODE, pod.addresses.health, path).await.0, 404, "{path}");
    }
    let posted = ask(NODE, pod.addresses.health, "POST /probe/app/liveness").await;
    assert_eq!(posted.0, 405);
    // A query does not make it another probe, nor reach the app.
    let (status, _) = get(NODE, pod.addresses.health, "/probe/app/liveness?path=/broken").await;
    assert_eq!(status, 200);
    assert_eq!(app.heads().len(), 1);
    assert!(app.heads()[0].starts_with("get /ok http/1.1\r\n"));
}

#[tokio::test]
async fn hooks_are_the_nodes_alone() {
    let app = Canned::start(answers).await;
    let path = "/lifecycle/app/preStop";
    let pod = with(&format!("{{\"{path}\":{{{}}}}}", http(app.address, "/ok"))).await;
    assert_eq!(get("127.0.0.1", pod.addresses.health, path).await.0, 403);
    assert_eq!(app.heads().len(), 0, "the app heard nothing of it");
    assert_eq!(get(NODE, pod.addresses.health, path).await.0, 200);
    assert_eq!(app.heads().len(), 1);
}

#[tokio::test]
async fn those_who_ask_at_once_share_one_call() {
    let app = Canned::start(answers).await;
    let pod = probed(&http(app.address, "/slow")).await;
    let asking: Vec<_> = (0..20)
        .map(|_| {
            let health = pod.addresses.health;
            tokio::spawn(async move { get(NODE, health, "/probe/app/liveness").await })
        })
        .collect();
    for asked in asking {
        assert_eq!(asked.await.unwrap(), (503, "no answer within 1 s\n".into()));
    }
    assert_eq!(app.heads().len(), 1);
}

#[tokio::test]
async fn a_call_ends_with_the_last_who_asked_for_it() {
    let app = Canned::start(answers).await;
    let path = "/lifecycle/app/preStop";
    let pod = with(&format!("{{\"{path}\":{{{}}}}}", http(app.address, "/slow"))).await;
    for calls in 1..=2 {
        // A hook may take for ever; this one was given up.
        let health = pod.addresses.health;
        let asked = tokio::spawn(async move { get(NODE, health, path).await });
        until("the call", || async { app.heads().len() == calls }).await;
        asked.abort();
        assert!(asked.await.unwrap_err().is_cancelled());
        until("the call to be given up", || async { app.given_up() == calls }).await;
    }
}

#[tokio::test]
async fn a_crowd_does_not_keep_the_node_from_asking() {
    let app = Canned::start(answers).await;
    let pod = probed(&http(app.address, "/ok")).await;
    let mut crowd = Vec::new();
    for _ in 0..200 {
        crowd.push(crate::support::Client::connect("127.0.0.1", pod.addresses.health).await);
    }
    let (status, _) = within("the probe", live(&pod)).await;
    assert_eq!(status, 200);
}
