//! The discovery exchange on one stream, without the stream: who has heard what.
//!
//! State of the world, as in Envoy's xDS: the first request subscribes, each
//! response carries everything, and the request after it accepts (ACK) or
//! refuses (NACK) it by its nonce.

use remora_api::discovery::{DiscoveryRequest, DiscoveryResponse};

use super::feed::{Kind, Versioned};

/// What one stream has been told and has answered.
#[derive(Debug)]
pub(super) struct Exchange {
    pub(super) kind: Kind,
    is_subscribed: bool,
    nonce: u64,
    sent: Option<u64>,
    is_answered: bool,
}

/// What a request means.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Heard {
    /// The first: it wants to be told.
    Subscribed,
    /// This version is in force at the sidecar.
    Accepted(u64),
    /// This version is not, and why.
    Refused(u64, String),
    /// It answers to a response that was followed by another, or once more to the last.
    Stale,
    /// It asks for a type that this service has not.
    WrongType,
}

impl Exchange {
    pub(super) fn new(kind: Kind) -> Self {
        Self { kind, is_subscribed: false, nonce: 0, sent: None, is_answered: false }
    }

    pub(super) fn is_subscribed(&self) -> bool {
        self.is_subscribed
    }

    /// The version that was sent last.
    pub(super) fn sent(&self) -> Option<u64> {
        self.sent
    }

    pub(super) fn hear(&mut self, request: &DiscoveryRequest) -> Heard {
        // The service itself says the type, so leaving it out is no mistake.
        if !request.type_url.is_empty() && request.type_url != self.kind.url() {
            return Heard::WrongType;
        }
        // Its nonce, if any, is of a stream that is no more.
        if !self.is_subscribed {
            self.is_subscribed = true;
            return Heard::Subscribed;
        }
        let is_for_last = request.response_nonce == self.nonce.to_string();
        let Some(version) = self.sent.filter(|_| is_for_last && !self.is_answered) else {
            return Heard::Stale;
        };
        self.is_answered = true;
        match &request.error_detail {
            None => Heard::Accepted(version),
            Some(detail) => Heard::Refused(version, detail.message.clone()),
        }
    }

    /// The next response.
    pub(super) fn tell(&mut self, state: &Versioned) -> DiscoveryResponse {
        self.nonce += 1;
        self.sent = Some(state.version);
        self.is_answered = false;
        DiscoveryResponse {
            version_info: state.version.to_string(),
            resources: state.resources.to_vec(),
            canary: false,
            type_url: self.kind.url().to_owned(),
            nonce: self.nonce.to_string(),
        }
    }
}

#[cfg(test)]
mod tests {
    use remora_api::{NETWORK_POLICY_HOSTS_URL, NETWORK_POLICY_URL, rpc};

    use super::*;

    fn request(nonce: &str, error: Option<&str>) -> DiscoveryRequest {
        DiscoveryRequest {
            type_url: NETWORK_POLICY_URL.to_owned(),
            response_nonce: nonce.to_owned(),
            error_detail: error.map(|text| rpc::Status { code: 3, message: text.to_owned() }),
            ..DiscoveryRequest::default()
        }
    }

    fn state(version: u64) -> Versioned {
        Versioned { version, resources: Vec::new().into() }
    }

    #[test]
    fn answers_count_for_the_last_response_only() {
        let mut exchange = Exchange::new(Kind::Policy);
        assert_eq!(exchange.hear(&request("7", Some("of another stream"))), Heard::Subscribed);
        assert_eq!(exchange.hear(&request("0", None)), Heard::Stale, "nothing was sent");
        let first = exchange.tell(&state(10));
        assert_eq!(exchange.hear(&request(&first.nonce, None)), Heard::Accepted(10));
        let second = exchange.tell(&state(11));
        assert_ne!(first.nonce, second.nonce);
        assert_eq!(exchange.hear(&request(&first.nonce, Some("late"))), Heard::Stale);
        assert_eq!(exchange.hear(&request("", None)), Heard::Stale);
        let refused = exchange.hear(&request(&second.nonce, Some("no")));
        assert_eq!(refused, Heard::Refused(11, "no".to_owned()));
        let again = exchange.hear(&request(&second.nonce, Some("no")));
        assert_eq!(again, Heard::Stale, "it has been told");
    }

    #[test]
    fn a_type_of_another_service_is_refused() {
        let mut exchange = Exchange::new(Kind::Policy);
        let mut wrong = request("", None);
        wrong.type_url = NETWORK_POLICY_HOSTS_URL.to_owned();
        assert_eq!(exchange.hear(&wrong), Heard::WrongType);
        wrong.type_url.clear();
        assert_eq!(exchange.hear(&wrong), Heard::Subscribed);
    }
}
