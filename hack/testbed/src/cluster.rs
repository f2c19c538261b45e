//! A control plane of real parts: etcd, kube-apiserver, and kube-controller-manager for garbage collection, Deployments
//! and Jobs.
//!
//! A [`Cluster`] holds plain data and processes only, so one may be shared by tests with a runtime each
//! ([`shared`]); clients are made per test.

use std::{
    net::TcpListener,
    path::{Path, PathBuf},
    process::Output,
    time::{Duration, Instant},
};

use anyhow::{Context, bail};
use k8s_openapi::api::core::v1::Namespace;
use kube::{
    Api, Client, Config, ResourceExt,
    api::PostParams,
    config::{KubeConfigOptions, Kubeconfig},
};
use serde_json::json;
use tokio::{
    process::Command,
    sync::{Mutex, OnceCell},
};

use crate::{
    parts,
    process::{POLL, Process, Signal},
    usage::{Usage, child_of},
};

mod audit;
mod files;
pub mod setup;

pub use audit::{Access, Accesses, Write};
pub use files::User;

/// How long a part may take to answer. Generous: several test runs may share two cores.
const READY_TIMEOUT: Duration = Duration::from_secs(90);

/// What a cluster has.
#[derive(Clone, Debug)]
pub struct Options {
    /// Whether requests of the operator and of the administrator are recorded.
    pub audit: bool,
    /// The controllers that [`Cluster::start_controllers`] runs; with none there is no kube-controller-manager.
    pub controllers: Vec<&'static str>,
    /// Whether the API server may take memory to need less CPU: a sixth of it in a test run. Not for measurements.
    pub spend_memory: bool,
}

/// What `Options::spend_memory` means to a Go program: let the heap grow to five times of what is in use, within a limit.
const SPEND_MEMORY: [(&str, &str); 2] = [("GOGC", "400"), ("GOMEMLIMIT", "3GiB")];

impl Default for Options {
    fn default() -> Self {
        let controllers = vec![
            "garbage-collector-controller",
            "namespace-controller",
            // Without an account no pod can be made.
            "serviceaccount-controller",
            "deployment-controller",
            "replicaset-controller",
            "job-controller",
        ];
        Self { audit: true, controllers, spend_memory: true }
    }
}

impl Options {
    /// etcd and the API server, and nothing else.
    pub fn bare() -> Self {
        Self { audit: false, controllers: Vec::new(), ..Self::default() }
    }
}

/// A running control plane. Dropping it kills its processes and deletes its files (`ORO_KEEP=1` keeps the files).
#[derive(Debug)]
pub struct Cluster {
    options: Options,
    parts: PathBuf,
    dir: PathBuf,
    etcd_port: u16,
    port: u16,
    controllers: Mutex<Option<Process>>,
    apiserver: Mutex<Option<Process>>,
    etcd: Mutex<Process>,
    // Last: fields are dropped in order, and nothing may write into a directory that is being deleted.
    _janitor: Option<Process>,
}

impl Cluster {
    /// Starts etcd and the API server, and waits until it answers. Nothing is installed yet: see [`Cluster::prepare`].
    pub async fn start(options: Options) -> anyhow::Result<Self> {
        let parts = parts::control_plane().await?;
        let dir = tempfile::Builder::new().prefix("oro-testbed-").tempdir()?.keep();
        let keep = std::env::var_os("ORO_KEEP").is_some();
        let janitor = (!keep).then(|| Process::janitor(&dir)).transpose()?;
        let [etcd_port, peer_port, port] = free_ports()?;
        files::write(&dir, port)?;
        let etcd = start_etcd(&parts, &dir, etcd_port, peer_port)?;
        let cluster = Self {
            options,
            parts,
            dir,
            etcd_port,
            port,
            controllers: Mutex::new(None),
            apiserver: Mutex::new(None),
            etcd: Mutex::new(etcd),
            _janitor: janitor,
        };
        cluster.start_apiserver().await?;
        Ok(cluster)
    }

    /// Installs everything that the operator finds on a cluster: CRDs, RBAC, admission policies; then starts the
    /// controllers (later, because the garbage collector looks for new kinds only every half minute).
    pub async fn prepare(&self) -> anyhow::Result<()> {
        self.install_crds().await?;
        self.install_rbac().await?;
        self.install_admission().await?;
        self.start_controllers().await
    }

    /// A client of the administrator, for the runtime that calls.
    pub async fn client(&self) -> anyhow::Result<Client> {
        self.client_of(User::Admin).await
    }

    /// A client of a user.
    pub async fn client_of(&self, user: User) -> anyhow::Result<Client> {
        Ok(Client::try_from(self.config(user).await?)?)
    }

    /// The kubeconfig of a user.
    pub fn kubeconfig(&self, user: User) -> PathBuf {
        files::kubeconfig(&self.dir, user)
    }

    /// The record of requests, one JSON object per line.
    pub fn audit_log(&self) -> PathBuf {
        self.dir.join(files::AUDIT_LOG)
    }

    /// What a user wrote, from the audit log, in order. Complete: the API server records a request before it answers.
    pub fn writes(&self, user: User) -> anyhow::Result<Vec<Write>> {
        audit::writes(&self.audit_log(), user)
    }

    /// Everything a user asked for, reads included. A watch counts when it ends.
    pub fn requests(&self, user: User) -> anyhow::Result<Vec<Write>> {
        audit::requests(&self.audit_log(), user)
    }

    /// What a user needed of his roles, and what he was refused.
    pub fn accesses(&self, user: User) -> anyhow::Result<Accesses> {
        audit::accesses(&self.audit_log(), user)
    }

    /// The directory of this cluster's files and logs.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Creates a namespace with a name of its own, in which the operator may do what its roles say.
    pub async fn namespace(&self, prefix: &str) -> anyhow::Result<String> {
        let client = self.client().await?;
        let api: Api<Namespace> = Api::all(client.clone());
        let namespace = serde_json::from_value(json!({"metadata": {"generateName": format!("{prefix}-")}}))?;
        let name = api.create(&PostParams::default(), &namespace).await?.name_any();
        self.grant_roles(&client, &name).await?;
        Ok(name)
    }

    /// The directory of the programs, among them `kubectl`.
    pub fn programs(&self) -> &Path {
        &self.parts
    }

    /// Runs kubectl as the administrator.
    pub async fn kubectl<A: AsRef<std::ffi::OsStr>>(
        &self,
        args: impl IntoIterator<Item = A>,
    ) -> anyhow::Result<Output> {
        let mut command = Command::new(self.parts.join("kubectl"));
        command.env("KUBECONFIG", self.kubeconfig(User::Admin)).env("HOME", &self.dir).args(args).kill_on_drop(true);
        Ok(command.output().await?)
    }

    /// Starts the API server, if it does not run, and waits until it is ready.
    pub async fn start_apiserver(&self) -> anyhow::Result<()> {
        let mut slot = self.apiserver.lock().await;
        if slot.is_some() {
            return Ok(());
        }
        let args = files::apiserver_args(&self.dir, self.port, self.etcd_port, self.options.audit);
        let log = self.dir.join("kube-apiserver.log");
        let env = SPEND_MEMORY.iter().filter(|_| self.options.spend_memory);
        let env = env.map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let server =
            slot.insert(Process::spawn("kube-apiserver", &log, &self.parts.join("kube-apiserver"), args, env)?);
        let start = Instant::now();
        loop {
            if let Some(code) = server.exited()? {
                let etcd = self.etcd.lock().await.log_tail(10);
                bail!("kube-apiserver ended with {code}:\n{}\n--- etcd:\n{etcd}", server.log_tail(30));
            }
            let error = match self.ready().await {
                Ok(()) => return Ok(()),
                Err(error) => error,
            };
            if start.elapsed() > READY_TIMEOUT {
                bail!("kube-apiserver is not ready after {READY_TIMEOUT:?}: {error:#}\n{}", server.log_tail(30));
            }
            tokio::time::sleep(POLL).await;
        }
    }

    /// What the API server uses.
    pub async fn apiserver_usage(&self) -> anyhow::Result<Usage> {
        let slot = self.apiserver.lock().await;
        let keeper = slot.as_ref().context("no API server runs")?.keeper();
        Usage::of(child_of(keeper, &self.parts.join("kube-apiserver"))?)
    }

    /// Kills the API server: an outage, until [`Cluster::start_apiserver`].
    pub async fn stop_apiserver(&self) {
        self.apiserver.lock().await.take();
    }

    /// Kills the API server and starts it again.
    pub async fn restart_apiserver(&self) -> anyhow::Result<()> {
        self.stop_apiserver().await;
        self.start_apiserver().await
    }

    /// Ends every process, for good: a cluster that lives as long as the program, and is not needed any more.
    pub async fn end(&self) {
        self.controllers.lock().await.take();
        self.stop_apiserver().await;
        let _ = self.etcd.lock().await.signal(Signal::Kill);
    }

    /// Makes etcd stand still, as a node whose disk does not answer: nothing is read or written, until
    /// [`Cluster::resume_etcd`].
    pub async fn pause_etcd(&self) -> anyhow::Result<()> {
        self.etcd.lock().await.signal(Signal::Stop)
    }

    /// Lets etcd go on.
    pub async fn resume_etcd(&self) -> anyhow::Result<()> {
        self.etcd.lock().await.signal(Signal::Cont)
    }

    /// Starts kube-controller-manager with the controllers of the options.
    pub async fn start_controllers(&self) -> anyhow::Result<()> {
        let mut slot = self.controllers.lock().await;
        if slot.is_none() && !self.options.controllers.is_empty() {
            let args = [
                format!("--kubeconfig={}", self.kubeconfig(User::Admin).display()),
                format!("--controllers={}", self.options.controllers.join(",")),
                "--leader-elect=false".to_owned(),
                "--secure-port=0".to_owned(),
                "--use-service-account-credentials=false".to_owned(),
            ];
            let log = self.dir.join("kube-controller-manager.log");
            let program = self.parts.join("kube-controller-manager");
            *slot = Some(Process::spawn("kube-controller-manager", &log, &program, args, [])?);
        }
        Ok(())
    }

    async fn ready(&self) -> anyhow::Result<()> {
        let mut config = self.config(User::Admin).await?;
        // The client's own retries would hide for seconds that the server is up.
        config.default_retry = false;
        let request = http::Request::get("/readyz").body(Vec::new())?;
        let answer = Client::try_from(config)?.request_text(request).await?;
        if answer == "ok" { Ok(()) } else { bail!("/readyz says {answer}") }
    }

    pub(crate) async fn config(&self, user: User) -> anyhow::Result<Config> {
        let kubeconfig = Kubeconfig::read_from(self.kubeconfig(user))?;
        Ok(Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await?)
    }
}

/// The cluster of this process, prepared; started by whoever asks first.
pub async fn shared() -> anyhow::Result<&'static Cluster> {
    static CLUSTER: OnceCell<Cluster> = OnceCell::const_new();
    let start = || async {
        let cluster = Cluster::start(Options::default()).await?;
        cluster.prepare().await?;
        Ok(cluster)
    };
    CLUSTER.get_or_try_init(start).await
}

/// Ports that nobody listens on. All are held until all are known, so that they differ.
pub(crate) fn free_ports<const N: usize>() -> anyhow::Result<[u16; N]> {
    let mut held = Vec::new();
    let mut ports = [0; N];
    for port in &mut ports {
        let listener = TcpListener::bind(("127.0.0.1", 0))?;
        *port = listener.local_addr()?.port();
        held.push(listener);
    }
    Ok(ports)
}

fn start_etcd(parts: &Path, dir: &Path, port: u16, peer_port: u16) -> anyhow::Result<Process> {
    let url = format!("http://127.0.0.1:{port}");
    let peer = format!("http://127.0.0.1:{peer_port}");
    let args = [
        "--name=testbed".to_owned(),
        format!("--data-dir={}", dir.join("etcd").display()),
        format!("--listen-client-urls={url}"),
        format!("--advertise-client-urls={url}"),
        format!("--listen-peer-urls={peer}"),
        format!("--initial-advertise-peer-urls={peer}"),
        format!("--initial-cluster=testbed={peer}"),
        "--unsafe-no-fsync".to_owned(),
        "--log-level=warn".to_owned(),
    ];
    Process::spawn("etcd", &dir.join("etcd.log"), &parts.join("etcd"), args, [])
}
