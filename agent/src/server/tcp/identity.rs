//! Whose a token is: what the API server says, read strictly.

use k8s_openapi::api::authentication::v1::TokenReviewStatus;
use tonic::Status;
use tonic::metadata::MetadataMap;

use super::AUDIENCE;
use crate::notice::one_line;
use crate::world::PodKey;

/// The longest token that is read, in bytes. A projected one has about 1200.
const MAX_TOKEN_BYTES: usize = 8 << 10;
const POD_NAME: &str = "authentication.kubernetes.io/pod-name";
const POD_UID: &str = "authentication.kubernetes.io/pod-uid";
const NODE_NAME: &str = "authentication.kubernetes.io/node-name";
const SERVICE_ACCOUNT: &str = "system:serviceaccount:";

/// The pod that a token was made for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// Its namespace and name.
    pub pod: PodKey,
    /// Its uid.
    pub uid: String,
    /// Its service account, in the same namespace.
    pub service_account: String,
    /// The node that it runs on; none if the API server does not say plainly.
    pub node: Option<String>,
}

/// Why a token does not count.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// There is none, or something else is in its place.
    #[error("{0}; send the token of the volume remora-token as `authorization: Bearer TOKEN`")]
    Missing(&'static str),
    /// The API server does not vouch for it as one for us.
    #[error("the token is refused: {0}; the pod's volume remora-token has one that counts")]
    Invalid(String),
    /// Too many tokens from there that had to be reviewed.
    #[error("too many tokens from this address were to be reviewed; try again later")]
    Throttled,
    /// The API server did not say.
    #[error("the token cannot be reviewed now: {0}; try again later")]
    Unavailable(String),
}

impl From<Refusal> for Status {
    fn from(refusal: Refusal) -> Self {
        let text = refusal.to_string();
        match refusal {
            Refusal::Missing(_) | Refusal::Invalid(_) => Self::unauthenticated(text),
            Refusal::Throttled => Self::resource_exhausted(text),
            Refusal::Unavailable(_) => Self::unavailable(text),
        }
    }
}

impl Identity {
    /// Reads a review of a token for [`AUDIENCE`]. Everything that is not said
    /// plainly counts as a refusal.
    pub(super) fn read(status: Option<&TokenReviewStatus>) -> Result<Self, Refusal> {
        let invalid = |problem: &str| Refusal::Invalid(problem.to_owned());
        let status = status.ok_or_else(|| invalid("the API server reviewed nothing"))?;
        // An error beside `authenticated: true` is one about the audience: there
        // is no falling back to a token for anybody.
        if let Some(error) = status.error.as_deref().filter(|error| !error.is_empty()) {
            return Err(Refusal::Invalid(one_line(error)));
        }
        if status.authenticated != Some(true) {
            return Err(invalid("it is not valid, or not any more"));
        }
        if status.audiences.as_deref() != Some(&[AUDIENCE.to_owned()]) {
            return Err(Refusal::Invalid(format!("its audience is not {AUDIENCE}")));
        }
        let user = status.user.as_ref().ok_or_else(|| invalid("it is nobody's"))?;
        let account = user.username.as_deref().and_then(|name| name.strip_prefix(SERVICE_ACCOUNT));
        let (namespace, service_account) = account
            .and_then(|account| account.split_once(':'))
            .filter(|(namespace, name)| !namespace.is_empty() && !name.is_empty())
            .ok_or_else(|| invalid("it is no service account's"))?;
        let said = |key: &str| {
            let values = user.extra.as_ref().and_then(|extra| extra.get(key));
            match values.map(Vec::as_slice) {
                Some([value]) if !value.is_empty() => Some(value.clone()),
                _ => None,
            }
        };
        let extra = |key: &str| said(key).ok_or_else(|| invalid("it is not bound to a pod"));
        Ok(Self {
            pod: PodKey { namespace: namespace.to_owned(), name: extra(POD_NAME)? },
            uid: extra(POD_UID)?,
            service_account: service_account.to_owned(),
            node: said(NODE_NAME),
        })
    }
}

/// The token that a request carries.
pub(super) fn token(metadata: &MetadataMap) -> Result<&str, Refusal> {
    let mut values = metadata.get_all("authorization").iter();
    let value = values.next().ok_or(Refusal::Missing("there is no token"))?;
    if values.next().is_some() {
        return Err(Refusal::Missing("there are several tokens"));
    }
    let text = value.to_str().ok().and_then(|text| text.split_once(' '));
    match text {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") && is_token(token) => {
            Ok(token)
        }
        _ => Err(Refusal::Missing("what is there is no bearer token")),
    }
}

/// RFC 6750 section 2.1.
fn is_token(text: &str) -> bool {
    let is_allowed = |c: u8| c.is_ascii_alphanumeric() || b"-._~+/=".contains(&c);
    !text.is_empty() && text.len() <= MAX_TOKEN_BYTES && text.bytes().all(is_allowed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_one_plain_bearer_token_counts() {
        let read = |values: &[&str]| {
            let mut metadata = MetadataMap::new();
            for value in values {
                metadata.append("authorization", value.parse().expect("a value"));
            }
            token(&metadata).map(str::to_owned)
        };
        assert_eq!(read(&["Bearer a.b-c_d"]), Ok("a.b-c_d".to_owned()));
        assert_eq!(read(&["bearer x"]), Ok("x".to_owned()));
        let long = format!("Bearer {}", "x".repeat(MAX_TOKEN_BYTES));
        assert!(read(&[&long]).is_ok() && read(&[&format!("{long}x")]).is_err());
        let bad: [&[&str]; 9] = [
            &[],
            &[""],
            &["Bearer"],
            &["Bearer "],
            &["Bearer  x"],
            &["Bearer x y"],
            &["Basic x"],
            &["x"],
            &["Bearer x", "Bearer x"],
        ];
        for values in bad {
            assert!(matches!(read(values), Err(Refusal::Missing(_))), "{values:?}");
        }
    }
}
