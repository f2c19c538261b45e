//! The Kubernetes client, with deadlines.

use std::{future::Future, time::Duration};

use anyhow::Context as _;
use kube::{Client, Config};

/// How long one API call may take. kube's own retries may sleep for minutes; the engine has its own.
pub const DEADLINE: Duration = Duration::from_secs(15);

/// A client from `KUBECONFIG`, the default kubeconfig or the cluster that the process runs in.
pub async fn connect() -> anyhow::Result<Client> {
    let mut config = Config::infer().await.context("no kubeconfig and no cluster found; set KUBECONFIG")?;
    config.default_retry = false;
    config.connect_timeout = Some(Duration::from_secs(5));
    Client::try_from(config).context("the client cannot be built from the kubeconfig")
}

/// An API call that did not succeed.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// The API server said no, or could not be reached.
    #[error("{0}")]
    Api(#[from] kube::Error),
    /// No answer in time.
    #[error("no answer from the API server within {}s", DEADLINE.as_secs())]
    Deadline,
}

impl CallError {
    /// Whether the write was based on an outdated view: planning again is the answer.
    pub fn is_conflict(&self) -> bool {
        matches!(self, Self::Api(kube::Error::Api(status)) if status.is_conflict())
    }

    /// Whether the object is gone.
    pub fn is_not_found(&self) -> bool {
        matches!(self, Self::Api(kube::Error::Api(status)) if status.is_not_found())
    }
}

/// Makes an API call with a deadline.
pub async fn call<T>(request: impl Future<Output = Result<T, kube::Error>>) -> Result<T, CallError> {
    match tokio::time::timeout(DEADLINE, request).await {
        Ok(answer) => answer.map_err(CallError::Api),
        Err(_) => Err(CallError::Deadline),
    }
}
