//! The admission policies, put in place by a process of the operator's image where the installer cannot carry them: OLM
//! takes no `ValidatingAdmissionPolicy` in a bundle. See `hack/adr/0009`.

use std::{fmt::Debug, pin::pin, time::Duration};

use anyhow::{Context as _, anyhow};
use api::MANAGED_BY;
use futures::{FutureExt, Stream, StreamExt, stream};
use k8s_openapi::api::admissionregistration::v1::{ValidatingAdmissionPolicy, ValidatingAdmissionPolicyBinding};
use kube::{
    Api, Client, Resource, ResourceExt,
    api::{ApiResource, DynamicObject, PartialObjectMeta, Patch, PatchParams},
    core::GroupVersionKind,
    runtime::{
        WatchStreamExt,
        watcher::{self, watcher},
    },
};
use serde::Deserialize;

use crate::client;

mod policies;

/// The field manager of the policies.
const MANAGER: &str = "openstack-release-operator/admission";
/// How long to rest between two repairs: somebody else may insist on something different.
const REST: Duration = Duration::from_secs(1);
/// How long to rest after a failure.
const REST_AFTER_FAILURE: Duration = Duration::from_secs(5);

/// The policies and bindings of this version, and the API.
pub struct Policies {
    client: Client,
    objects: Vec<DynamicObject>,
}

impl Policies {
    /// Those that the binary carries.
    pub fn new(client: Client) -> anyhow::Result<Self> {
        Ok(Self { client, objects: objects()? })
    }

    /// Puts all of them in place. What is there already is not written again.
    pub async fn apply(&self) -> anyhow::Result<()> {
        let params = PatchParams::apply(MANAGER).force();
        for object in &self.objects {
            let (api, name) = (self.api(object)?, object.name_any());
            let applied = client::call(api.patch(&name, &params, &Patch::Apply(object))).await;
            applied.map_err(|error| anyhow!("{} {name} cannot be put in place: {error}", kind(object)))?;
        }
        Ok(())
    }

    /// Keeps them in place: whenever one is changed or deleted, it is put back.
    pub async fn keep(&self) -> anyhow::Result<()> {
        let mut changes = pin!(self.changes());
        loop {
            let rest = match self.apply().await {
                Ok(()) => {
                    if changes.next().await.is_none() {
                        return Ok(());
                    }
                    REST
                }
                Err(error) => {
                    tracing::warn!("{error}; trying again");
                    REST_AFTER_FAILURE
                }
            };
            tokio::time::sleep(rest).await;
            // The next round looks at everything: what else has come needs no round of its own.
            while let Some(Some(())) = changes.next().now_or_never() {}
        }
    }

    /// Whenever something may be different.
    fn changes(&self) -> impl Stream<Item = ()> + use<> {
        stream::select(
            changes::<ValidatingAdmissionPolicy>(&self.client),
            changes::<ValidatingAdmissionPolicyBinding>(&self.client),
        )
    }

    fn api(&self, object: &DynamicObject) -> anyhow::Result<Api<DynamicObject>> {
        let types = object.types.as_ref().context("an admission policy without kind")?;
        let resource = ApiResource::from_gvk(&GroupVersionKind::try_from(types)?);
        Ok(Api::all_with(self.client.clone(), &resource))
    }
}

fn changes<K>(client: &Client) -> impl Stream<Item = ()> + use<K>
where
    K: Resource<DynamicType = ()> + Clone + Debug + Send + 'static,
{
    let part_of = format!("app.kubernetes.io/part-of={}", MANAGED_BY.1);
    let api = Api::<PartialObjectMeta<K>>::all(client.clone());
    let objects = watcher(api, watcher::Config::default().labels(&part_of)).default_backoff().touched_objects();
    objects.filter_map(async |object| object.ok().map(|_| ()))
}

fn kind(object: &DynamicObject) -> &str {
    object.types.as_ref().map_or("", |types| &types.kind)
}

fn objects() -> anyhow::Result<Vec<DynamicObject>> {
    let documents = policies::POLICIES.iter().flat_map(|text| serde_yaml::Deserializer::from_str(text));
    // A comment before the first document is a document.
    let objects = documents.map(Option::<DynamicObject>::deserialize).filter_map(Result::transpose);
    Ok(objects.collect::<Result<_, _>>()?)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn each_policy_has_a_binding() {
        let objects = objects().unwrap();
        assert_eq!(objects.len(), policies::POLICIES.len() * 2);
        for pair in objects.chunks(2) {
            let kinds: Vec<_> = pair.iter().map(kind).collect();
            assert_eq!(kinds, ["ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding"]);
        }
    }
}
