//! `kubectl openstack`, run by the real kubectl, as persons and scripts do.

use std::{path::Path, process::Stdio};

use api::{
    step::{MINOR_UPDATE, StepName},
    version::{OpenStackVersionStatus, StepState},
};
use serde_json::{Value, json};
use testbed::{Proxy, cluster::User};
use tokio::{
    io::AsyncReadExt,
    process::{Child, Command},
};

use crate::support::{self, Cloud, NEW, OLD, SOON, release};

/// What a command said.
struct Said {
    code: i32,
    out: String,
    err: String,
}

/// A command line of a person, who has kubectl and the plugin on the PATH.
fn shell(cloud: &Cloud, kubeconfig: &Path, line: &str) -> Command {
    let plugins = Path::new(env!("CARGO_BIN_EXE_kubectl-openstack")).parent().unwrap();
    let path = format!("{}:{}:/usr/bin:/bin", cloud.cluster.programs().display(), plugins.display());
    let mut command = Command::new("/bin/sh");
    command.env_clear().env("PATH", path).env("HOME", cloud.cluster.dir()).env("KUBECONFIG", kubeconfig);
    command.args(["-c", line]).stdin(Stdio::null()).kill_on_drop(true);
    command
}

async fn run(cloud: &Cloud, line: &str) -> Said {
    let output = shell(cloud, &cloud.cluster.kubeconfig(User::Admin), line).output().await.unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Said { code: output.status.code().unwrap(), out: text(output.stdout), err: text(output.stderr) }
}

/// A command of the plugin in the namespace of the cloud, without `kubectl openstack`.
async fn plugin(cloud: &Cloud, arguments: &str) -> Said {
    run(cloud, &format!("kubectl openstack -n {} {arguments}", cloud.namespace)).await
}

/// The same for one that succeeds: what it printed.
async fn ok(cloud: &Cloud, arguments: &str) -> String {
    let said = plugin(cloud, arguments).await;
    assert_eq!(said.code, 0, "{arguments}: {}{}", said.out, said.err);
    said.out
}

/// The document of `status`.
async fn document(cloud: &Cloud) -> Value {
    serde_json::from_str(&ok(cloud, "status -o json").await).unwrap()
}

/// A command that goes on.
fn start(cloud: &Cloud, kubeconfig: &Path, arguments: &str) -> Child {
    let line = format!("exec kubectl openstack -n {} {arguments}", cloud.namespace);
    shell(cloud, kubeconfig, &line).stdout(Stdio::piped()).spawn().unwrap()
}

/// Its end: the exit code, and everything that it printed.
async fn end(mut child: Child) -> (i32, String) {
    let mut text = String::new();
    let mut out = child.stdout.take().unwrap();
    tokio::time::timeout(SOON, out.read_to_string(&mut text)).await.expect("it does not end").unwrap();
    (child.wait().await.unwrap().code().unwrap(), text)
}

/// Every step shows as finished in a line of its own.
#[track_caller]
fn assert_every_step(text: &str) {
    for step in MINOR_UPDATE {
        let name = step.name.to_string();
        let finished = |line: &str| {
            line.split_whitespace().any(|word| word == name)
                && (line.contains("✔ Done") || line.contains("– NotNeeded"))
        };
        assert!(text.lines().any(finished), "{name} is not shown as finished:\n{text}");
    }
}

#[tokio::test]
async fn an_update_is_followed_to_its_end_and_every_command_it_names_works() {
    let cloud = Cloud::offered("plugin", json!({})).await;
    cloud.add_node_set("compute").await;
    let shown = document(&cloud).await;
    assert_eq!((&shown["state"], &shown["next"][0]["action"]), (&json!("Ready"), &json!("Update")));
    // The command that the status names, and the two flags that a script adds.
    let command = shown["next"][0]["command"].as_str().unwrap().to_owned();
    assert_eq!(command, format!("kubectl openstack update {NEW} -n {}", cloud.namespace));
    let kubeconfig = cloud.cluster.kubeconfig(User::Admin);
    let update = shell(&cloud, &kubeconfig, &format!("exec {command} --yes --watch")).stdout(Stdio::piped()).spawn();
    for (step, services) in [(StepName::OvnDataplane, "[ovn]"), (StepName::Dataplane, "[update]")] {
        let waiting = cloud.step(step, StepState::Waiting).await;
        assert_eq!(waiting.node_sets, ["compute"]);
        let shown = document(&cloud).await;
        assert_eq!((&shown["state"], &shown["next"][0]["action"]), (&json!("Waiting"), &json!("Deploy")));
        let command = shown["next"][0]["command"].as_str().unwrap();
        assert!(command.contains("nodeSets: [compute]") && command.contains(services), "{command}");
        let text = ok(&cloud, "status").await;
        assert!(command.lines().all(|line| text.contains(line)), "{text}");
        let said = run(&cloud, command).await;
        assert_eq!(said.code, 0, "{}{}", said.out, said.err);
    }
    let (code, text) = end(update.unwrap()).await;
    assert_eq!(code, 0, "{text}");
    assert!(text.starts_with("From 1.0.0 to 1.0.1\n"), "the plan comes first: {text}");
    assert_every_step(&text);
    assert!(text.trim_end().ends_with("✔ Ready (deployed 1.0.1, target 1.0.1, available 1.0.1)"), "{text}");

    // It owns what it set, and nothing else.
    let fields = cloud.version().await.metadata.managed_fields.unwrap();
    let ours = fields.iter().find(|entry| entry.manager.as_deref() == Some("kubectl-openstack")).unwrap();
    assert_eq!(ours.fields_v1.as_ref().unwrap().0, json!({"f:spec": {"f:targetVersion": {}}}));

    let text = ok(&cloud, "history").await;
    let completed = |line: &str| line.contains(OLD) && line.contains(NEW) && line.contains("Completed");
    assert!(text.lines().any(completed), "{text}");
    let history: Value = serde_json::from_str(&ok(&cloud, "history -o json").await).unwrap();
    assert_eq!(history["updates"][1]["result"], "Completed");
    assert_eq!(ok(&cloud, &format!("update {NEW} --yes")).await, format!("{NEW} is deployed already\n"));
}

#[tokio::test]
async fn the_status_is_for_persons_and_for_scripts() {
    let cloud = Cloud::offered("plugin", json!({})).await;
    let text = ok(&cloud, "status").await;
    let first = format!("{}/openstack: ✔ Ready (deployed 1.0.0, target 1.0.0, available 1.0.1)\n", cloud.namespace);
    assert!(text.starts_with(&first), "{text}");
    assert!(text.lines().any(|line| line.starts_with("glance") && line.contains("✔ Ready")), "{text}");
    let yaml: Value = serde_yaml::from_str(&ok(&cloud, "status -o yaml").await).unwrap();
    let json = document(&cloud).await;
    assert_eq!((&yaml, &json["availableVersion"]), (&json, &json!(NEW)));

    let all = ok(&cloud, "status -A").await;
    let row = all.lines().find(|line| line.contains(&cloud.namespace)).unwrap();
    assert!(row.contains("✔ Ready") && row.contains("version 1.0.1 is available"), "{row}");
    let all: Value = serde_json::from_str(&ok(&cloud, "status -A -o json").await).unwrap();
    assert!(all.as_array().unwrap().contains(&json));

    // The plan is the operator's own.
    let plan = ok(&cloud, "plan").await;
    assert!(plan.contains("\n3. rabbitmq\n") && plan.contains(&release(NEW).images["rabbitmqImage"]), "{plan}");

    // The namespace may come from the kubeconfig's context, and the kubeconfig from a flag.
    let admin = cloud.cluster.kubeconfig(User::Admin);
    let line = format!(
        "cp {} mine; unset KUBECONFIG; kubectl config --kubeconfig mine set-context mine --cluster \"$(kubectl config \
         --kubeconfig mine get-clusters | tail -1)\" --user \"$(kubectl config --kubeconfig mine get-users | tail -1)\" \
         --namespace {} >/dev/null && kubectl openstack status --kubeconfig mine --context mine",
        admin.display(),
        cloud.namespace
    );
    let directory = tempfile::tempdir().unwrap();
    let output = shell(&cloud, &admin, &line).current_dir(directory.path()).output().await.unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.starts_with(&first), "{text}{}", String::from_utf8_lossy(&output.stderr));
    assert!(text.contains("--context mine --kubeconfig mine"), "the commands lead to the same place: {text}");

    let said = run(&cloud, "kubectl openstack status -n nowhere").await;
    assert_eq!(said.code, 1);
    assert!(said.err.contains("namespace nowhere has no OpenStackVersion"), "{}", said.err);

    // Who reads only the beginning ends a watch, and keeps an update from nothing.
    for arguments in ["status --watch", "update --yes"] {
        let line =
            format!("{{ kubectl openstack -n {} {arguments}; echo \"code $?\" >&2; }} | head -1", cloud.namespace);
        let said = tokio::time::timeout(SOON, run(&cloud, &line)).await.expect("it does not end");
        assert_eq!((said.out.lines().count(), said.err.as_str()), (1, "code 0\n"), "{arguments}: {}", said.out);
    }
    assert_eq!(cloud.version().await.spec.target_version, NEW);
}

#[tokio::test]
async fn a_pause_holds_and_a_resume_lets_go() {
    let cloud = Cloud::offered("plugin", json!({})).await;
    let text = ok(&cloud, "pause --after memcached").await;
    assert!(text.starts_with("held: the update stops after memcached\n"), "{text}");
    ok(&cloud, "update --yes").await;
    cloud.step(StepName::Keystone, StepState::Held).await;
    // A script that waits hears that a person has to act, and what.
    let said = plugin(&cloud, "status --until attention --timeout 1m").await;
    assert_eq!(said.code, 3, "{}{}", said.out, said.err);
    let resume = format!("kubectl openstack resume -n {}", cloud.namespace);
    assert!(said.out.contains("Held") && said.out.contains(&resume), "{}", said.out);
    let said = plugin(&cloud, "status --until done --timeout 1s").await;
    assert_eq!(said.code, 4, "{}{}", said.out, said.err);

    // Upstream's annotation holds, too, and goes with the field.
    let annotate = "annotate openstackversion openstack core.openstack.org/update-target-stage=keystone";
    assert!(cloud.kubectl(&annotate.split(' ').collect::<Vec<_>>()).await.0);
    let text = ok(&cloud, "resume").await;
    assert!(text.starts_with("removed: spec.update.holdAfter: memcached, annotation core.openstack.org/"), "{text}");
    assert!(!text.contains("Held"), "that is over: {text}");
    let said = plugin(&cloud, "status --until done --timeout 1m").await;
    assert_eq!(said.code, 0, "{}{}", said.out, said.err);
    assert_eq!(document(&cloud).await["deployedVersion"], NEW);
    let spec = cloud.version().await.spec.update;
    assert_eq!((spec.paused, spec.hold_after), (false, None));
    assert_eq!(ok(&cloud, "resume").await, "nothing is paused or held\n");

    assert!(ok(&cloud, "pause").await.starts_with("paused: no update runs"));
    assert!(cloud.version().await.spec.update.paused);
    assert!(ok(&cloud, "resume").await.starts_with("removed: spec.update.paused\n"));
    assert!(!cloud.version().await.spec.update.paused);
    assert_eq!(plugin(&cloud, "pause --after nowhere").await.code, 2);
}

/// An image of nobody's release.
const FIX: &str = "registry.example.com/hotfix/glance-api:1";

#[tokio::test]
async fn a_hotfix_says_what_it_rolls_and_goes_as_it_came() {
    let cloud = Cloud::installed("plugin", json!({})).await;
    let text = ok(&cloud, &format!("hotfix --yes glanceAPIImage={FIX}")).await;
    assert!(text.starts_with("This rolls out at once:\n"), "{text}");
    let rows: Vec<&str> = text.lines().filter(|line| line.contains("spec.")).collect();
    assert!(rows[0].contains("Glance/glance") && rows[0].contains(FIX), "{text}");
    assert!(!text.contains("Keystone/keystone"), "only what changes: {text}");
    assert_eq!(plugin(&cloud, "status --until done --timeout 1m").await.code, 0);
    cloud.value("Glance", "glance", "/spec/containerImage", json!(FIX)).await;

    let said = plugin(&cloud, &format!("hotfix --yes glanceAPIImage={FIX}")).await;
    assert_eq!((said.code, said.out.as_str()), (0, "nothing changes\n"));
    assert!(said.err.contains("Warning: glanceAPIImage has this image already"), "{}", said.err);
    let said = plugin(&cloud, "hotfix --yes --backend cinderVolumeImages.pure=example.com/pure:1").await;
    assert_eq!(said.code, 0, "{}", said.err);
    assert!(said.err.contains("Warning: ") && said.err.contains("no such backend under spec.cinder"), "{}", said.err);
    let said = plugin(&cloud, "hotfix --yes glanceApiImage=example.com/a:1").await;
    assert_eq!(said.code, 2);
    assert!(said.err.contains("glanceApiImage is no image field; did you mean glanceAPIImage"), "{}", said.err);

    // Somebody else's entry stays when ours goes.
    let text = ok(&cloud, "hotfix --yes --clear glanceAPIImage").await;
    assert!(text.contains(&release(OLD).images["glanceAPIImage"]), "{text}");
    cloud.value("Glance", "glance", "/spec/containerImage", json!(release(OLD).images["glanceAPIImage"])).await;
    let custom = serde_json::to_value(cloud.version().await.spec.custom_container_images).unwrap();
    assert_eq!(custom, json!({"cinderVolumeImages": {"pure": "example.com/pure:1"}}));
    ok(&cloud, "hotfix --yes --clear cinderVolumeImages.pure").await;
    assert!(cloud.version().await.spec.custom_container_images.is_empty());

    // A pause holds it back, and says so.
    ok(&cloud, "pause").await;
    let text = ok(&cloud, &format!("hotfix --yes glanceAPIImage={FIX}")).await;
    assert!(text.starts_with("This rolls out once spec.update.paused is false"), "{text}");
    let held = |status: &OpenStackVersionStatus| {
        support::said(status, "CustomImagesValid").contains("spec.update.paused is true")
    };
    cloud.until("held", held).await;
    ok(&cloud, "resume").await;
    cloud.value("Glance", "glance", "/spec/containerImage", json!(FIX)).await;
}

#[tokio::test]
async fn what_the_operator_would_refuse_is_refused_in_its_words_and_nothing_is_written() {
    let cloud = Cloud::offered("plugin", json!({})).await;
    let said = plugin(&cloud, "update 9.9.9 --yes").await;
    assert_eq!(said.code, 1);
    assert!(said.err.contains("the images of this version are not known; allowed: 1.0.0, 1.0.1"), "{}", said.err);
    let said = plugin(&cloud, "update").await;
    assert_eq!(said.code, 1, "there is nobody to ask");
    assert!(said.out.contains("From 1.0.0 to 1.0.1") && said.err.contains("--yes"), "{}{}", said.out, said.err);
    assert_eq!(cloud.version().await.spec.target_version, OLD);

    ok(&cloud, "hotfix --yes glanceAPIImage=example.com/glance:1").await;
    assert_eq!(plugin(&cloud, "status --until done --timeout 1m").await.code, 0);
    let said = plugin(&cloud, "update --yes").await;
    assert_eq!(said.code, 1);
    assert!(said.err.contains("still the images that were chosen for 1.0.0"), "{}", said.err);
    assert_eq!(cloud.version().await.spec.target_version, OLD);

    // The target moves away under a person who waits for it.
    ok(&cloud, "hotfix --yes --clear glanceAPIImage").await;
    cloud.actors.hold("OVNController", "ovncontroller");
    let waiting = start(&cloud, &cloud.cluster.kubeconfig(User::Admin), "update --yes --watch");
    cloud.step(StepName::OvnControlplane, StepState::Running).await;
    assert_eq!(document(&cloud).await["state"], "Updating");
    cloud.target(OLD).await;
    let (code, text) = end(waiting).await;
    assert_eq!(code, 1, "{text}");
}

/// The API server is away while everything happens.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_watch_goes_on_after_the_api_server_was_away() {
    let cloud = Cloud::offered("plugin", json!({})).await;
    let proxy = Proxy::start(cloud.cluster).await.unwrap();
    let follower = start(&cloud, proxy.kubeconfig(), "status --watch --output json");
    let mut out = follower.stdout.expect("piped");
    let mut text = String::new();
    // Answers when the last document has that version.
    let mut seen = async |version: &str| {
        let mut buffer = [0; 4096];
        let wanted = format!("\"deployedVersion\":\"{version}\"");
        while !text.lines().last().is_some_and(|line| line.contains(&wanted)) {
            let read = tokio::time::timeout(SOON, out.read(&mut buffer)).await.expect("nothing is shown").unwrap();
            assert_ne!(read, 0, "it ended:\n{text}");
            text.push_str(&String::from_utf8_lossy(&buffer[..read]));
        }
    };
    seen(OLD).await;
    proxy.unplug();
    cloud.target(NEW).await;
    cloud.deployed(NEW).await;
    proxy.plug();
    seen(NEW).await;
    for line in text.lines().filter(|line| line.ends_with('}')) {
        serde_json::from_str::<Value>(line).unwrap();
    }
}
