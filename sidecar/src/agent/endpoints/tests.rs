//! What is made of what an agent says.

use std::{path::Path, pin::Pin};

use prost::Message as _;
use remora_api::endpoints::endpoint_discovery_service_server::{
    EndpointDiscoveryService, EndpointDiscoveryServiceServer,
};
use tempfile::TempDir;
use tokio::{net::UnixListener, time::timeout};
use tokio_stream::{Stream, StreamExt as _, wrappers::UnixListenerStream};
use tonic::{Request, Response, Status as Refusal, Streaming, transport::Server};

use super::*;

const PATIENCE: Duration = Duration::from_secs(20);

/// An agent that says all this on every stream, and tells what it is answered.
struct Script {
    responses: Vec<DiscoveryResponse>,
    answers: mpsc::Sender<DiscoveryRequest>,
}

#[tonic::async_trait]
impl EndpointDiscoveryService for Script {
    type StreamEndpointsStream =
        Pin<Box<dyn Stream<Item = Result<DiscoveryResponse, Refusal>> + Send>>;

    async fn stream_endpoints(
        &self,
        request: Request<Streaming<DiscoveryRequest>>,
    ) -> Result<Response<Self::StreamEndpointsStream>, Refusal> {
        let (mut requests, answers) = (request.into_inner(), self.answers.clone());
        tokio::spawn(async move {
            while let Ok(Some(request)) = requests.message().await {
                if answers.send(request).await.is_err() {
                    return;
                }
            }
        });
        let responses = tokio_stream::iter(self.responses.clone()).map(Ok);
        // It stays open: what ends a stream is another test's.
        Ok(Response::new(Box::pin(responses.chain(tokio_stream::pending()))))
    }
}

fn serve(path: &Path, script: Script) {
    let incoming = UnixListenerStream::new(UnixListener::bind(path).unwrap());
    let service = EndpointDiscoveryServiceServer::new(script);
    tokio::spawn(async move {
        let service = tower::service_fn(move |request| {
            tonic::codegen::Service::call(&mut service.clone(), request)
        });
        Server::builder().serve_with_incoming(service, incoming).await.unwrap();
    });
}

fn response(version: &str, resources: &[Vec<u8>]) -> DiscoveryResponse {
    let any = |value: &Vec<u8>| prost_types::Any {
        type_url: ENDPOINT_URL.to_owned(),
        value: value.clone(),
    };
    DiscoveryResponse {
        version_info: version.to_owned(),
        resources: resources.iter().map(any).collect(),
        type_url: ENDPOINT_URL.to_owned(),
        nonce: format!("nonce-{version}"),
        ..Default::default()
    }
}

#[tokio::test]
async fn what_is_whole_counts_and_what_is_not_is_refused() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("agent.sock");
    let cache = Endpoint { name: "cache".to_owned(), ..Endpoint::default() };
    // A field that nobody knows, in an endpoint that is fine otherwise.
    let foreign = [cache.encode_to_vec(), vec![15 << 3, 1]].concat();
    let responses = vec![
        response("1", &[cache.encode_to_vec()]),
        response("2", &[cache.encode_to_vec(), foreign]),
        response("3", &[]),
    ];
    let (answers, mut answered) = mpsc::channel(8);
    serve(&path, Script { responses, answers });
    let (telling, mut told) = watch::channel(None);
    let following = tokio::spawn(follow(Agent::Unix(path), PATIENCE, telling));
    let mut answers = Vec::new();
    for _ in 0..4 {
        let answer = timeout(PATIENCE, answered.recv()).await.unwrap().unwrap();
        let refusal = answer.error_detail.map(|status| status.message).unwrap_or_default();
        answers.push((
            answer.version_info,
            answer.response_nonce,
            refusal.contains("unknown field"),
        ));
    }
    let expected =
        [("", "", false), ("1", "nonce-1", false), ("1", "nonce-2", true), ("3", "nonce-3", false)];
    assert_eq!(
        answers,
        expected.map(|(version, nonce, is_refused)| (version.into(), nonce.into(), is_refused))
    );
    let all = timeout(PATIENCE, told.wait_for(Option::is_some)).await.unwrap().unwrap();
    assert_eq!(all.as_deref(), Some(&[][..]), "the latest");
    following.abort();
}

#[tokio::test]
async fn an_agent_that_comes_later_is_found_and_one_that_goes_changes_nothing() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("agent.sock");
    let (telling, mut told) = watch::channel(None);
    let following = tokio::spawn(follow(Agent::Unix(path.clone()), PATIENCE, telling));
    // Nobody listens to the first attempts.
    tokio::task::yield_now().await;
    let cache = Endpoint { name: "cache".to_owned(), ..Endpoint::default() };
    let (answers, mut answered) = mpsc::channel(8);
    let mut empty = response("1", &[cache.encode_to_vec()]);
    empty.type_url = "another".to_owned();
    serve(
        &path,
        Script { responses: vec![response("1", &[cache.encode_to_vec()]), empty], answers },
    );
    let all = timeout(PATIENCE, told.wait_for(Option::is_some)).await.unwrap().unwrap().clone();
    assert_eq!(all.as_deref(), Some(&[cache][..]));
    while timeout(PATIENCE, answered.recv()).await.unwrap().unwrap().error_detail.is_none() {}
    assert_eq!(*told.borrow_and_update(), all, "what was refused did not count");
    following.abort();
}
