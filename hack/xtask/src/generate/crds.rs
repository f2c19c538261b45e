//! `manifests/crds/`: the CRDs that the operator serves, one file each, named as upstream names them.

use super::{Files, yaml};

pub(super) fn files() -> anyhow::Result<Files> {
    let mut files = Files::new();
    for crd in api::crd::all() {
        let name = format!("crds/{}_{}.yaml", crd.spec.group, crd.spec.names.plural);
        files.insert(name, yaml("", &[crd])?);
    }
    Ok(files)
}
