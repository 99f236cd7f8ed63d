//! What it takes to find a node's endpoints.

use std::{collections::BTreeMap, time::Duration};

use tracing::level_filters::LevelFilter;

use super::{Agent, ConfigError, KEEPALIVE, Reader, Tls, variable};

/// How the agent is reached, by the finder and by the endpoints that it finds.
#[derive(Debug, Clone)]
pub struct FinderConfig {
    /// The most verbose level of diagnostics.
    pub log: LevelFilter,
    /// Where the agent is.
    pub agent: Agent,
    /// How often the agent is asked whether it is still there, and how long it
    /// may take to say so.
    pub keepalive: Duration,
}

impl FinderConfig {
    /// That of this process.
    ///
    /// # Errors
    /// A [`ConfigError`] with every problem that was found.
    pub fn from_env() -> Result<Self, ConfigError> {
        let mut reader = Reader::new(variable);
        let (log, agent) = (reader.log(), reader.agent());
        if let Agent::Unix(path) = &agent
            && !path.as_os_str().is_empty()
        {
            reader.problem("REMORA_AGENT", "a socket tells of one pod; say https://HOST:PORT");
        }
        reader.finish(Self { log, agent, keepalive: KEEPALIVE })
    }

    /// What an endpoint is given.
    pub(crate) fn variables(&self) -> BTreeMap<String, String> {
        let mut own = BTreeMap::from([("REMORA_AGENT".to_owned(), self.agent.to_string())]);
        if let Agent::Tls(Tls { ca, token, .. }) = &self.agent {
            own.insert("REMORA_CA".to_owned(), ca.display().to_string());
            own.insert("REMORA_TOKEN".to_owned(), token.display().to_string());
        }
        own
    }
}
