//! What the README promises a newcomer: its commands, as they are written there, lead from nothing to an updated cloud.

use std::{
    fs,
    io::{BufRead as _, BufReader},
    process::{Command, Stdio},
};

use super::{Cluster, succeeded};

const SECTION: &str = "### From an empty cluster to an updated cloud\n";

/// The commands of each block of the section, without what explains them.
fn blocks() -> Vec<Vec<String>> {
    let readme = fs::read_to_string(testbed::root().join("README.md")).unwrap();
    let section = readme.split_once(SECTION).unwrap().1.split("\n## ").next().unwrap();
    let blocks = section.split("```bash\n").skip(1).map(|block| block.split("```").next().unwrap());
    let command = |line: &str| line.split(" # ").next().unwrap().trim().to_owned();
    blocks.map(|block| block.lines().map(command).collect()).collect()
}

impl Cluster {
    /// A line of the README.
    fn line(&self, line: &str) -> Command {
        let mut command = Command::new("bash");
        command.current_dir(testbed::root()).env("ORO_CLUSTER", &self.0).args(["-c", line]).stdin(Stdio::null());
        command
    }

    fn says(&self, kind: &str, name: &str, path: &str) -> String {
        self.must(&["exec", "kubectl", "get", kind, name, "-n", "openstack", &format!("--output=jsonpath={{{path}}}")])
    }
}

#[test]
#[ignore = "needs root and the parts of a real cluster: hack/test --e2e"]
fn its_commands_lead_from_an_empty_cluster_to_an_updated_cloud() {
    let cluster = Cluster(format!("readme-{}", std::process::id()));
    let blocks = blocks();
    let [first, second] = blocks.as_slice() else { panic!("{blocks:?}") };
    let (stays, first) = first.split_last().unwrap();
    for line in first {
        succeeded(cluster.line(line));
    }
    let mut services = cluster.line(stays).stdout(Stdio::piped()).spawn().unwrap();
    let mut told = BufReader::new(services.stdout.take().unwrap()).lines().map(Result::unwrap);
    assert!(told.any(|line| line.contains("until Ctrl-C")), "{stays} ended");

    let (last, second) = second.split_last().unwrap();
    for line in second {
        succeeded(cluster.line(line));
    }
    assert_eq!(cluster.says("openstackversion", "openstack", ".status.deployedVersion"), "1.0.1");
    assert_eq!(cluster.says("keystone", "keystone", ".status.installedRelease"), "2025.2");
    // That ends the services, too.
    succeeded(cluster.line(last));
    services.wait().unwrap();
}
