//! Which API server, which namespace, and what is there.

use std::{borrow::Cow, collections::BTreeMap, collections::BTreeSet, path::PathBuf, sync::Arc};

use anyhow::{Context as _, bail};
use api::{DynamicObject, dataplane::DEPLOYMENT, keystone::KEYSTONE, service::Kind};
use kube::{Api, Client};

use crate::{
    cli::view::{Objects, View},
    client,
    controllers::{CONTROL_PLANE, VERSION},
    engine::{self, Cache, Observed, Seen, Watched},
};

/// The flags that every kubectl user knows.
#[derive(Debug, clap::Args)]
pub(super) struct Reach {
    /// The namespace of the cloud; that of the context when absent.
    #[arg(long, short, global = true)]
    namespace: Option<String>,
    /// The context of the kubeconfig.
    #[arg(long, global = true)]
    context: Option<String>,
    /// The kubeconfig.
    #[arg(long, global = true, value_name = "FILE")]
    kubeconfig: Option<PathBuf>,
}

impl Reach {
    /// The flags that lead kubectl to the same cluster, for commands to paste.
    fn flags(&self) -> String {
        let context = self.context.iter().map(|context| format!(" --context {}", quoted(context)));
        let kubeconfig =
            self.kubeconfig.iter().map(|path| format!(" --kubeconfig {}", quoted(&path.to_string_lossy())));
        context.chain(kubeconfig).collect()
    }
}

/// A word for a shell, with quotes where it needs them.
fn quoted(word: &str) -> Cow<'_, str> {
    let plain = |letter: char| letter.is_ascii_alphanumeric() || "._/:@-".contains(letter);
    if !word.is_empty() && word.chars().all(plain) {
        return word.into();
    }
    format!("'{}'", word.replace('\'', r"'\''")).into()
}

/// A connection to the API server.
#[derive(Clone)]
pub(super) struct Access {
    pub(super) client: Client,
    pub(super) namespace: String,
    /// What kubectl needs beside the namespace, each flag with a space before it.
    reach: String,
}

/// One namespace, or all of them.
pub(super) type Scope = Option<String>;

impl Access {
    pub(super) async fn new(reach: &Reach) -> anyhow::Result<Self> {
        let config = client::config(reach.kubeconfig.as_deref(), reach.context.as_deref()).await?;
        let namespace = reach.namespace.clone().unwrap_or_else(|| config.default_namespace.clone());
        Ok(Self { client: client::connect_with(config)?, namespace, reach: reach.flags() })
    }

    /// The flags of kubectl that lead to a namespace.
    pub(super) fn flags(&self, namespace: &str) -> String {
        format!("-n {namespace}{}", self.reach)
    }

    /// The scope of a command that may be about all namespaces.
    pub(super) fn scope(&self, all: bool) -> Scope {
        (!all).then(|| self.namespace.clone())
    }

    /// Reads once. Without the kind that says everything, there is nothing to show.
    pub(super) async fn read(&self, scope: &Scope) -> anyhow::Result<Cache> {
        let cache = engine::read_readable(&self.client, &kinds(), scope.as_deref()).await;
        match cache.seen(&VERSION) {
            Seen::Unreadable(reason) => bail!("kind {} cannot be read: {reason}", VERSION.kind),
            Seen::Absent => bail!("kind {} is not installed on this cluster: install the operator", VERSION.kind),
            Seen::Pending | Seen::Synced => Ok(cache),
        }
    }

    /// The same, from now on.
    pub(super) fn observe(&self, scope: Scope) -> Observed {
        Observed::new(self.client.clone(), kinds(), scope)
    }

    /// The clouds, by namespace. A scope of one namespace that has none is an error.
    pub(super) fn views(&self, cache: &Cache) -> Vec<View> {
        let view = |namespace: &String| View::of(namespace, &objects(cache, namespace), &self.reach);
        namespaces(cache).iter().filter_map(view).collect()
    }

    /// The cloud of the namespace.
    pub(super) async fn view(&self) -> anyhow::Result<View> {
        let cache = self.read(&self.scope(false)).await?;
        self.views(&cache).into_iter().next().with_context(|| self.no_cloud())
    }

    /// The cloud of the namespace, and the `OpenStackVersion` that says so.
    pub(super) async fn cloud(&self) -> anyhow::Result<(View, Arc<DynamicObject>)> {
        let cache = self.read(&self.scope(false)).await?;
        let view = self.views(&cache).into_iter().next();
        let found = view.and_then(|view| {
            let version = cache.object(&VERSION, &self.namespace, &view.name)?;
            Some((view, version))
        });
        found.with_context(|| self.no_cloud())
    }

    pub(super) fn no_cloud(&self) -> String {
        format!(
            "namespace {} has no OpenStackVersion; name another one with -n, or see all clouds with \
             \"kubectl openstack status -A\"",
            self.namespace
        )
    }

    /// The `OpenStackVersion`s of the namespace.
    pub(super) fn versions(&self) -> Api<DynamicObject> {
        engine::api_of(&self.client, &VERSION, Some(&self.namespace))
    }
}

fn kinds() -> Vec<Watched> {
    [VERSION, CONTROL_PLANE, KEYSTONE, DEPLOYMENT].map(|kind| Watched { kind, label: None }).into()
}

/// Whether it is known which clouds there are: every kind has answered, one way or another, and the one that says
/// everything was read. One that cannot be read yet is tried again.
pub(super) fn is_known(cache: &Cache) -> bool {
    let answered = cache.is_ready(kinds().into_iter().map(|watched| watched.kind));
    answered && matches!(cache.seen(&VERSION), Seen::Synced | Seen::Absent)
}

/// The namespaces with a cloud in them, in order.
pub(super) fn namespaces(cache: &Cache) -> BTreeSet<String> {
    [VERSION, CONTROL_PLANE].iter().flat_map(|kind| cache.namespaces(kind)).collect()
}

/// The objects of a namespace.
pub(super) fn objects(cache: &Cache, namespace: &str) -> Objects {
    let of = |kind: &Kind| cache.objects(kind, namespace);
    let unreadable = |kind: Kind| match cache.seen(&kind) {
        Seen::Unreadable(reason) => Some((kind.kind.to_owned(), reason)),
        _ => None,
    };
    Objects {
        versions: of(&VERSION),
        control_planes: of(&CONTROL_PLANE),
        keystones: of(&KEYSTONE),
        deployments: of(&DEPLOYMENT),
        unreadable: kinds().into_iter().filter_map(|watched| unreadable(watched.kind)).collect::<BTreeMap<_, _>>(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_leads_to_the_same_cluster_whatever_its_names_are() {
        let reach = |context: &str, path: &str| Reach {
            namespace: None,
            context: Some(context.to_owned()),
            kubeconfig: Some(path.into()),
        };
        let flags = reach("admin@west:6443/x", "./kube-config_1").flags();
        assert_eq!(flags, " --context admin@west:6443/x --kubeconfig ./kube-config_1");
        let flags = reach("it's; rm", "/home/a b/c").flags();
        assert_eq!(flags, r" --context 'it'\''s; rm' --kubeconfig '/home/a b/c'");
    }
}
