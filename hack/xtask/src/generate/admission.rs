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

use std::fmt::Write as _;

use policy::Policy;

use serde_json::{Value, json};

use super::{Files, HEADER, rbac::rule, with, yaml};

const GROUP: &str = "admissionregistration.k8s.io";
const PLURALS: &[&str] = &["validatingadmissionpolicies", "validatingadmissionpolicybindings"];

pub(super) fn files() -> anyhow::Result<Files> {
    let mut files = Files::new();
    for policy in policies() {
        let name = format!("admission/{}.yaml", policy.name);
        let text = yaml(policy.about, &[policy.object()])? + "---\n" + &serde_yaml::to_string(&policy.binding())?;
        files.insert(name, text);
    }
    Ok(files)
}

/// The policies as a part of the operator's binary, which can put them in place.
pub(super) fn sources() -> anyhow::Result<Files> {
    let mut text = HEADER.replacen('#', "//", 1) + "\npub(super) const POLICIES: &[&str] = &[\n";
    for policy in policies() {
        writeln!(text, "    include_str!(\"../../manifests/admission/{}.yaml\"),", policy.name)?;
    }
    Ok(Files::from([("src/admission/policies.rs".to_owned(), text + "];\n")]))
}

/// What one must be allowed to do to put the policies in place, and nothing more: a server-side apply of an object that is
/// not there is judged by its name, too.
pub(super) fn rules() -> Vec<Value> {
    let names: Vec<String> = policies().iter().map(Policy::full_name).collect();
    let apply = with(rule(GROUP, PLURALS, &["get", "create", "patch"]), json!({"resourceNames": names}));
    // Who makes objects of a kind the parameters of a policy must be allowed to read them.
    let read = rule(api::GROUP, &[policy::VERSIONS, policy::CONTROL_PLANES], &["get", "list"]);
    vec![rule(GROUP, PLURALS, &["list", "watch"]), apply, read]
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
