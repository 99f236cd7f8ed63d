//! Metrics of pods, read through the API server.

use kube::Client;

/// The metrics of a pod of ours.
pub(super) async fn scrape(client: &Client, namespace: &str, pod: &str) -> Result<String, String> {
    let path = format!("/api/v1/namespaces/{namespace}/pods/{pod}:16020/proxy/metrics");
    let request = http::Request::get(path).body(Vec::new()).map_err(|error| error.to_string())?;
    client.request_text(request).await.map_err(|error| super::explain(&error))
}

/// The one sample of a metric that counts what a float could not.
pub(super) fn whole(text: &str, name: &str) -> Option<u64> {
    let value = |line: &str| line.strip_prefix(name)?.strip_prefix(' ')?.parse().ok();
    text.lines().find_map(value)
}

/// The sum of all samples of a metric whose labels hold this text.
pub(super) fn sum(text: &str, name: &str, label: &str) -> Option<f64> {
    let sample = |line: &str| -> Option<f64> {
        let rest = line.strip_prefix(name)?;
        let (labels, value) = match rest.strip_prefix('{') {
            Some(rest) => rest.split_once("} ")?,
            None => ("", rest.strip_prefix(' ')?),
        };
        labels.contains(label).then(|| value.split(' ').next()?.parse().ok()).flatten()
    };
    text.lines().filter_map(sample).fold(None, |sum, value| Some(sum.unwrap_or(0.0) + value))
}
