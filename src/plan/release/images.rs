//! Image resolution: which reference is in effect for each image, and where it comes from.

use std::collections::BTreeMap;

use api::{
    image::{self, BACKEND_MAPS, DEFAULT_BACKEND, DERIVED, Images, Origin as FieldOrigin},
    service::{Slot, Source},
    version::{ContainerImages, ImageValue, ServiceDefaults},
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::json;

/// Where a value comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, strum::Display)]
#[strum(serialize_all = "lowercase")]
pub enum Origin {
    /// `customContainerImages`.
    Custom,
    /// The release.
    Release,
    /// Another image field of the release.
    Derived,
}

/// A reference in effect.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resolved {
    /// The image reference.
    pub reference: String,
    /// Where it comes from.
    pub origin: Origin,
}

/// Every image in effect for one version with one set of custom images.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Effective {
    images: BTreeMap<&'static str, Resolved>,
    backends: BTreeMap<&'static str, BTreeMap<String, Resolved>>,
}

impl Effective {
    /// Custom over release; old names count for the new ones; a malformed custom image is nobody's value: the image
    /// is then missing, because falling back to the release would silently drop a hotfix.
    pub fn new(release: &Images, custom: &ContainerImages) -> Self {
        let mut effective = Self::default();
        for field in image::fields().iter().filter(|field| !matches!(field.origin, FieldOrigin::AliasOf(_))) {
            let old_name = || {
                let mut fields = image::fields().iter().filter(|_| !custom.is_empty());
                custom_image(custom, fields.find(|other| other.origin == FieldOrigin::AliasOf(field.name))?.name)
            };
            let wish = custom_image(custom, field.name).or_else(old_name);
            if let Some(resolved) = choose(wish, release.get(field.name)) {
                effective.images.insert(field.name, resolved);
            }
        }
        for derived in DERIVED {
            if let Some(source) = effective.images.get(derived.from) {
                let resolved = Resolved { reference: source.reference.clone(), origin: Origin::Derived };
                effective.images.insert(derived.name, resolved);
            }
        }
        for map in BACKEND_MAPS {
            let mut backends = BTreeMap::new();
            let entries = match custom.get(map.name) {
                Some(ImageValue::Backends(entries)) => entries.clone(),
                _ => BTreeMap::new(),
            };
            let default = entries.get(DEFAULT_BACKEND).and_then(Option::as_deref);
            if let Some(resolved) = choose(default, release.get(map.default_image)) {
                backends.insert(DEFAULT_BACKEND.to_owned(), resolved);
            }
            for (backend, wish) in entries.iter().filter(|(backend, _)| *backend != DEFAULT_BACKEND) {
                if let Some(resolved) = choose(wish.as_deref(), None) {
                    backends.insert(backend.clone(), resolved);
                }
            }
            effective.backends.insert(map.name, backends);
        }
        effective
    }

    /// The image of that field.
    pub fn image(&self, name: &str) -> Option<&Resolved> {
        self.images.get(name)
    }

    /// The image of a backend: its own entry, else the map's `default`, which is the custom one or the release's.
    pub fn backend(&self, map: &str, backend: &str) -> Option<&Resolved> {
        let backends = self.backends.get(map)?;
        backends.get(backend).or_else(|| backends.get(DEFAULT_BACKEND))
    }

    /// In upstream's shape.
    pub fn container_images(&self) -> ContainerImages {
        let mut all: ContainerImages = self
            .images
            .iter()
            .map(|(name, resolved)| ((*name).to_owned(), ImageValue::Image(resolved.reference.clone())))
            .collect();
        for (map, backends) in self.backends.iter().filter(|(_, backends)| !backends.is_empty()) {
            let entries =
                backends.iter().map(|(backend, resolved)| (backend.clone(), Some(resolved.reference.clone())));
            all.insert((*map).to_owned(), ImageValue::Backends(entries.collect()));
        }
        all
    }
}

fn custom_image<'a>(custom: &'a ContainerImages, name: &str) -> Option<&'a str> {
    match custom.get(name) {
        Some(ImageValue::Image(reference)) if !reference.is_empty() => Some(reference),
        _ => None,
    }
}

fn choose(wish: Option<&str>, release: Option<&String>) -> Option<Resolved> {
    match wish {
        Some(wish) => image::check_reference(wish)
            .is_ok()
            .then(|| Resolved { reference: wish.to_owned(), origin: Origin::Custom }),
        None => release.map(|reference| Resolved { reference: reference.clone(), origin: Origin::Release }),
    }
}

/// Everything that a version gives to the services: images, feature switches, the OpenStack release.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ImageSet {
    /// The version.
    pub version: String,
    /// Whether the version's images are known at all.
    pub known: bool,
    /// The images.
    pub effective: Effective,
    /// The feature switches; absent ones take the slot's legacy value.
    pub switches: ServiceDefaults,
    /// The OpenStack release, when it is known.
    pub release: Option<String>,
}

impl ImageSet {
    /// A version of which nothing is known that could be written.
    pub(crate) fn unknown(version: &str) -> Self {
        Self { version: version.to_owned(), ..Self::default() }
    }
}

/// What a slot gets.
#[derive(Clone, Debug, PartialEq)]
pub enum SlotValue {
    /// This value.
    Value(Value),
    /// Nothing: the value is optional and the version has none.
    Nothing,
    /// Nothing, although the service needs this image.
    Missing(String),
}

impl ImageSet {
    /// The value of a slot. `entry` is the key of the map entry that the slot is in, `template` the object's body.
    pub fn value(&self, slot: &Slot, entry: &str, template: &Value) -> SlotValue {
        match slot.source {
            Source::Image(name) => self.reference(name, |reference| json!(reference)),
            Source::ImageParts(name) => self.reference(name, image_parts),
            Source::ByField { field, cases } => Source::case(cases, json::text(template, field))
                .map_or(SlotValue::Nothing, |name| self.reference(name, |reference| json!(reference))),
            Source::Backend(map) => match self.effective.backend(map, entry) {
                Some(resolved) => SlotValue::Value(json!(resolved.reference)),
                None => SlotValue::Missing(format!("{map}.{entry}")),
            },
            // A version that is not known has no switches either: its legacy values would be a guess.
            Source::ServiceDefault { .. } if !self.known => SlotValue::Nothing,
            Source::ServiceDefault { field, legacy } => {
                SlotValue::Value(json!(self.switches.get(field).map_or(legacy, String::as_str)))
            }
            Source::Release => {
                self.release.as_ref().map_or(SlotValue::Nothing, |release| SlotValue::Value(json!(release)))
            }
        }
    }

    fn reference(&self, name: &str, shape: impl Fn(&str) -> Value) -> SlotValue {
        match self.effective.image(name) {
            Some(resolved) => SlotValue::Value(shape(&resolved.reference)),
            None => SlotValue::Missing(name.to_owned()),
        }
    }
}

/// `repository` with `tag` or, when there is one, `digest`: the Keystone kind takes exactly one of the two.
fn image_parts(reference: &str) -> Value {
    let parts = image::split_reference(reference);
    match (parts.tag, parts.digest) {
        (_, Some(digest)) => json!({"repository": parts.repository, "digest": digest}),
        (Some(tag), None) => json!({"repository": parts.repository, "tag": tag}),
        (None, None) => json!({"repository": parts.repository, "tag": "latest"}),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn images(pairs: &[(&str, &str)]) -> Images {
        pairs.iter().map(|(name, reference)| ((*name).to_owned(), (*reference).to_owned())).collect()
    }

    fn custom(value: Value) -> ContainerImages {
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn custom_images_win_and_say_so() {
        let release = images(&[("glanceAPIImage", "r/glance:1"), ("apacheImage", "r/apache:1")]);
        let effective = Effective::new(&release, &custom(json!({"glanceAPIImage": "fix/glance:2"})));
        assert_eq!(effective.image("glanceAPIImage").unwrap().reference, "fix/glance:2");
        assert_eq!(effective.image("glanceAPIImage").unwrap().origin, Origin::Custom);
        assert_eq!(effective.image("apacheImage").unwrap().origin, Origin::Release);
        let derived = effective.image("octaviaApacheImage").unwrap();
        assert_eq!((derived.reference.as_str(), derived.origin), ("r/apache:1", Origin::Derived));
        assert!(effective.image("novaAPIImage").is_none());
    }

    /// Upstream overwrites a custom `default` with the release's; users stumbled on it (ci-framework 4100, 4162).
    #[test]
    fn a_backend_takes_its_own_image_then_the_custom_default_then_the_releases() {
        let release = images(&[("cinderVolumeImage", "r/volume:1")]);
        let only_pure = Effective::new(&release, &custom(json!({"cinderVolumeImages": {"pure": "v/pure:1"}})));
        assert_eq!(only_pure.backend("cinderVolumeImages", "pure").unwrap().reference, "v/pure:1");
        assert_eq!(only_pure.backend("cinderVolumeImages", "ceph").unwrap().reference, "r/volume:1");
        let with_default =
            Effective::new(&release, &custom(json!({"cinderVolumeImages": {"default": "v/d:1", "pure": "v/pure:1"}})));
        assert_eq!(with_default.backend("cinderVolumeImages", "pure").unwrap().reference, "v/pure:1");
        assert_eq!(with_default.backend("cinderVolumeImages", "ceph").unwrap().reference, "v/d:1");
    }

    #[test]
    fn an_old_name_counts_until_the_new_one_is_set() {
        let release = images(&[("openstackNetworkExporterImage", "r/exporter:1")]);
        let old = json!({"edpmOpenstackNetworkExporterImage": "old/exporter:2"});
        let effective = Effective::new(&release, &custom(old));
        assert_eq!(effective.image("openstackNetworkExporterImage").unwrap().reference, "old/exporter:2");
        assert!(effective.image("edpmOpenstackNetworkExporterImage").is_none(), "never emitted");
        let both = json!({"edpmOpenstackNetworkExporterImage": "o/e:2", "openstackNetworkExporterImage": "n/e:3"});
        let effective = Effective::new(&release, &custom(both));
        assert_eq!(effective.image("openstackNetworkExporterImage").unwrap().reference, "n/e:3");
    }

    #[test]
    fn a_malformed_custom_image_does_not_fall_back_to_the_release() {
        let release = images(&[("glanceAPIImage", "r/glance:1")]);
        let effective = Effective::new(&release, &custom(json!({"glanceAPIImage": "not an image"})));
        assert!(effective.image("glanceAPIImage").is_none());
    }

    #[test]
    fn keystone_takes_the_parts() {
        assert_eq!(image_parts("r:5000/k:2025.2"), json!({"repository": "r:5000/k", "tag": "2025.2"}));
        let digest = format!("sha256:{}", "0".repeat(64));
        let parts = image_parts(&format!("r/k:2025.2@{digest}"));
        assert_eq!(parts, json!({"repository": "r/k", "digest": digest}), "exactly one of tag and digest");
    }
}
