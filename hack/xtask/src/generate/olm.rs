//! `bundle/`: what the Operator Lifecycle Manager installs, and the catalog that leads from one version to the next.

mod catalog;
mod crds;
mod csv;

use anyhow::Context;
use serde_json::{Value, json};
use testbed::Release;

use super::{Files, HEADER, OPERATOR, below, operator, release, yaml};

/// The package, in a catalog.
const PACKAGE: &str = OPERATOR;

/// The channel that every version is in.
const CHANNEL: &str = "stable";

/// What tells OLM what is where in a bundle: annotations of the bundle, labels of its image.
const ANNOTATIONS: &[(&str, &str)] = &[
    ("operators.operatorframework.io.bundle.mediatype.v1", "registry+v1"),
    ("operators.operatorframework.io.bundle.manifests.v1", "manifests/"),
    ("operators.operatorframework.io.bundle.metadata.v1", "metadata/"),
    ("operators.operatorframework.io.bundle.package.v1", PACKAGE),
    ("operators.operatorframework.io.bundle.channels.v1", CHANNEL),
    ("operators.operatorframework.io.bundle.channel.default.v1", CHANNEL),
    ("operators.operatorframework.io.test.mediatype.v1", "scorecard+v1"),
    ("operators.operatorframework.io.test.config.v1", "tests/scorecard/"),
];

/// The runner of the scorecard's own tests.
const SCORECARD: &str = "quay.io/operator-framework/scorecard-test:v1.39.2";

/// Writes a bundle.
pub fn write_bundle(args: &release::Args) -> anyhow::Result<()> {
    let releases = args.chain()?;
    let (latest, older) = releases.split_last().with_context(|| args.nothing())?;
    args.write(bundle(latest, older.last())?)
}

/// Writes a catalog.
pub fn write_catalog(args: &release::Args) -> anyhow::Result<()> {
    let releases = args.chain()?;
    anyhow::ensure!(!releases.is_empty(), args.nothing());
    args.write(catalog::files(&releases)?)
}

/// The files of a bundle that replaces an older one, if there is an older one.
pub(super) fn bundle(release: &Release, older: Option<&Release>) -> anyhow::Result<Files> {
    let mut manifests = Files::from([(format!("{OPERATOR}.clusterserviceversion.yaml"), csv::text(release, older)?)]);
    for crd in api::crd::all() {
        let name = format!("{}_{}.yaml", crd.spec.group, crd.spec.names.plural);
        manifests.insert(name, document(&crd)?);
    }
    // No NetworkPolicy: most versions of OLM take none.
    for (name, mut object) in [
        (format!("{OPERATOR}.poddisruptionbudget.yaml"), operator::budget()),
        (format!("{OPERATOR}-metrics.service.yaml"), operator::metrics()),
    ] {
        // Its namespace is that of the subscription.
        if let Some(metadata) = object.pointer_mut("/metadata").and_then(Value::as_object_mut) {
            metadata.remove("namespace");
        }
        manifests.insert(name, document(&object)?);
    }
    let mut files = below("manifests", manifests);
    let annotations: serde_json::Map<_, _> =
        ANNOTATIONS.iter().map(|(name, value)| ((*name).to_owned(), json!(value))).collect();
    files.insert("metadata/annotations.yaml".to_owned(), document(&json!({"annotations": annotations}))?);
    files.insert("tests/scorecard/config.yaml".to_owned(), document(&scorecard())?);
    Ok(files)
}

/// The image of a bundle.
pub(super) fn container_file() -> Files {
    let labels: Vec<String> = ANNOTATIONS.iter().map(|(name, value)| format!("LABEL {name}={value}\n")).collect();
    let text = format!(
        "{HEADER}# The OLM bundle as an image; the context is a bundle, or has one below each VERSION.\n\
         FROM scratch\n\
         ARG VERSION=.\n\
         {}\
         COPY ${{VERSION}}/manifests /manifests/\n\
         COPY ${{VERSION}}/metadata /metadata/\n\
         COPY ${{VERSION}}/tests/scorecard /tests/scorecard/\n",
        labels.concat()
    );
    Files::from([("hack/containers/bundle/Containerfile".to_owned(), text)])
}

/// A file with one object.
fn document<T: serde::Serialize>(object: &T) -> anyhow::Result<String> {
    documents(&[object])
}

/// A file with these objects: for OLM's tools a comment before the first one would be a document, too.
fn documents<T: serde::Serialize>(objects: &[T]) -> anyhow::Result<String> {
    Ok(yaml("", objects)?.replacen("---\n", "", 1))
}

fn scorecard() -> Value {
    let test = |suite: &str, name: &str| {
        json!({
            "image": SCORECARD,
            "entrypoint": ["scorecard-test", name],
            "labels": {"suite": suite, "test": format!("{name}-test")},
        })
    };
    let olm = ["olm-bundle-validation", "olm-crds-have-validation", "olm-crds-have-resources"];
    let olm = olm.into_iter().chain(["olm-spec-descriptors", "olm-status-descriptors"]);
    let tests: Vec<_> =
        [test("basic", "basic-check-spec")].into_iter().chain(olm.map(|name| test("olm", name))).collect();
    json!({
        "apiVersion": "scorecard.operatorframework.io/v1alpha3",
        "kind": "Configuration",
        "metadata": {"name": "config"},
        "stages": [{"parallel": true, "tests": tests}],
    })
}
