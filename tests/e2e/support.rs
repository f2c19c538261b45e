//! What the tests of the operator share: a database, a cache, and the operator itself.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use api::crd;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::{
    Api,
    api::{Patch, PatchParams},
};
use testbed::{Node, wait};

use crate::smoke::SOON;

/// The operator, as a process in the network of the cluster. It ends when it is dropped.
pub struct Operator {
    command: Vec<String>,
    kubeconfig: PathBuf,
    log: PathBuf,
    child: Child,
}

impl Operator {
    pub fn start(node: &Node, namespace: &str) -> Self {
        Self::through(node, namespace, node.kubeconfig())
    }

    /// With another kubeconfig: that of a proxy.
    pub fn through(node: &Node, namespace: &str, kubeconfig: PathBuf) -> Self {
        let command = [
            env!("CARGO_BIN_EXE_openstack-release-operator"),
            "run",
            "--controllers=keystone",
            "--identity=e2e",
            &format!("--watch-namespace={namespace}"),
            // They run side by side.
            "--http-address=127.0.0.1:0",
        ];
        let command: Vec<String> = command.map(str::to_owned).to_vec();
        let log = node.dir().join("log").join(format!("operator-{namespace}.log"));
        let child = spawn(&command, &kubeconfig, &log);
        Self { command, kubeconfig, log, child }
    }

    /// SIGKILL, and a new process at once.
    pub fn kill_and_restart(&mut self) {
        self.kill();
        self.restart();
    }

    /// SIGKILL.
    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// A new process.
    pub fn restart(&mut self) {
        self.child = spawn(&self.command, &self.kubeconfig, &self.log);
    }

    pub fn log_tail(&self) -> String {
        let text = fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(40)..].join("\n")
    }
}

impl Drop for Operator {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn spawn(command: &[String], kubeconfig: &Path, log: &PathBuf) -> Child {
    let log = File::options().create(true).append(true).open(log).unwrap();
    Command::new(&command[0])
        .args(&command[1..])
        .env("KUBECONFIG", kubeconfig)
        .stdin(Stdio::null())
        .stdout(log.try_clone().unwrap())
        .stderr(log)
        .spawn()
        .unwrap()
}

/// A namespace with a database, a cache and the passwords, and the CRD of `Keystone`.
pub async fn backing(node: &Node, prefix: &str) -> String {
    let crds: Api<CustomResourceDefinition> = Api::all(node.client().await.unwrap());
    for crd in crd::all() {
        let name = crd.metadata.name.clone().unwrap();
        crds.patch(&name, &PatchParams::apply("e2e").force(), &Patch::Apply(&crd)).await.unwrap();
        Box::pin(wait::condition(&crds, &name, "Established", "True", SOON)).await.unwrap();
    }
    let namespace = node.namespace(prefix).await.unwrap();
    node.back(&namespace).await.unwrap();
    namespace
}
