//! What is done to which requests.

use std::time::Duration;

use http::{Response, header};
use serde_json::json;

use super::{Answer, Call, whole};

/// What is done to a request.
#[derive(Clone, Debug)]
pub enum Fault {
    /// The server is not asked; this is the answer.
    Answer {
        /// The HTTP status.
        code: u16,
        /// The header `Retry-After`, in seconds.
        retry_after: Option<u32>,
    },
    /// It is forwarded only after this time.
    Delay(Duration),
    /// It is neither forwarded nor answered.
    Silence,
    /// The connection ends before the server is asked.
    Drop,
    /// The server is asked; the connection ends before its answer.
    DropAnswer,
}

/// Which requests are spoiled, and how.
#[derive(Clone, Debug)]
pub struct Rule {
    fault: Fault,
    verbs: Vec<&'static str>,
    resource: Option<String>,
    subresource: Option<String>,
    name: Option<String>,
    times: Option<usize>,
}

impl Rule {
    /// Does this to every request but those about Leases.
    pub fn new(fault: Fault) -> Self {
        Self { fault, verbs: Vec::new(), resource: None, subresource: None, name: None, times: None }
    }

    /// Answers with this HTTP status.
    pub fn answer(code: u16) -> Self {
        Self::new(Fault::Answer { code, retry_after: None })
    }

    /// Only these verbs (see [`Call::verb`]).
    #[must_use]
    pub fn verbs(mut self, verbs: &[&'static str]) -> Self {
        verbs.clone_into(&mut self.verbs);
        self
    }

    /// Only what would change something.
    #[must_use]
    pub fn writes(self) -> Self {
        self.verbs(&["create", "update", "patch", "delete"])
    }

    /// Only this kind, by its plural name. A rule may name Leases; one that names no kind leaves them alone, because a
    /// lost Lease ends the operator.
    #[must_use]
    pub fn resource(mut self, plural: &str) -> Self {
        self.resource = Some(plural.to_owned());
        self
    }

    /// Only this subresource; empty for the object itself.
    #[must_use]
    pub fn subresource(mut self, subresource: &str) -> Self {
        self.subresource = Some(subresource.to_owned());
        self
    }

    /// Only the object of this name.
    #[must_use]
    pub fn name(mut self, name: &str) -> Self {
        self.name = Some(name.to_owned());
        self
    }

    /// Only so often.
    #[must_use]
    pub fn times(mut self, times: usize) -> Self {
        self.times = Some(times);
        self
    }

    /// What is to be done to the call, if it is one of these.
    pub(super) fn take(&mut self, call: &Call) -> Option<Fault> {
        let is = |wanted: &Option<String>, found: &str| wanted.as_deref().is_none_or(|wanted| wanted == found);
        let resource = self.resource.is_some() || call.resource != "leases";
        let matches = resource
            && (self.verbs.is_empty() || self.verbs.contains(&call.verb))
            && is(&self.resource, &call.resource)
            && is(&self.subresource, &call.subresource)
            && is(&self.name, &call.name)
            && self.times != Some(0);
        matches.then(|| {
            self.times = self.times.map(|times| times - 1);
            self.fault.clone()
        })
    }
}

/// An answer as the API server would give it.
pub(super) fn refusal(call: &Call, code: u16, retry_after: Option<u32>) -> anyhow::Result<Answer> {
    let reason = match code {
        403 => "Forbidden",
        404 => "NotFound",
        409 => "Conflict",
        410 => "Expired",
        429 => "TooManyRequests",
        503 => "ServiceUnavailable",
        504 => "Timeout",
        _ => "InternalError",
    };
    let status = json!({
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Failure",
        "message": format!("{} of {} refused by the proxy with {code}", call.verb, call.target()),
        "reason": reason,
        "code": code,
    });
    let mut response = Response::builder().status(code).header(header::CONTENT_TYPE, "application/json");
    if let Some(seconds) = retry_after {
        response = response.header(header::RETRY_AFTER, seconds);
    }
    Ok(response.body(whole(status.to_string().into()))?)
}
