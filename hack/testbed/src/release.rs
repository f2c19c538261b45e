//! Releases: the files under `manifests/releases`, and variants of them.

use std::{collections::BTreeMap, path::Path};

use anyhow::Context;
use api::image::{self, Images};
use serde::{Deserialize, Serialize};

/// What a bundle of one version ships.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Release {
    /// The version, e.g. `1.0.1`.
    pub version: String,
    /// The series, e.g. `2025.2`.
    pub release: String,
    /// The image of the operator itself.
    pub operator_image: String,
    /// The image of the OLM bundle, for a catalog.
    pub bundle_image: String,
    /// The images of the cloud, by field name.
    pub images: Images,
}

impl Release {
    /// Reads a file.
    pub fn load(path: impl AsRef<Path>) -> anyhow::Result<Self> {
        let path = path.as_ref();
        let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
        serde_yaml::from_str(&text).with_context(|| format!("{} is not a release", path.display()))
    }

    /// Reads `manifests/releases/<version>.yaml`.
    pub fn named(version: &str) -> anyhow::Result<Self> {
        Self::load(crate::root().join("manifests/releases").join(format!("{version}.yaml")))
    }

    /// The environment that a bundle of this version gives the operator.
    pub fn env(&self) -> Vec<(String, String)> {
        let images = image::release_images()
            .filter_map(|field| Some((field.env()?, self.images.get(field.name)?.clone())))
            // Two fields may share a variable; it is there once.
            .collect::<BTreeMap<_, _>>();
        let version = [
            ("OPENSTACK_RELEASE_VERSION".to_owned(), self.version.clone()),
            ("OPENSTACK_RELEASE".to_owned(), self.release.clone()),
        ];
        version.into_iter().chain(images).collect()
    }

    /// Another version with the same repositories: every tag becomes the version.
    #[must_use]
    pub fn with_version(mut self, version: &str) -> Self {
        for reference in self.images.values_mut().chain([&mut self.operator_image, &mut self.bundle_image]) {
            *reference = format!("{}:{version}", image::split_reference(reference).repository);
        }
        version.clone_into(&mut self.version);
        self
    }

    /// The same of another series.
    #[must_use]
    pub fn with_release(mut self, release: &str) -> Self {
        release.clone_into(&mut self.release);
        self
    }

    /// The same with another image; a field that shares the variable follows.
    #[must_use]
    pub fn with_image(mut self, field: &str, reference: &str) -> Self {
        for name in sharing_variable(field) {
            self.images.insert(name.to_owned(), reference.to_owned());
        }
        self
    }

    /// The same without an image; a field that shares the variable goes, too.
    #[must_use]
    pub fn without_image(mut self, field: &str) -> Self {
        for name in sharing_variable(field) {
            self.images.remove(name);
        }
        self
    }
}

/// The fields that the variable of `field` brings.
fn sharing_variable(field: &str) -> impl Iterator<Item = &'static str> {
    let variable = image::release_images().find(|row| row.name == field).and_then(image::ImageField::env);
    image::release_images().filter(move |row| variable.is_some() && row.env() == variable).map(|row| row.name)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use super::*;

    #[test]
    fn the_files_carry_every_image_that_has_a_variable_and_no_other() {
        let wanted: Vec<_> = image::release_images().filter(|row| row.env().is_some()).map(|row| row.name).collect();
        for version in ["1.0.0", "1.0.1"] {
            let release = Release::named(version).unwrap();
            assert_eq!(release.version, version);
            assert!(api::release::is_release(&release.release));
            for name in &wanted {
                image::check_reference(&release.images[*name]).unwrap();
            }
            assert_eq!(release.images.len(), wanted.len());
            let read = image::from_env(release.env());
            assert_eq!(read.problems, Vec::<String>::new());
            assert_eq!(read.images, release.images, "what is written is what the operator reads");
        }
    }

    #[test]
    fn every_image_moves_between_the_two() {
        let (old, new) = (Release::named("1.0.0").unwrap(), Release::named("1.0.1").unwrap());
        assert!(old.images.iter().all(|(name, reference)| &new.images[name] != reference));
        assert_eq!(old.with_version("1.0.1"), new);
    }

    #[test]
    fn variants_keep_the_environment_consistent() {
        let release = Release::named("1.0.0").unwrap().with_image("neutronAPIImage", "registry.example.com/n:2");
        assert_eq!(release.images["infraDnsmasqImage"], "registry.example.com/n:2");
        assert_eq!(image::from_env(release.env()).images, release.images);
        let fewer = release.without_image("glanceAPIImage");
        assert!(!fewer.env().iter().any(|(name, _)| name.contains("GLANCE")));
    }
}
