//! A real cluster of one node: what `hack/cluster up` started, and in whose network `hack/cluster exec` runs us.

use std::{
    ffi::OsStr,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, bail};
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper_util::{client::legacy::Client as HttpClient, rt::TokioExecutor};
use k8s_openapi::api::core::v1::Namespace;
use kube::{Api, Client, ResourceExt, api::PostParams};
use serde_json::json;
use tokio::process::Command;

/// How long a request may take.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);

/// A real cluster. It belongs to whoever started it and lives on.
#[derive(Clone, Debug)]
pub struct Node {
    state: PathBuf,
}

impl Node {
    /// The cluster in whose network we run.
    pub fn here() -> anyhow::Result<Self> {
        let state = std::env::var_os("ORO_CLUSTER_STATE")
            .context("this must run in the network of a real cluster: hack/test --e2e, or hack/cluster exec")?;
        Ok(Self { state: state.into() })
    }

    /// The directory of the cluster's files; `log/` has the log of each part.
    pub fn dir(&self) -> &Path {
        &self.state
    }

    /// The kubeconfig of the administrator.
    pub fn kubeconfig(&self) -> PathBuf {
        self.state.join("kubeconfig")
    }

    /// A client of the administrator, for the runtime that calls.
    pub async fn client(&self) -> anyhow::Result<Client> {
        // `hack/cluster exec` sets KUBECONFIG.
        Ok(Client::try_default().await?)
    }

    /// Creates a namespace with a name of its own.
    pub async fn namespace(&self, prefix: &str) -> anyhow::Result<String> {
        let api: Api<Namespace> = Api::all(self.client().await?);
        let namespace = serde_json::from_value(json!({"metadata": {"generateName": format!("{prefix}-")}}))?;
        Ok(api.create(&PostParams::default(), &namespace).await?.name_any())
    }

    /// Runs kubectl as the administrator, and returns what it prints.
    pub async fn kubectl<A: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = A>) -> anyhow::Result<String> {
        let mut command = Command::new("kubectl");
        command.env("KUBECONFIG", self.kubeconfig()).args(args).kill_on_drop(true);
        let output = command.output().await.context("cannot run kubectl")?;
        if !output.status.success() {
            let error = String::from_utf8_lossy(&output.stderr);
            bail!("{:?}: {error}", command.as_std().get_args().collect::<Vec<_>>());
        }
        Ok(String::from_utf8(output.stdout)?)
    }

    /// Applies a file of manifests in a namespace.
    pub async fn apply(&self, namespace: &str, file: impl AsRef<Path>) -> anyhow::Result<()> {
        let file = file.as_ref().as_os_str();
        let args = ["apply", "--namespace", namespace, "--filename"].map(OsStr::new);
        self.kubectl(args.into_iter().chain([file])).await?;
        Ok(())
    }

    /// What one sees first when something did not come up: pods and the last events of a namespace.
    pub async fn describe(&self, namespace: &str) -> String {
        let pods = self.kubectl(["get", "pods", "--output=wide", "--namespace", namespace]).await;
        let events = self.kubectl(["events", "--namespace", namespace]).await;
        format!("{}\n{}", pods.unwrap_or_default(), events.unwrap_or_default())
    }
}

/// Sends one request over a connection of its own, and reads the whole answer. Names of Services resolve.
pub async fn send(request: Request<String>) -> anyhow::Result<Response<String>> {
    let what = format!("{} {}", request.method(), request.uri());
    let exchange = async {
        let client = HttpClient::builder(TokioExecutor::new()).build_http::<Full<Bytes>>();
        let (head, body) = client.request(request.map(|body| Full::new(body.into()))).await?.into_parts();
        let body = body.collect().await?.to_bytes();
        anyhow::Ok(Response::from_parts(head, String::from_utf8(body.to_vec())?))
    };
    let answer = tokio::time::timeout(ANSWER_TIMEOUT, exchange).await;
    answer.with_context(|| format!("{what}: no answer within {ANSWER_TIMEOUT:?}"))?.with_context(|| what)
}
