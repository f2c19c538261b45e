//! The scripted dataplane: what a deployment does to the nodesets that it names.

use api::{
    dataplane,
    step::{MINOR_UPDATE, Scope},
    version::OpenStackVersion,
};
use kube::{Api, ResourceExt, api::DynamicObject};
use serde_json::{Map, Value, json};

use super::{
    Stage,
    status::{self, Wish},
};

/// The services of a deployment that stamp the version on a nodeset.
const STAMPING: &[&str] = &["update", "update-services"];

impl Stage {
    /// Carries out a deployment: stamps its nodesets, then says that it is deployed. A deployment runs once.
    pub(super) async fn deploy(&self, deployment: &DynamicObject, wish: &Wish) -> anyhow::Result<()> {
        if deployment.data.pointer("/status/deployed") == Some(&json!(true)) {
            return Ok(());
        }
        if let Wish::Failed(_) = wish {
            let conditions = status::conditions(deployment, &["Ready", "NodeSetDeploymentReady"], wish);
            let status = json!({"observedGeneration": deployment.metadata.generation, "conditions": conditions});
            return self.write(dataplane::DEPLOYMENT, deployment, status).await;
        }
        let version = self.version().await?;
        let node_sets = strings(deployment.data.pointer("/spec/nodeSets"));
        let mut services = Vec::new();
        for name in &node_sets {
            if let Some(node_set) = self.api(dataplane::NODE_SET).get_opt(name).await? {
                services = services_of(deployment, &node_set);
                let status = stamped(&node_set, deployment, &services, version.as_ref());
                self.write(dataplane::NODE_SET, &node_set, status).await?;
            }
        }
        let mut status = json!({
            "observedGeneration": deployment.metadata.generation,
            "deployed": true,
            "conditions": status::conditions(deployment, &["Ready", "NodeSetDeploymentReady"], wish),
            "containerImages": recorded(&services, version.as_ref()),
        });
        if let (Some(version), Some(status)) = (&version, status.as_object_mut()) {
            status.insert("deployedVersion".into(), json!(version.spec.target_version));
        }
        self.write(dataplane::DEPLOYMENT, deployment, status).await
    }

    async fn version(&self) -> anyhow::Result<Option<OpenStackVersion>> {
        let api: Api<OpenStackVersion> = Api::namespaced(self.client.clone(), &self.namespace);
        Ok(api.list(&kube::api::ListParams::default()).await?.items.into_iter().next())
    }
}

/// What the deployment runs on the nodeset; empty stands for everything (a full installation).
fn services_of(deployment: &DynamicObject, node_set: &DynamicObject) -> Vec<String> {
    let chosen = strings(deployment.data.pointer("/spec/servicesOverride"));
    if chosen.is_empty() { strings(node_set.data.pointer("/spec/services")) } else { chosen }
}

/// The status of a nodeset after the deployment.
fn stamped(
    node_set: &DynamicObject,
    deployment: &DynamicObject,
    services: &[String],
    version: Option<&OpenStackVersion>,
) -> Value {
    let conditions = status::conditions(node_set, &["Ready", "SetupReady", "DeploymentReady"], &Wish::Ready);
    let mut status = json!({
        "observedGeneration": node_set.metadata.generation,
        "conditions": conditions,
        "containerImages": recorded(services, version),
        "deploymentStatuses": {deployment.name_any(): [
            {"type": "NodeSetDeploymentReady", "status": "True", "lastTransitionTime": status::now()},
        ]},
    });
    let stamps = services.iter().any(|service| STAMPING.contains(&service.as_str()));
    if let (true, Some(version), Some(status)) = (stamps, version, status.as_object_mut()) {
        status.insert("deployedVersion".into(), json!(version.spec.target_version));
    }
    status
}

/// The images that a nodeset records: those that the steps of the update look for, where the deployment carries them.
fn recorded(services: &[String], version: Option<&OpenStackVersion>) -> Value {
    let Some(images) = version.and_then(|version| version.status.as_ref()).map(|status| &status.container_images)
    else {
        return json!({});
    };
    let mut fields = Map::new();
    for step in MINOR_UPDATE {
        if let Scope::NodeSetsRunning { image, recorded_as, deploy, .. } = step.scope {
            let runs = |service: &String| service == deploy || service == "update";
            if services.is_empty() || services.iter().any(runs) {
                fields.extend(images.get(image).map(|image| (recorded_as.to_owned(), json!(image))));
            }
        }
    }
    Value::Object(fields)
}

fn strings(value: Option<&Value>) -> Vec<String> {
    let items = value.and_then(Value::as_array).into_iter().flatten();
    items.filter_map(Value::as_str).map(str::to_owned).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use super::*;

    fn object(kind: &str, spec: &Value) -> DynamicObject {
        serde_json::from_value(json!({"apiVersion": "v1", "kind": kind, "metadata": {"name": "a"}, "spec": spec}))
            .unwrap()
    }

    fn after(override_: &[&str], services: &[&str]) -> Value {
        let version = serde_json::from_value(json!({
            "apiVersion": "core.openstack.org/v1beta1", "kind": "OpenStackVersion", "metadata": {"name": "v"},
            "spec": {"targetVersion": "1.0.1"}, "status": {"containerImages": {"ovnControllerImage": "r/ovn:1.0.1"}},
        }))
        .unwrap();
        let node_set = object("OpenStackDataPlaneNodeSet", &json!({"services": services}));
        let deployment = object("OpenStackDataPlaneDeployment", &json!({"servicesOverride": override_}));
        stamped(&node_set, &deployment, &services_of(&deployment, &node_set), Some(&version))
    }

    #[test]
    fn only_an_update_stamps_the_version_and_only_ovn_records_its_image() {
        let ovn = after(&["ovn"], &[]);
        assert_eq!(
            (ovn.get("deployedVersion"), &ovn["containerImages"]["OvnControllerImage"]),
            (None, &json!("r/ovn:1.0.1"))
        );
        let update = after(&["update"], &["ovn"]);
        assert_eq!(
            (&update["deployedVersion"], &update["containerImages"]["OvnControllerImage"]),
            (&json!("1.0.1"), &json!("r/ovn:1.0.1"))
        );
        let services = after(&["update-services"], &["ovn"]);
        assert_eq!((&services["deployedVersion"], &services["containerImages"]), (&json!("1.0.1"), &json!({})));
        let install = after(&[], &[]);
        assert_eq!((install.get("deployedVersion"), install["containerImages"].as_object().unwrap().len()), (None, 1));
        assert_eq!(after(&[], &["nova"])["containerImages"], json!({}));
    }
}
