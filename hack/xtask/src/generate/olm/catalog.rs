//! A file-based catalog: the package, its channel with the way from version to version, and the bundles.

use api::release::Version;
use serde_json::{Value, json};
use testbed::Release;

use super::{CHANNEL, Files, PACKAGE, csv, documents};

/// The catalog of these releases, the oldest first.
pub(super) fn files(releases: &[Release]) -> anyhow::Result<Files> {
    let icon = json!({"base64data": csv::icon(), "mediatype": csv::ICON_TYPE});
    let package = json!({"schema": "olm.package", "name": PACKAGE, "defaultChannel": CHANNEL, "icon": icon});
    let mut objects = vec![package, channel(releases)?];
    for release in releases {
        objects.push(bundle(release)?);
    }
    Ok(Files::from([(format!("{PACKAGE}/catalog.yaml"), documents(&objects)?)]))
}

fn channel(releases: &[Release]) -> anyhow::Result<Value> {
    let names: Vec<String> = releases.iter().map(csv::name).collect::<anyhow::Result<_>>()?;
    let older = [None].into_iter().chain(names.iter().map(Some));
    let entry = |(name, older): (&String, Option<&String>)| match older {
        Some(older) => json!({"name": name, "replaces": older}),
        None => json!({"name": name}),
    };
    let entries: Vec<Value> = names.iter().zip(older).map(entry).collect();
    Ok(json!({"schema": "olm.channel", "package": PACKAGE, "name": CHANNEL, "entries": entries}))
}

fn bundle(release: &Release) -> anyhow::Result<Value> {
    let version: Version = release.version.parse()?;
    let property = |name: &str, value: Value| json!({"type": name, "value": value});
    let package = property("olm.package", json!({"packageName": PACKAGE, "version": csv::semver(&version)}));
    let mut properties = vec![package, property("olm.csv.metadata", csv::metadata(release)?)];
    for crd in api::crd::all() {
        for version in &crd.spec.versions {
            let gvk = json!({"group": crd.spec.group, "version": version.name, "kind": crd.spec.names.kind});
            properties.push(property("olm.gvk", gvk));
        }
    }
    let mut images = csv::related_images(release);
    images.push(json!({"name": "", "image": release.bundle_image}));
    Ok(json!({
        "schema": "olm.bundle",
        "package": PACKAGE,
        "name": csv::name(release)?,
        "image": release.bundle_image,
        "properties": properties,
        "relatedImages": images,
    }))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use super::{super::super::release::tests::release, *};

    #[test]
    fn each_version_replaces_the_one_before() {
        let releases = ["1.0.0", "1.0.1", "1.1.0.1755000000.p"].map(|version| release(version, &[]));
        let entries = channel(&releases).unwrap()["entries"].clone();
        let name = |version: &str| format!("openstack-release-operator.v{version}");
        assert_eq!(
            entries,
            json!([
                {"name": name("1.0.0")},
                {"name": name("1.0.1"), "replaces": name("1.0.0")},
                {"name": name("1.1.0-1755000000.p"), "replaces": name("1.0.1")},
            ])
        );
    }

    #[test]
    fn a_bundle_says_which_images_it_needs() {
        let release = release("1.0.0", &[("glanceAPIImage", "registry.example.com/glance:1")]);
        let bundle = bundle(&release).unwrap();
        let images: Vec<_> =
            bundle["relatedImages"].as_array().unwrap().iter().map(|one| one["image"].clone()).collect();
        assert_eq!(images, [&release.operator_image, "registry.example.com/glance:1", &release.bundle_image]);
    }
}
