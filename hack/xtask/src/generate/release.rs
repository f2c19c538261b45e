//! Reads `manifests/releases/`: the source of truth for versions and their images.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, bail};
use api::{image, release};
use testbed::Release;

use super::{Files, RELEASES, root};

/// Which release is written where.
#[derive(clap::Args, Debug)]
pub struct Args {
    /// Where the releases are.
    #[arg(long, default_value_os_t = root().join(RELEASES))]
    releases: PathBuf,
    /// Where the files go: what is there with the same name is overwritten.
    #[arg(long)]
    out: PathBuf,
    /// The version; of a catalog the newest one that it has. Without it, the newest of all.
    #[arg(long)]
    version: Option<String>,
}

impl Args {
    /// The releases up to the wanted one.
    pub(super) fn chain(&self) -> anyhow::Result<Vec<Release>> {
        let mut releases = all(&self.releases)?;
        if let Some(version) = &self.version {
            let found = releases.iter().position(|release| release.version == *version);
            let found = found.with_context(|| format!("{} has no {version}.yaml", self.releases.display()))?;
            releases.truncate(found + 1);
        }
        Ok(releases)
    }

    /// What is said when there is none.
    pub(super) fn nothing(&self) -> String {
        format!("{} has no release; name another folder with --releases", self.releases.display())
    }

    pub(super) fn write(&self, files: Files) -> anyhow::Result<()> {
        for (name, text) in files {
            let path = self.out.join(name);
            fs::create_dir_all(path.parent().unwrap_or(&self.out))?;
            fs::write(&path, text).with_context(|| path.display().to_string())?;
        }
        Ok(())
    }
}

/// The images as the operator's environment: variable and reference, in the order of the table. Two fields may share a
/// variable; it is there once.
pub(super) fn env(release: &Release) -> impl Iterator<Item = (String, &str)> {
    let mut seen = BTreeSet::new();
    image::release_images().filter_map(move |field| {
        let (variable, reference) = (field.env()?, release.images.get(field.name)?);
        seen.insert(variable.clone()).then_some((variable, reference.as_str()))
    })
}

/// Every release in the folder, the oldest first. A folder that is not there has none.
pub(super) fn all(folder: &Path) -> anyhow::Result<Vec<Release>> {
    let Ok(entries) = fs::read_dir(folder) else { return Ok(Vec::new()) };
    let mut all: Vec<(release::Version, Release)> = Vec::new();
    for entry in entries {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "yaml") {
            let (version, release) = read(&path).with_context(|| path.display().to_string())?;
            all.push((version, release));
        }
    }
    all.sort_by(|(one, _), (other, _)| one.cmp(other));
    Ok(all.into_iter().map(|(_, release)| release).collect())
}

fn read(path: &Path) -> anyhow::Result<(release::Version, Release)> {
    let found = Release::load(path)?;
    check(&found)?;
    if path.file_stem().is_none_or(|stem| *stem != *found.version) {
        bail!("version: \"{}\" is not the name of the file; rename one of them", found.version);
    }
    Ok((found.version.parse()?, found))
}

fn check(found: &Release) -> anyhow::Result<()> {
    if !release::is_release(&found.release) {
        bail!("release: \"{}\" is not an OpenStack release such as 2025.2", found.release);
    }
    for (name, reference) in [("operatorImage", &found.operator_image), ("bundleImage", &found.bundle_image)] {
        image::check_reference(reference).map_err(|problem| anyhow::anyhow!("{name}: {problem}"))?;
    }
    for (name, reference) in &found.images {
        if !image::release_images().any(|field| field.name == name && field.env().is_some()) {
            bail!("images.{name}: no image of a release has this name");
        }
        image::check_reference(reference).map_err(|problem| anyhow::anyhow!("images.{name}: {problem}"))?;
    }
    Ok(())
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
pub(super) mod tests {
    use super::*;

    /// A release of that version with these images, and those of the operator by digest.
    pub(crate) fn release(version: &str, images: &[(&str, &str)]) -> Release {
        let digest = "ab".repeat(32);
        Release {
            version: version.to_owned(),
            release: "2025.2".to_owned(),
            operator_image: format!("registry.example.com/operator@sha256:{digest}"),
            bundle_image: format!("registry.example.com/bundle@sha256:{digest}"),
            images: images.iter().map(|(field, image)| ((*field).to_owned(), (*image).to_owned())).collect(),
        }
    }

    #[test]
    fn a_variable_that_two_fields_share_is_there_once() {
        let release = release("1.0.0", &[("infraDnsmasqImage", "a/neutron:1"), ("neutronAPIImage", "a/neutron:1")]);
        let env: Vec<_> = env(&release).collect();
        assert_eq!(env, [("RELATED_IMAGE_NEUTRON_API_IMAGE_URL_DEFAULT".to_owned(), "a/neutron:1")]);
    }

    #[test]
    fn the_latest_release_of_the_repository_carries_every_image() {
        let all = all(&super::super::root().join(super::super::RELEASES)).unwrap();
        for field in image::release_images().filter(|field| field.env().is_some()) {
            assert!(all.last().unwrap().images.contains_key(field.name), "{}", field.name);
        }
    }

    /// A file of releases with that text under that name.
    fn file(name: &str, text: &str) -> anyhow::Result<Vec<Release>> {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join(name), text).unwrap();
        all(folder.path())
    }

    const HEAD: &str = "version: 1.0.0\nrelease: \"2025.2\"\noperatorImage: a/operator:1\nbundleImage: a/bundle:1\n";

    #[test]
    fn an_image_may_have_a_digest() {
        for reference in ["r.example.com:5000/a/glance", "r.example.com/a/glance:1.0.0"] {
            let reference = format!("{reference}@sha256:{}", "0f".repeat(32));
            let releases = file("1.0.0.yaml", &format!("{HEAD}images: {{glanceAPIImage: \"{reference}\"}}\n")).unwrap();
            let env: Vec<_> = env(&releases[0]).collect();
            assert_eq!(env, [("RELATED_IMAGE_GLANCE_API_IMAGE_URL_DEFAULT".to_owned(), reference.as_str())]);
        }
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (name, text, said) in [
            ("1.0.1.yaml", format!("{HEAD}images: {{}}\n"), "\"1.0.0\" is not the name of the file"),
            ("1.0.0.yaml", format!("{HEAD}images: {{glanceAPIImage: \"a@sha256:12\"}}\n"), "images.glanceAPIImage: "),
            ("1.0.0.yaml", format!("{HEAD}images: {{glanceImage: a}}\n"), "images.glanceImage: no image of a release"),
            ("1.0.0.yaml", HEAD.replace("a/bundle", "A/") + "images: {}\n", "bundleImage: \"A/:1\""),
        ] {
            let error = format!("{:#}", file(name, &text).unwrap_err());
            assert!(error.contains(said), "{error}");
        }
    }
}
