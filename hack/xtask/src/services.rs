//! `cargo xtask services`: what a cloud needs besides this operator, on a real cluster, for somebody who follows the README.
//!
//! Keystone is ours and real, and so are its database and its cache. The operators of the other services belong to others:
//! they are scripted.

use std::time::Duration;

use kube::Client;
use serde_json::json;
use testbed::{Actors, Node, Script, actors::Seen, cluster::setup, fixtures};

/// How often is looked for what the scripted operators have done; it is for a person to read.
const LOOK: Duration = Duration::from_millis(500);

/// Plays the other service operators until Ctrl-C.
#[derive(clap::Args, Debug)]
pub struct Args {
    /// Where the cloud is; made if it is not there.
    #[arg(default_value = "openstack")]
    namespace: String,
    /// How long a scripted service takes to get ready, in milliseconds.
    #[arg(long, default_value_t = 2000)]
    delay_ms: u64,
}

/// Runs the command.
pub fn run(args: &Args) -> anyhow::Result<()> {
    tokio::runtime::Runtime::new()?.block_on(play(args))
}

async fn play(args: &Args) -> anyhow::Result<()> {
    let (node, namespace) = (Node::here()?, args.namespace.as_str());
    let client = node.client().await?;
    println!("the kinds of the service operators");
    setup::install(&client, api::crd::foreign()).await?;
    println!("namespace {namespace}: MariaDB, memcached, Secrets");
    furnish(&node, &client, namespace).await?;
    let script = Script::beside_keystone(Duration::from_millis(args.delay_ms));
    let actors = Actors::start(client, namespace, script);
    println!("namespace {namespace}: service operators are played until Ctrl-C");
    let told = async {
        let mut known = 0;
        loop {
            let seen = actors.log();
            seen.iter().skip(known).for_each(tell);
            known = seen.len();
            tokio::time::sleep(LOOK).await;
        }
    };
    tokio::select! {
        () = told => Ok(()),
        end = tokio::signal::ctrl_c() => Ok(end?),
    }
}

/// What the README's control plane looks for. The database has the name of its Galera.
async fn furnish(node: &Node, client: &Client, namespace: &str) -> anyhow::Result<()> {
    let metadata = |name: &str| json!({"name": name, "namespace": namespace});
    let database = json!({"selector": {"app": "mariadb"}, "ports": [{"port": 3306}]});
    let password = json!({"AdminPassword": fixtures::KEYSTONE_PASSWORD});
    for object in [
        json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}}),
        json!({"apiVersion": "v1", "kind": "Secret", "metadata": metadata("osp-secret"), "stringData": password}),
        json!({"apiVersion": "v1", "kind": "Service", "metadata": metadata(fixtures::NAME), "spec": database}),
    ] {
        setup::apply(client, object).await?;
    }
    node.back(namespace).await
}

/// One line for each spec that a scripted operator was given.
fn tell(seen: &Seen) {
    let images: Vec<&str> = seen.images.iter().map(|(_, image)| image.as_str()).collect();
    println!("{}/{}: {}", seen.kind, seen.name, images.join(" "));
}
