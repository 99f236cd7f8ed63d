//! The process's log.

use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, fmt};

/// Whose errors are told by us, together with what follows from them.
const CLIENT: [&str; 2] = ["kube_client", "kube_runtime"];

/// Logs to stderr from now on.
pub fn start_log(level: LevelFilter) {
    let client = if level >= LevelFilter::DEBUG { level } else { LevelFilter::OFF };
    let targets = CLIENT.map(|target| (target, client));
    let filter = Targets::new().with_default(level).with_targets(targets);
    let lines = fmt::layer().with_writer(std::io::stderr).with_ansi(false).with_target(false);
    tracing_subscriber::registry().with(lines.with_filter(filter)).init();
}
