//! Reads `manifests/releases/`: the source of truth for versions and their images.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

use anyhow::{Context, bail};
use api::{image, release};
use serde::Deserialize;

/// One release: what a bundle of that version carries.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Release {
    /// E.g. `1.0.1`.
    pub version: String,
    /// E.g. `2025.2`.
    #[serde(rename = "release")]
    pub series: String,
    /// References by image field.
    pub images: BTreeMap<String, String>,
}

impl Release {
    /// The images as the operator's environment: variable and reference, in the order of the table. Two fields may share
    /// a variable; it is there once.
    pub(super) fn env(&self) -> impl Iterator<Item = (String, &str)> {
        let mut seen = BTreeSet::new();
        image::release_images().filter_map(move |field| {
            let (variable, reference) = (field.env()?, self.images.get(field.name)?);
            seen.insert(variable.clone()).then_some((variable, reference.as_str()))
        })
    }
}

/// The highest version in the folder; `None` while there is none.
pub(super) fn latest(folder: &Path) -> anyhow::Result<Option<Release>> {
    let Ok(entries) = fs::read_dir(folder) else { return Ok(None) };
    let mut latest: Option<(release::Version, Release)> = None;
    for entry in entries {
        let path = entry?.path();
        if path.extension().is_none_or(|extension| extension != "yaml") {
            continue;
        }
        let found = read(&path).with_context(|| path.display().to_string())?;
        let version = found.version.parse()?;
        if latest.as_ref().is_none_or(|(highest, _)| *highest < version) {
            latest = Some((version, found));
        }
    }
    Ok(latest.map(|(_, release)| release))
}

fn read(path: &Path) -> anyhow::Result<Release> {
    let found: Release = serde_yaml::from_str(&fs::read_to_string(path)?)?;
    if !release::is_release(&found.series) {
        bail!("release: \"{}\" is not an OpenStack release such as 2025.2", found.series);
    }
    for (name, reference) in &found.images {
        if !image::release_images().any(|field| field.name == name && field.env().is_some()) {
            bail!("images.{name}: no image of a release has this name");
        }
        if let Err(problem) = image::check_reference(reference) {
            bail!("images.{name}: {problem}");
        }
    }
    Ok(found)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn release(images: &[(&str, &str)]) -> Release {
        let images = images.iter().map(|(field, image)| ((*field).to_owned(), (*image).to_owned())).collect();
        Release { version: "1.0.0".to_owned(), series: "2025.2".to_owned(), images }
    }

    #[test]
    fn a_variable_that_two_fields_share_is_there_once() {
        let release = release(&[("infraDnsmasqImage", "a/neutron:1"), ("neutronAPIImage", "a/neutron:1")]);
        let env: Vec<_> = release.env().collect();
        assert_eq!(env, [("RELATED_IMAGE_NEUTRON_API_IMAGE_URL_DEFAULT".to_owned(), "a/neutron:1")]);
    }

    #[test]
    fn the_latest_release_of_the_repository_carries_every_image() {
        let latest = latest(&super::super::root().join("manifests/releases")).unwrap().unwrap();
        for field in image::release_images().filter(|field| field.env().is_some()) {
            assert!(latest.images.contains_key(field.name), "{}", field.name);
        }
    }
}
