//! AdmissionReview (admission.k8s.io/v1): what the API server asks and how it is answered.

use serde::{Deserialize, Serialize};
use serde_json::Value;

const API_VERSION: &str = "admission.k8s.io/v1";
const KIND: &str = "AdmissionReview";

/// A question of the API server.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Request {
    /// The question's own; the answer repeats it.
    pub uid: String,
    /// Of what kind the object is.
    pub kind: Kind,
    /// The object's namespace; empty for a kind of the cluster.
    #[serde(default)]
    pub namespace: String,
    /// What is to be done.
    pub operation: Operation,
    /// The object as it is to be; null for a deletion.
    #[serde(default)]
    pub object: Value,
    /// The object as it is; null for a creation.
    #[serde(default)]
    pub old_object: Value,
}

/// A kind by its names.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Kind {
    /// Its group; empty for the core's.
    #[serde(default)]
    pub group: String,
    /// Its version.
    pub version: String,
    /// Its name.
    pub kind: String,
}

/// A verb of admission.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
#[allow(missing_docs, reason = "the API server's own words")]
pub enum Operation {
    Create,
    Update,
    Delete,
    Connect,
}

/// What becomes of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Verdict {
    /// Why it is refused; none when it is not.
    pub refused: Option<String>,
    /// What its author should know all the same.
    pub warnings: Vec<String>,
}

impl Verdict {
    /// Taken, nothing to say.
    pub fn allow() -> Verdict {
        Verdict::default()
    }

    /// Refused.
    pub fn refuse(why: impl Into<String>) -> Verdict {
        Verdict { refused: Some(why.into()), warnings: Vec::new() }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Review {
    api_version: String,
    kind: String,
    request: Request,
}

/// Reads a question.
///
/// # Errors
/// Why it is none, in words for the API server's log.
pub fn read(body: &[u8]) -> Result<Request, String> {
    let review: Review = serde_json::from_slice(body).map_err(|error| format!("no {KIND}: {error}"))?;
    if review.api_version != API_VERSION || review.kind != KIND {
        return Err(format!("{} {:?} is not {API_VERSION} {KIND}", review.kind, review.api_version));
    }
    Ok(review.request)
}

/// The body of an answer.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Answer<'a> {
    api_version: &'static str,
    kind: &'static str,
    response: Response<'a>,
}

#[derive(Debug, Serialize)]
struct Response<'a> {
    uid: &'a str,
    allowed: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<Status<'a>>,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    warnings: &'a [String],
}

#[derive(Debug, Serialize)]
struct Status<'a> {
    code: u16,
    reason: &'static str,
    message: &'a str,
}

/// The answer to the question with this `uid`.
pub fn answer<'a>(uid: &'a str, verdict: &'a Verdict) -> Answer<'a> {
    // As the API server itself answers for a field that is wrong.
    let status = |message| Status { code: 422, reason: "Invalid", message };
    Answer {
        api_version: API_VERSION,
        kind: KIND,
        response: Response {
            uid,
            allowed: verdict.refused.is_none(),
            status: verdict.refused.as_deref().map(status),
            warnings: &verdict.warnings,
        },
    }
}
