//! What the README promises a newcomer: its commands, as they are written there, lead from nothing to an updated cloud.

use std::{
    fs,
    io::{BufRead as _, BufReader},
    process::{Child, Command, Stdio},
};

use jiff::Timestamp;
use serde_json::Value;
use testbed::{fetch, perses, prometheus};

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

    /// A line of the README that goes on until Ctrl-C, and the line by which it says so.
    fn stays(&self, line: &str) -> (Child, String) {
        let mut child = self.line(line).stdout(Stdio::piped()).spawn().unwrap();
        let mut told = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
        let said = told.find(|said| said.contains("until Ctrl-C")).expect(line);
        // What it says besides goes nowhere.
        std::thread::spawn(move || told.for_each(drop));
        (child, said)
    }

    fn says(&self, kind: &str, name: &str, path: &str) -> String {
        self.must(&["exec", "kubectl", "get", kind, name, "-n", "openstack", &format!("--output=jsonpath={{{path}}}")])
    }
}

/// Types the commands, with or without the dashboard's, and looks at what they lead to before `down`.
async fn walk(with_dashboard: bool) {
    let cluster = Cluster(format!("readme-{with_dashboard}-{}", std::process::id()));
    let since = Timestamp::now();
    let blocks = blocks();
    let [first, dashboard, second] = blocks.as_slice() else { panic!("{blocks:?}") };
    let (services, first) = first.split_last().unwrap();
    for line in first {
        succeeded(cluster.line(line));
    }
    let services = cluster.stays(services);
    let dashboard: Vec<_> = dashboard.iter().filter(|_| with_dashboard).map(|line| cluster.stays(line)).collect();

    let (down, second) = second.split_last().unwrap();
    for line in second {
        succeeded(cluster.line(line));
    }
    assert_eq!(cluster.says("openstackversion", "openstack", ".status.deployedVersion"), "1.0.1");
    assert_eq!(cluster.says("keystone", "keystone", ".status.installedRelease"), "2025.2");
    for (_, said) in &dashboard {
        has_shown_the_update(said.split(' ').next().unwrap(), since).await;
    }

    // That ends what stays, too.
    succeeded(cluster.line(down));
    for (mut child, _) in dashboard.into_iter().chain([services]) {
        child.wait().unwrap();
    }
}

/// The page at that address is there, has every panel, and those of updates had something to show.
async fn has_shown_the_update(address: &str, since: Timestamp) {
    let (server, page) = address.split_once("/projects/").unwrap();
    let (code, text) = fetch::get(address).await.unwrap();
    assert!(code == 200 && text.contains("<script"), "{code} {text}");
    let (_, text) = fetch::get(&format!("{server}/api/v1/projects/{page}")).await.unwrap();
    let shown: Value = serde_json::from_str(&text).unwrap();
    let panels = shown["spec"]["panels"].as_object().unwrap();
    assert_eq!(panels.len(), perses::dashboard().unwrap()["panels"].as_array().unwrap().len());
    let source = format!("{server}/proxy/globaldatasources/prometheus");
    for title in ["Clouds", "Running updates: part of the steps that is done", "Running updates: steps"] {
        let panel = panels.values().find(|panel| panel["spec"]["display"]["name"] == title).unwrap();
        for query in panel["spec"]["queries"].as_array().unwrap() {
            let query = query["spec"]["plugin"]["spec"]["query"].as_str().unwrap().replace("$namespace", "openstack");
            assert!(!prometheus::range(&source, &query, since).await.unwrap().is_empty(), "{title}: {query}");
        }
    }
}

#[tokio::test]
#[ignore = "needs root and the parts of a real cluster: hack/test --e2e"]
async fn its_commands_lead_from_an_empty_cluster_to_an_updated_cloud() {
    walk(false).await;
}

#[tokio::test]
#[ignore = "needs Node.js besides: hack/test --long"]
async fn the_dashboard_shows_the_update() {
    walk(true).await;
}
