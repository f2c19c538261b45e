//! Where the story happens: on an API server of our own, or on a real cluster with real Keystone.

use std::path::PathBuf;

use anyhow::bail;
use kube::{Client, api::DynamicObject};
use serde_json::Value;
use testbed::{
    Actors, Cluster, Node, Operator, Release, Script,
    cluster::{self, User, setup},
    fixtures, operator,
};

use super::{Args, screen::Screen};

/// How many pods the real Keystone has.
const REPLICAS: i32 = 2;

/// Where the story happens.
pub(super) enum Ground {
    /// etcd and kube-apiserver; every service is scripted.
    Scripted(Box<Cluster>),
    /// The cluster in whose network we run. Keystone, its database and its cache are real, the rest is scripted.
    Real(Node),
}

impl Ground {
    /// Starts what is missing, and installs what an operator finds on a cluster.
    pub(super) async fn set_up(args: &Args, screen: &mut Screen) -> anyhow::Result<Self> {
        let installing = "CRDs, roles, admission policies, garbage collection";
        if !args.real {
            let cluster = screen.during("etcd and kube-apiserver", Cluster::start(cluster::Options::default())).await?;
            screen.during(installing, cluster.prepare()).await?;
            return Ok(Self::Scripted(Box::new(cluster)));
        }
        let node = Node::here()?;
        let client = node.client().await?;
        let install = async {
            setup::install(&client, api::crd::all().into_iter().chain(api::crd::foreign())).await?;
            setup::install_admission(&client).await
        };
        screen.during("CRDs, admission policies", install).await?;
        Ok(Self::Real(node))
    }

    /// A namespace, with what a real Keystone needs.
    pub(super) async fn namespace(&self, screen: &mut Screen) -> anyhow::Result<String> {
        match self {
            Self::Scripted(cluster) => cluster.namespace("openstack").await,
            Self::Real(node) => {
                let namespace = node.namespace("openstack").await?;
                screen.during("MariaDB and memcached", node.back(&namespace)).await?;
                Ok(namespace)
            }
        }
    }

    /// The scripted service operators.
    pub(super) async fn actors(&self, namespace: &str, args: &Args) -> anyhow::Result<Actors> {
        let script = match self {
            Self::Scripted(_) => Script { delay: args.delay(), ..Script::default() },
            Self::Real(_) => Script::beside_keystone(args.delay()),
        };
        Ok(Actors::start(self.client().await?, namespace, script))
    }

    /// The bundle of a version.
    pub(super) fn bundle(&self, version: &str, release: &str) -> anyhow::Result<Release> {
        let bundle = Release::named(version)?;
        Ok(match self {
            Self::Scripted(_) => bundle,
            Self::Real(_) => {
                bundle.with_release(release).with_image("keystoneAPIImage", &format!("localhost/keystone:{release}"))
            }
        })
    }

    /// Starts the operator.
    pub(super) fn operator(&self, args: &Args, namespace: &str, release: Release) -> anyhow::Result<Operator> {
        let options = operator::Options::new(args.binary()?, namespace, release);
        match self {
            Self::Scripted(cluster) => Operator::start(cluster, options),
            Self::Real(node) => {
                let options = options.with_controllers(&["release", "keystone"]);
                Operator::start_in(&node.dir().join("log"), node.kubeconfig(), options)
            }
        }
    }

    /// The control plane of the story.
    pub(super) fn control_plane(&self, namespace: &str) -> Value {
        match self {
            Self::Scripted(_) => fixtures::full_control_plane(namespace),
            Self::Real(_) => fixtures::control_plane_with_keystone(namespace, REPLICAS),
        }
    }

    pub(super) async fn client(&self) -> anyhow::Result<Client> {
        match self {
            Self::Scripted(cluster) => cluster.client().await,
            Self::Real(node) => node.client().await,
        }
    }

    /// Applies an object as the administrator.
    pub(super) async fn apply(&self, object: Value) -> anyhow::Result<DynamicObject> {
        setup::apply(&self.client().await?, object).await
    }

    /// Runs kubectl as the administrator, and answers what it prints.
    pub(super) async fn kubectl(&self, args: &[&str]) -> anyhow::Result<String> {
        match self {
            Self::Scripted(cluster) => {
                let output = cluster.kubectl(args).await?;
                let text = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
                if output.status.success() { Ok(text) } else { bail!("kubectl {args:?}: {text}") }
            }
            Self::Real(node) => node.kubectl(args).await,
        }
    }

    /// The kubeconfig of the administrator.
    pub(super) fn kubeconfig(&self) -> PathBuf {
        match self {
            Self::Scripted(cluster) => cluster.kubeconfig(User::Admin),
            Self::Real(node) => node.kubeconfig(),
        }
    }
}
