//! `hack/cluster` itself, from outside: it comes up after an `up` that was killed, and `down` leaves nothing.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod readme;

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    thread,
    time::{Duration, Instant},
};

const POLL: Duration = Duration::from_millis(20);
const SOON: Duration = Duration::from_secs(120);

/// A cluster of a name of its own. Dropping it takes it down.
struct Cluster(String);

impl Cluster {
    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(testbed::root().join("hack/cluster"));
        command.env("ORO_CLUSTER", &self.0).args(args).stdin(Stdio::null());
        command
    }

    fn run(&self, args: &[&str]) -> Output {
        self.command(args).output().unwrap()
    }

    fn must(&self, args: &[&str]) -> String {
        succeeded(self.command(args))
    }

    fn state(&self) -> PathBuf {
        Path::new(&self.must(&["kubeconfig"])).parent().unwrap().to_owned()
    }
}

/// What a command prints, which has to end well.
fn succeeded(mut command: Command) -> String {
    let Output { status, stdout, stderr } = command.output().unwrap();
    let (out, error) = (String::from_utf8_lossy(&stdout), String::from_utf8_lossy(&stderr));
    assert!(status.success(), "{command:?}\n{out}\n{error}");
    out.trim().to_owned()
}

impl Drop for Cluster {
    fn drop(&mut self) {
        let _ = self.run(&["down"]);
    }
}

/// The command lines of all processes that name a path.
fn processes(of: &Path) -> Vec<String> {
    let read = |entry: fs::DirEntry| fs::read(entry.path().join("cmdline")).ok();
    let lines = fs::read_dir("/proc").unwrap().flatten().filter_map(read);
    let lines = lines.map(|line| String::from_utf8_lossy(&line).replace('\0', " "));
    lines.filter(|line| line.contains(of.to_str().unwrap())).collect()
}

/// The cgroups of a cluster, in every hierarchy.
fn cgroups(name: &str) -> Vec<PathBuf> {
    let found = |root: PathBuf| Some(root.join(format!("oro-{name}"))).filter(|path| path.exists());
    let roots = fs::read_dir("/sys/fs/cgroup").unwrap().flatten().map(|entry| entry.path());
    roots.chain([PathBuf::from("/sys/fs/cgroup")]).filter_map(found).collect()
}

#[test]
#[ignore = "needs root and the parts of a real cluster: hack/test --e2e"]
fn an_up_that_is_killed_does_no_harm_and_down_leaves_nothing() {
    let cluster = Cluster(format!("test-{}", std::process::id()));
    let state = cluster.state();

    let mut up = cluster.command(&["up"]).stderr(Stdio::null()).spawn().unwrap();
    let start = Instant::now();
    // Half of the parts run by then.
    while !state.join("log/kube-apiserver.log").exists() {
        assert!(start.elapsed() < SOON, "no API server was started");
        thread::sleep(POLL);
    }
    up.kill().unwrap();
    up.wait().unwrap();
    assert!(!cluster.run(&["running"]).status.success(), "half a cluster counts as none");

    cluster.must(&["up"]);
    cluster.must(&["running"]);
    let net = |args: &[&str]| cluster.must(args);
    assert_eq!(net(&["exec", "kubectl", "get", "nodes", "--output=name"]), "node/node");
    assert_ne!(
        net(&["exec", "readlink", "/proc/self/ns/net"]),
        fs::read_link("/proc/self/ns/net").unwrap().to_str().unwrap()
    );
    let mut guest = cluster.command(&["exec", "sleep", "600"]).spawn().unwrap();
    assert!(!processes(&state).is_empty());
    assert!(!cgroups(&cluster.0).is_empty());

    cluster.must(&["down"]);
    guest.wait().unwrap();
    assert!(!state.exists() && !state.with_extension("lock").exists());
    assert_eq!(processes(&state), Vec::<String>::new());
    assert_eq!(cgroups(&cluster.0), Vec::<PathBuf>::new());
    let mounts = fs::read_to_string("/proc/self/mounts").unwrap();
    assert!(!mounts.contains(state.to_str().unwrap()), "{mounts}");
    assert!(!cluster.run(&["exec", "true"]).status.success());
}
