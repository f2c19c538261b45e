//! A real cluster of one node: what `hack/cluster up` started, and in whose network `hack/cluster exec` runs us.

use std::{
    ffi::OsStr,
    fs::{self, Permissions},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, bail, ensure};
use k8s_openapi::api::{
    apps::v1::Deployment,
    core::v1::{Namespace, PersistentVolumeClaim},
};
use kube::{Api, Client, Config, ResourceExt, api::PostParams};
use serde_json::json;
use tokio::process::Command;

use crate::{Proxy, cluster::setup, fixtures, wait};

/// How long a database may take to be there; two cores are shared by all of it.
const BACKING_TIMEOUT: Duration = Duration::from_secs(180);

/// How long a claim may take to be bound.
const BOUND_TIMEOUT: Duration = Duration::from_secs(60);

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

    /// A proxy between an operator and the API server, with the administrator's rights.
    pub async fn proxy(&self) -> anyhow::Result<Proxy> {
        Proxy::before(Config::infer().await?, &self.state).await
    }

    /// Makes a pod lag: what the kubelet writes to this volume of a Secret does not reach it, until
    /// [`Node::lets_through`]. A copy lies over the volume where the kubelet sees it; the pod keeps what is below.
    pub async fn keeps_back(&self, pod_uid: &str, volume: &str) -> anyhow::Result<()> {
        let cover = "copy=$(mktemp -d); cp -a \"$1/.\" \"$copy\"; mount -t tmpfs -o mode=1777 tmpfs \"$1\"
            cp -a \"$copy/.\" \"$1\"; rm -r \"$copy\"";
        self.at_volume(pod_uid, volume, cover).await
    }

    /// The kubelet finds what the pod has, and mends it.
    pub async fn lets_through(&self, pod_uid: &str, volume: &str) -> anyhow::Result<()> {
        self.at_volume(pod_uid, volume, "umount \"$1\"").await
    }

    /// Runs a script where the kubelet sees the volumes of pods, with the path of one of them.
    async fn at_volume(&self, pod_uid: &str, volume: &str, script: &str) -> anyhow::Result<()> {
        let holder = fs::read_to_string(self.state.join("holder"))?;
        let pid = holder.split(' ').next().unwrap_or_default();
        let path = format!("kubelet/pods/{pod_uid}/volumes/kubernetes.io~secret/{volume}");
        let mut command = Command::new("nsenter");
        command.args(["--target", pid, "--mount", "sh", "-euc", script, "sh"]).arg(self.state.join(path));
        let output = command.output().await.context("cannot run nsenter")?;
        let error = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "{:?}: {error}", command.as_std().get_args().collect::<Vec<_>>());
        Ok(())
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

    /// The name by digest of an image that `hack/images` built: all that a pod may use that insists on pulling tags.
    pub fn digest(&self, image: &str) -> anyhow::Result<String> {
        for list in fs::read_dir(self.state.join("images"))? {
            let path = list?.path();
            if path.extension().is_none_or(|extension| extension != "digests") {
                continue;
            }
            let text = fs::read_to_string(path)?;
            let found = text.lines().filter_map(|line| line.split_once(' ')).find(|(name, _)| *name == image);
            if let Some((_, digest)) = found {
                return Ok(digest.to_owned());
            }
        }
        bail!("the cluster has no image {image}; run hack/images")
    }

    /// Applies a file of manifests in a namespace.
    pub async fn apply(&self, namespace: &str, file: impl AsRef<Path>) -> anyhow::Result<()> {
        let file = file.as_ref().as_os_str();
        let args = ["apply", "--namespace", namespace, "--filename"].map(OsStr::new);
        self.kubectl(args.into_iter().chain([file])).await?;
        Ok(())
    }

    /// A database, a cache and the passwords of a Keystone, ready to be used.
    pub async fn back(&self, namespace: &str) -> anyhow::Result<()> {
        self.claim(namespace, "mariadb").await?;
        self.apply(namespace, fixtures::backing()).await?;
        let api: Api<Deployment> = Api::namespaced(self.client().await?, namespace);
        for name in ["mariadb", "memcached"] {
            let available = Box::pin(wait::condition(&api, name, "Available", "True", BACKING_TIMEOUT)).await;
            if let Err(error) = available {
                bail!("{name}: {error:#}\n{}", self.describe(namespace).await);
            }
        }
        Ok(())
    }

    /// A claim, with a directory of the node behind it. It goes with the cluster.
    pub async fn claim(&self, namespace: &str, name: &str) -> anyhow::Result<()> {
        let volume = format!("{namespace}-{name}");
        let path = self.state.join("volumes").join(&volume);
        fs::create_dir_all(&path)?;
        // Nobody gives such a directory to the group of the pod.
        fs::set_permissions(&path, Permissions::from_mode(0o777))?;
        let (size, access) = (json!({"storage": "1Gi"}), json!(["ReadWriteOnce"]));
        let client = self.client().await?;
        let behind = json!({
            "apiVersion": "v1",
            "kind": "PersistentVolume",
            "metadata": {"name": volume},
            "spec": {
                "capacity": size,
                "accessModes": access,
                "hostPath": {"path": path},
                "storageClassName": "",
                "claimRef": {"namespace": namespace, "name": name},
            },
        });
        setup::apply(&client, behind).await?;
        let requests = json!({"requests": size});
        let claim = json!({
            "apiVersion": "v1",
            "kind": "PersistentVolumeClaim",
            "metadata": {"name": name, "namespace": namespace},
            "spec": {"accessModes": access, "resources": requests, "storageClassName": "", "volumeName": volume},
        });
        setup::apply(&client, claim).await?;
        // The scheduler looks at a pod whose claim is not bound yet again after minutes only, now and then.
        let claims: Api<PersistentVolumeClaim> = Api::namespaced(client, namespace);
        Box::pin(wait::value(&claims, name, "/status/phase", &json!("Bound"), BOUND_TIMEOUT)).await?;
        Ok(())
    }

    /// What one sees first when something did not come up: pods and the last events of a namespace.
    pub async fn describe(&self, namespace: &str) -> String {
        let pods = self.kubectl(["get", "pods", "--output=wide", "--namespace", namespace]).await;
        let events = self.kubectl(["events", "--namespace", namespace]).await;
        format!("{}\n{}", pods.unwrap_or_default(), events.unwrap_or_default())
    }
}
