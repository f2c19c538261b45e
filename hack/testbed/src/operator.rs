//! The operator as a process, with the environment that a bundle gives it.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::atomic::{AtomicUsize, Ordering},
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail};

use crate::{
    Cluster, Release,
    cluster::User,
    fetch,
    process::{POLL, Process, Signal},
    usage::{Usage, child_of},
};

/// How long it may take to end when asked to.
const STOP_TIMEOUT: Duration = Duration::from_secs(30);

/// How the operator is started.
#[derive(Clone, Debug)]
pub struct Options {
    /// The binary: a test passes `env!("CARGO_BIN_EXE_openstack-release-operator")`.
    pub binary: PathBuf,
    /// The namespace that it watches and keeps its Lease in.
    pub namespace: String,
    /// The bundle.
    pub release: Release,
    /// `RUST_LOG`.
    pub log: String,
    /// The controllers that it runs. By default the one whose surroundings the actors play: they play `Keystone`, too.
    pub controllers: Vec<&'static str>,
    /// Arguments after `run`.
    pub args: Vec<String>,
    /// How it reaches the API server; its own user's kubeconfig of the cluster when absent.
    pub kubeconfig: Option<PathBuf>,
    /// Further environment; wins over what is set here.
    pub env: Vec<(String, String)>,
}

impl Options {
    /// The usual: this binary, this namespace, this bundle.
    pub fn new(binary: impl Into<PathBuf>, namespace: &str, release: Release) -> Self {
        Self {
            binary: binary.into(),
            namespace: namespace.to_owned(),
            release,
            log: "info".to_owned(),
            controllers: vec!["release"],
            args: Vec::new(),
            kubeconfig: None,
            env: Vec::new(),
        }
    }

    /// With one more environment variable.
    #[must_use]
    pub fn with_env(mut self, name: &str, value: &str) -> Self {
        self.env.push((name.to_owned(), value.to_owned()));
        self
    }

    /// With another way to the API server, e.g. that of a [`Proxy`](crate::Proxy).
    #[must_use]
    pub fn with_kubeconfig(mut self, path: impl Into<PathBuf>) -> Self {
        self.kubeconfig = Some(path.into());
        self
    }

    /// With other controllers.
    #[must_use]
    pub fn with_controllers(mut self, controllers: &[&'static str]) -> Self {
        self.controllers = controllers.to_vec();
        self
    }

    /// With one more argument.
    #[must_use]
    pub fn with_arg(mut self, argument: &str) -> Self {
        self.args.push(argument.to_owned());
        self
    }
}

/// A running operator. Dropping it kills it.
#[derive(Debug)]
pub struct Operator {
    options: Options,
    kubeconfig: PathBuf,
    log: PathBuf,
    process: Process,
}

impl Operator {
    /// Starts the operator against a cluster. It is not waited for: what a test waits for is what it does.
    pub fn start(cluster: &Cluster, options: Options) -> anyhow::Result<Self> {
        Self::start_in(cluster.dir(), cluster.kubeconfig(User::Operator), options)
    }

    /// The same with its log in this directory. The kubeconfig is for options that name none.
    pub fn start_in(directory: &Path, kubeconfig: PathBuf, options: Options) -> anyhow::Result<Self> {
        static STARTED: AtomicUsize = AtomicUsize::new(0);
        // One log per instance: replicas of one namespace must not mix theirs.
        let number = STARTED.fetch_add(1, Ordering::Relaxed);
        let log = directory.join(format!("operator-{}-{number}.log", options.namespace));
        let kubeconfig = options.kubeconfig.clone().unwrap_or(kubeconfig);
        let process = spawn(&options, &kubeconfig, &log)?;
        Ok(Self { options, kubeconfig, log, process })
    }

    /// SIGKILL; returns when it is gone.
    pub async fn kill(&mut self) -> anyhow::Result<()> {
        self.process.signal(Signal::Kill)?;
        self.process.wait(STOP_TIMEOUT).await?;
        Ok(())
    }

    /// SIGTERM; returns its exit code.
    pub async fn stop(&mut self) -> anyhow::Result<i32> {
        self.process.signal(Signal::Term)?;
        self.process.wait(STOP_TIMEOUT).await
    }

    /// Makes it stand still, as a node without CPU would.
    pub fn freeze(&mut self) -> anyhow::Result<()> {
        self.process.signal(Signal::Stop)
    }

    /// Lets it go on.
    pub fn thaw(&mut self) -> anyhow::Result<()> {
        self.process.signal(Signal::Cont)
    }

    /// Kills it, if it runs, and starts it again with the same bundle.
    pub async fn restart(&mut self) -> anyhow::Result<()> {
        if self.exited()?.is_none() {
            self.kill().await?;
        }
        self.process = spawn(&self.options, &self.kubeconfig, &self.log)?;
        Ok(())
    }

    /// Kills it, if it runs, and starts it again as another bundle would.
    pub async fn restart_with(&mut self, release: &Release) -> anyhow::Result<()> {
        self.options.release = release.clone();
        self.restart().await
    }

    /// Where it answers probes and tells metrics, once it has said so.
    pub fn http_address(&self) -> Option<SocketAddr> {
        let log = self.process.log_tail(usize::MAX);
        let line = log.lines().rev().find(|line| line.contains("probes and metrics"))?;
        line.split_once("address=")?.1.split_whitespace().next()?.parse().ok()
    }

    /// Asks it by HTTP; its status code and its text.
    pub async fn ask(&self, path: &str) -> anyhow::Result<(u16, String)> {
        let address = self.http_address().context("it has not said where it listens")?;
        fetch::get(&format!("http://{address}{path}")).await
    }

    /// Asks it again and again until the answer is as wanted, and returns it; there is nothing to watch.
    pub async fn answers(
        &self,
        path: &str,
        timeout: Duration,
        holds: impl Fn(u16, &str) -> bool,
    ) -> anyhow::Result<String> {
        let start = Instant::now();
        loop {
            let answer = self.ask(path).await;
            if let Ok((code, text)) = &answer
                && holds(*code, text)
            {
                return Ok(text.clone());
            }
            if start.elapsed() > timeout {
                bail!("{path} did not answer as wanted within {timeout:?}: {answer:?}");
            }
            tokio::time::sleep(POLL).await;
        }
    }

    /// What it uses now.
    pub fn usage(&self) -> anyhow::Result<Usage> {
        Usage::of(child_of(self.process.keeper(), &self.options.binary)?)
    }

    /// Its exit code, if it ended.
    pub fn exited(&mut self) -> anyhow::Result<Option<i32>> {
        self.process.exited()
    }

    /// The last lines of its output, over all restarts.
    pub fn log_tail(&self, lines: usize) -> String {
        self.process.log_tail(lines)
    }

    /// How it was started last.
    pub fn options(&self) -> &Options {
        &self.options
    }

    /// The name under which it takes part in the election.
    pub fn name(&self) -> String {
        name(&self.log)
    }

    /// The path of its output.
    pub fn log(&self) -> &Path {
        &self.log
    }
}

fn spawn(options: &Options, kubeconfig: &Path, log: &Path) -> anyhow::Result<Process> {
    let mut env = options.release.env();
    // As the downward API would: one name per replica, kept over restarts.
    env.extend([
        ("POD_NAME".to_owned(), name(log)),
        ("KUBECONFIG".to_owned(), kubeconfig.display().to_string()),
        ("WATCH_NAMESPACE".to_owned(), options.namespace.clone()),
        ("POD_NAMESPACE".to_owned(), options.namespace.clone()),
        ("RUST_LOG".to_owned(), options.log.clone()),
        ("RUST_BACKTRACE".to_owned(), "1".to_owned()),
        // Operators run side by side: each takes a free port and tells it.
        ("HTTP_ADDRESS".to_owned(), "127.0.0.1:0".to_owned()),
    ]);
    env.push(("CONTROLLERS".to_owned(), options.controllers.join(",")));
    env.extend(options.env.iter().cloned());
    let args = std::iter::once("run").chain(options.args.iter().map(String::as_str));
    Process::spawn("the operator", log, &options.binary, args, env)
}

fn name(log: &Path) -> String {
    log.file_stem().unwrap_or_default().to_string_lossy().into_owned()
}
