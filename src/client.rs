//! The Kubernetes client, with deadlines.

mod proxy;

use std::{future::Future, path::Path, sync::OnceLock, time::Duration};

use anyhow::Context as _;
use kube::{
    Client, Config,
    config::{KubeConfigOptions, Kubeconfig},
    core::Status,
};

/// How long one API call may take. kube's own retries may sleep for minutes; the engine has its own.
const DEADLINE: Duration = Duration::from_secs(15);

/// How long a watch lasts before it is renewed. A connection that is dead and does not say so (a firewall that forgot
/// it) is noticed a little later than that.
const WATCH: Duration = Duration::from_secs(60);

/// How much longer than a watch nothing at all may arrive.
const SILENCE_MARGIN: Duration = Duration::from_secs(10);

/// Deadlines other than the usual ones, for tests.
#[derive(Clone, Copy, Debug)]
pub struct Deadlines {
    /// Of one API call.
    pub call: Duration,
    /// Of one watch.
    pub watch: Duration,
}

static DEADLINES: OnceLock<Deadlines> = OnceLock::new();

impl Deadlines {
    /// Those of this process.
    pub fn get() -> Self {
        *DEADLINES.get_or_init(Self::default)
    }

    /// How long a watch may fail before what it brought is called out of date.
    pub fn stale(self) -> Duration {
        self.call * 2
    }

    /// How long a connection may say nothing at all.
    pub(crate) fn silence(self) -> Duration {
        self.watch + SILENCE_MARGIN
    }

    /// Sets those of this process; only the first call before any use has an effect.
    pub fn set(self) {
        let _ = DEADLINES.set(self);
    }
}

impl Default for Deadlines {
    fn default() -> Self {
        Self { call: DEADLINE, watch: WATCH }
    }
}

/// A client from `KUBECONFIG`, the default kubeconfig or the cluster that the process runs in.
pub async fn connect() -> anyhow::Result<Client> {
    connect_with(config(None, None).await?)
}

/// How a cluster is reached: as that kubeconfig and that context say, else those that kubectl takes, else the cluster that
/// the process runs in.
pub async fn config(path: Option<&Path>, context: Option<&str>) -> anyhow::Result<Config> {
    let options = KubeConfigOptions { context: context.map(str::to_owned), ..KubeConfigOptions::default() };
    let read = || path.map_or_else(Kubeconfig::read, Kubeconfig::read_from);
    let mut config = match (path, context) {
        (None, None) => Config::infer().await.context("no kubeconfig and no cluster found; set KUBECONFIG")?,
        _ => Config::from_custom_kubeconfig(read()?, &options).await?,
    };
    if config.proxy_url.is_some() && proxy::is_spared(&config.cluster_url, &proxy::exceptions()) {
        let named = read().is_ok_and(|kubeconfig| proxy::is_named(&kubeconfig, context));
        config.proxy_url = config.proxy_url.filter(|_| named);
    }
    Ok(config)
}

/// A client with our deadlines.
pub fn connect_with(mut config: Config) -> anyhow::Result<Client> {
    config.default_retry = false;
    config.connect_timeout = Some(Duration::from_secs(5));
    // A list has no other deadline: without this one, an answer that never comes would blind the operator for ever.
    config.read_timeout = Some(Deadlines::get().silence());
    config.reset_reader_on_write = true;
    Client::try_from(config).context("the client cannot be built from the kubeconfig")
}

/// An API call that did not succeed.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// The API server said no, or could not be reached.
    #[error("{}", text(.0))]
    Api(#[from] kube::Error),
    /// No answer in time.
    #[error("no answer from the API server within {}s", Deadlines::get().call.as_secs())]
    Deadline,
    /// An object of that name is somebody else's.
    #[error("it is there already and has no label {0}; delete or rename it, or set the label to hand it over")]
    NotOurs(String),
    /// It was taken, and nothing of it was kept.
    #[error(
        "the API server does not keep what is said; install the CustomResourceDefinitions of this operator's version"
    )]
    NotKept,
}

impl CallError {
    /// Whether the write was based on an outdated view: planning again is the answer. A field that is somebody else's
    /// stays that, however often one tries.
    pub fn is_conflict(&self) -> bool {
        matches!(self, Self::Api(kube::Error::Api(status)) if status.is_conflict() && !is_about_owners(status))
    }

    /// Whether an object of that name is there already.
    pub fn is_already_exists(&self) -> bool {
        matches!(self, Self::Api(kube::Error::Api(status)) if status.is_already_exists())
    }

    /// Whether the object is gone, or its kind is not installed: of a group that it does not know at all, the API server
    /// says so without a status that could be read.
    pub fn is_not_found(&self) -> bool {
        matches!(self, Self::Api(kube::Error::Api(status)) if status.is_not_found() || status.code == 404)
    }
}

/// Whether the API server refuses an apply because another manager has the field.
fn is_about_owners(status: &Status) -> bool {
    let causes = status.details.iter().flat_map(|details| &details.causes);
    causes.into_iter().any(|cause| cause.reason == "FieldManagerConflict")
}

/// What kind of failure a call was: few words, for counting.
#[derive(Clone, Copy, Debug, PartialEq, Eq, strum::IntoStaticStr)]
pub enum ErrorClass {
    /// Somebody else wrote in between, or was first.
    Conflict,
    /// The object is gone.
    NotFound,
    /// The operator lacks a right.
    Forbidden,
    /// The object was refused: by its schema or by an admission policy.
    Invalid,
    /// The API server asks for patience.
    TooManyRequests,
    /// The API server failed.
    ServerError,
    /// No answer in time.
    Deadline,
    /// An object of that name is somebody else's.
    NotOurs,
    /// The API server has a schema without the fields.
    NotKept,
    /// There was no answer at all, or one that cannot be read.
    Unreachable,
}

impl ErrorClass {
    /// That of an error.
    pub fn of(error: &CallError) -> Self {
        match error {
            CallError::Api(kube::Error::Api(status)) => match status.code {
                409 => Self::Conflict,
                404 | 410 => Self::NotFound,
                401 | 403 => Self::Forbidden,
                429 => Self::TooManyRequests,
                400..=499 => Self::Invalid,
                _ => Self::ServerError,
            },
            CallError::Api(_) => Self::Unreachable,
            CallError::Deadline => Self::Deadline,
            CallError::NotOurs(_) => Self::NotOurs,
            CallError::NotKept => Self::NotKept,
        }
    }
}

/// What the API server said, in its own words where it answered.
fn text(error: &kube::Error) -> String {
    match error {
        kube::Error::Api(status) if !status.message.is_empty() => status.message.clone(),
        other => other.to_string(),
    }
}

/// Makes an API call with a deadline.
pub async fn call<T>(request: impl Future<Output = Result<T, kube::Error>>) -> Result<T, CallError> {
    match tokio::time::timeout(Deadlines::get().call, request).await {
        Ok(answer) => answer.map_err(CallError::Api),
        Err(_) => Err(CallError::Deadline),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use serde_json::json;

    use super::*;

    /// "404 page not found", as plain text.
    #[test]
    fn a_kind_whose_group_is_unknown_is_not_found() {
        let answer = Status::failure("404 page not found", "Failed to parse error data").with_code(404);
        assert!(CallError::Api(kube::Error::Api(answer.boxed())).is_not_found());
        let refusal = Status::failure("no", "Forbidden").with_code(403);
        assert!(!CallError::Api(kube::Error::Api(refusal.boxed())).is_not_found());
    }

    #[test]
    fn a_field_of_another_manager_is_no_outdated_view() {
        let conflict = |reason: &str| {
            let details = json!({"causes": [{"reason": reason, "message": "", "field": ".spec.targetVersion"}]});
            let details = serde_json::from_value(details).unwrap();
            let status = Status::failure("Apply failed", "Conflict").with_code(409).with_details(details);
            CallError::Api(kube::Error::Api(status.boxed())).is_conflict()
        };
        assert!(conflict(""));
        assert!(!conflict("FieldManagerConflict"));
    }
}
