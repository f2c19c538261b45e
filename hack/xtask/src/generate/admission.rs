//! `manifests/admission/`: the rules on `OpenStackVersion`, `OpenStackControlPlane` and `Keystone`, and on the operator
//! itself, as `ValidatingAdmissionPolicies`.
//!
//! No webhook: the API server evaluates the rules itself, so nothing has to be served, and nothing fails while the
//! operator restarts. The plan enforces the same rules again on what slipped through.
//!
//! Every policy matches the main resource only, never `/status`: the operator can always write what it sees. Facts come
//! from `oldObject.status`, because a request to the main resource cannot change the status.

mod cel;
mod custom_images;
mod keystone;
mod own_objects;
mod policy;
mod singletons;
mod stage;
mod target;
mod templates;

use policy::Policy;

use super::{Files, yaml};

pub(super) fn files() -> anyhow::Result<Files> {
    let mut files = Files::new();
    for policy in policies() {
        let name = format!("admission/{}.yaml", policy.name);
        let text = yaml(policy.about, &[policy.object()])? + "---\n" + &serde_yaml::to_string(&policy.binding())?;
        files.insert(name, text);
    }
    Ok(files)
}

fn policies() -> Vec<Policy> {
    vec![
        singletons::version(),
        singletons::control_plane(),
        target::policy(),
        target::dataplane_mode(),
        custom_images::unchanged(),
        custom_images::backends(),
        stage::policy(),
        templates::policy(),
        own_objects::policy(),
        keystone::spec(),
        keystone::target(),
        keystone::advice(),
    ]
}
