//! What a cluster gets before the operator starts: CRDs, RBAC, admission policies.

use std::{
    collections::HashMap,
    fs,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use anyhow::{Context, bail};
use futures::{StreamExt, TryStreamExt, stream};
use k8s_openapi::{
    api::core::v1::ConfigMap, apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition,
};
use kube::{
    Api, Client, ResourceExt,
    api::{ApiResource, DynamicObject, GroupVersionKind, Patch, PatchParams, PostParams},
    core::Status,
    discovery::{self, Scope},
};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Cluster, User};
use crate::{process::POLL, wait};

/// The field manager of everything that is installed here.
const MANAGER: &str = "testbed";
/// How long the API server may take to act on something that it has stored.
const EFFECTIVE: Duration = Duration::from_secs(60);

impl Cluster {
    /// Installs the operator's CRDs and permissive ones for the kinds of other operators, and waits until they are
    /// served. May run again.
    pub async fn install_crds(&self) -> anyhow::Result<()> {
        self.install(api::crd::all().into_iter().chain(api::crd::foreign())).await
    }

    /// Installs these CRDs, and waits until they are served.
    pub async fn install(&self, crds: impl IntoIterator<Item = CustomResourceDefinition>) -> anyhow::Result<()> {
        install(&self.client().await?, crds).await
    }

    /// Applies `manifests/rbac` and binds the operator's user to every `ClusterRole` in it.
    pub async fn install_rbac(&self) -> anyhow::Result<()> {
        let client = self.client().await?;
        let mut bound = 0;
        for role in documents(&crate::root().join("manifests/rbac"))? {
            if role.pointer("/kind") == Some(&json!("ClusterRole")) {
                let name = name_of(&role).to_owned();
                apply(&client, role).await?;
                bind(&client, "ClusterRole", &name, None).await?;
                bound += 1;
            }
        }
        if bound == 0 {
            bail!("manifests/rbac has no ClusterRole: the operator could do nothing");
        }
        Ok(())
    }

    /// Gives the operator in `namespace` what the `Role`s of `manifests/rbac` give it in its own.
    pub(super) async fn grant_roles(&self, client: &Client, namespace: &str) -> anyhow::Result<()> {
        let directory = crate::root().join("manifests/rbac");
        if !directory.is_dir() {
            return Ok(());
        }
        for mut role in documents(&directory)? {
            if role.pointer("/kind") == Some(&json!("Role")) {
                if let Some(metadata) = role.pointer_mut("/metadata").and_then(Value::as_object_mut) {
                    metadata.insert("namespace".to_owned(), json!(namespace));
                }
                let name = name_of(&role).to_owned();
                apply(client, role).await?;
                bind(client, "Role", &name, Some(namespace)).await?;
            }
        }
        Ok(())
    }

    /// Applies `manifests/admission`, and waits until the policies are in force.
    pub async fn install_admission(&self) -> anyhow::Result<()> {
        install_admission(&self.client().await?).await
    }

    /// Applies every YAML document below a directory, given from the top of the repository or in full.
    pub async fn apply_manifests(&self, directory: impl AsRef<Path>) -> anyhow::Result<()> {
        apply_manifests(&self.client().await?, directory).await
    }

    /// Waits until the API server enforces every policy that was stored before this call.
    pub async fn policies_in_force(&self) -> anyhow::Result<()> {
        policies_in_force(&self.client().await?).await
    }

    /// Applies one object as the administrator.
    pub async fn apply(&self, object: Value) -> anyhow::Result<DynamicObject> {
        apply(&self.client().await?, object).await
    }
}

/// Whether the API server did not answer, or not for itself, or has not yet heard of a namespace: what it asks about
/// them, e.g. for admission policies, lags behind under load.
fn is_passing(error: &anyhow::Error) -> bool {
    let is_namespace = |status: &Status| status.details.iter().any(|details| details.kind.starts_with("namespace"));
    match error.downcast_ref::<kube::Error>() {
        Some(kube::Error::Api(status)) => {
            status.code == 429 || status.code >= 500 || (status.code == 404 && is_namespace(status))
        }
        Some(kube::Error::Service(_) | kube::Error::HyperError(_)) => true,
        _ => false,
    }
}

/// Installs CRDs, and waits until they are served.
pub async fn install(client: &Client, crds: impl IntoIterator<Item = CustomResourceDefinition>) -> anyhow::Result<()> {
    let api: Api<CustomResourceDefinition> = Api::all(client.clone());
    stream::iter(crds).map(|crd| install_crd(&api, crd)).buffer_unordered(8).try_collect::<Vec<()>>().await?;
    Ok(())
}

/// Applies `manifests/admission`, and waits until the policies are in force.
pub async fn install_admission(client: &Client) -> anyhow::Result<()> {
    apply_manifests(client, "manifests/admission").await?;
    policies_in_force(client).await
}

async fn apply_manifests(client: &Client, directory: impl AsRef<Path>) -> anyhow::Result<()> {
    let mut kinds = HashMap::new();
    for document in documents(&crate::root().join(directory))? {
        apply_known(client, document, &mut kinds).await?;
    }
    Ok(())
}

/// Waits until the API server enforces every policy that was stored before this call.
///
/// It reads policies in the background, all of them at once, and says nowhere how far it is. So one more policy,
/// which refuses one certain object, is stored last: when that object is refused, the others are in force.
pub async fn policies_in_force(client: &Client) -> anyhow::Result<()> {
    let probe = format!("testbed-probe-{}", jiff::Timestamp::now().as_nanosecond());
    for document in probe_policy(&probe) {
        apply(client, document).await?;
    }
    let api: Api<ConfigMap> = Api::namespaced(client.clone(), "default");
    let object: ConfigMap = serde_json::from_value(json!({"metadata": {"name": probe}}))?;
    let dry_run = PostParams { dry_run: true, ..PostParams::default() };
    let start = Instant::now();
    loop {
        match api.create(&dry_run, &object).await {
            Err(kube::Error::Api(refusal)) if refusal.message.contains(&probe) => return Ok(()),
            _ if start.elapsed() > EFFECTIVE => bail!("policies are not in force after {EFFECTIVE:?}"),
            _ => tokio::time::sleep(POLL).await,
        }
    }
}

/// Applies one object; again while the API server does not answer, because a test may have taken it away, or while it does
/// not know the namespace, which may be a moment old.
pub async fn apply(client: &Client, object: Value) -> anyhow::Result<DynamicObject> {
    let start = Instant::now();
    loop {
        match apply_known(client, object.clone(), &mut HashMap::new()).await {
            Err(error) if is_passing(&error) && start.elapsed() < EFFECTIVE => tokio::time::sleep(POLL).await,
            done => return done,
        }
    }
}

async fn install_crd(api: &Api<CustomResourceDefinition>, crd: CustomResourceDefinition) -> anyhow::Result<()> {
    let name = crd.name_any();
    let params = PatchParams::apply(MANAGER).force();
    api.patch(&name, &params, &Patch::Apply(&crd)).await.with_context(|| format!("the server refuses {name}"))?;
    wait::condition(api, &name, "Established", "True", EFFECTIVE).await?;
    Ok(())
}

/// The YAML documents below a directory, by file name.
fn documents(directory: &Path) -> anyhow::Result<Vec<Value>> {
    let mut documents = Vec::new();
    for path in yaml_files(directory)? {
        let text = fs::read_to_string(&path)?;
        for document in serde_yaml::Deserializer::from_str(&text) {
            let value = Value::deserialize(document).with_context(|| format!("{} is not YAML", path.display()))?;
            if !value.is_null() {
                documents.push(value);
            }
        }
    }
    Ok(documents)
}

fn yaml_files(directory: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    let entries = fs::read_dir(directory).with_context(|| format!("cannot read {}", directory.display()))?;
    let mut paths = entries.map(|entry| Ok(entry?.path())).collect::<std::io::Result<Vec<_>>>()?;
    paths.sort();
    for path in paths {
        if path.is_dir() {
            files.extend(yaml_files(&path)?);
        } else if path.extension().is_some_and(|extension| extension == "yaml" || extension == "yml")
            && path.file_stem().is_none_or(|stem| stem != "kustomization")
        {
            files.push(path);
        }
    }
    Ok(files)
}

type Kinds = HashMap<GroupVersionKind, (ApiResource, Scope)>;

async fn apply_known(client: &Client, object: Value, kinds: &mut Kinds) -> anyhow::Result<DynamicObject> {
    let object: DynamicObject = serde_json::from_value(object)?;
    let types = object.types.clone().context("a manifest without kind")?;
    let gvk = GroupVersionKind::try_from(&types)?;
    let (resource, scope) = if let Some(known) = kinds.get(&gvk) {
        known.clone()
    } else {
        let (resource, capabilities) = discovery::pinned_kind(client, &gvk).await?;
        kinds.insert(gvk, (resource.clone(), capabilities.scope.clone()));
        (resource, capabilities.scope)
    };
    let api: Api<DynamicObject> = match scope {
        Scope::Cluster => Api::all_with(client.clone(), &resource),
        Scope::Namespaced => {
            let namespace = object.namespace().unwrap_or_else(|| "default".to_owned());
            Api::namespaced_with(client.clone(), &namespace, &resource)
        }
    };
    let name = object.name_any();
    let applied = api.patch(&name, &PatchParams::apply(MANAGER).force(), &Patch::Apply(&object)).await;
    applied.with_context(|| format!("the server refuses {} {name}", types.kind))
}

async fn bind(client: &Client, kind: &str, role: &str, namespace: Option<&str>) -> anyhow::Result<()> {
    let mut binding = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": format!("{kind}Binding"),
        "metadata": {"name": format!("testbed-{role}")},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": role},
        "subjects": [
            {"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": User::Operator.name()},
        ],
    });
    if let (Some(namespace), Some(metadata)) =
        (namespace, binding.pointer_mut("/metadata").and_then(Value::as_object_mut))
    {
        metadata.insert("namespace".to_owned(), json!(namespace));
    }
    apply(client, binding).await?;
    Ok(())
}

fn name_of(object: &Value) -> &str {
    object.pointer("/metadata/name").and_then(Value::as_str).unwrap_or_default()
}

fn probe_policy(name: &str) -> [Value; 2] {
    let api_version = "admissionregistration.k8s.io/v1";
    let policy = json!({
        "apiVersion": api_version,
        "kind": "ValidatingAdmissionPolicy",
        "metadata": {"name": name},
        "spec": {
            "matchConstraints": {"resourceRules": [
                {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["configmaps"]},
            ]},
            "matchConditions": [{"name": "probe", "expression": format!("object.metadata.name == '{name}'")}],
            "validations": [{"expression": "false", "message": format!("refused by {name}")}],
        },
    });
    let binding = json!({
        "apiVersion": api_version,
        "kind": "ValidatingAdmissionPolicyBinding",
        "metadata": {"name": name},
        "spec": {"policyName": name, "validationActions": ["Deny"]},
    });
    [policy, binding]
}
