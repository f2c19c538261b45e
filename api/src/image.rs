//! The image table: every container image of a release.
//!
//! Names, environment variables and derivations are upstream's (`OpenStackVersion` `ContainerTemplate`), so that an
//! existing bundle and an existing `customContainerImages` keep working.

mod table;

use std::collections::BTreeMap;

use crate::service::SERVICES;

use table::IMAGES;
pub use table::{BACKEND_DEFAULTS, BACKEND_MAPS, DERIVED};

/// The image references of one release, by image field name.
pub type Images = BTreeMap<String, String>;

/// Where a release's value of an image comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// `RELATED_IMAGE_<TOKEN>_IMAGE_URL_DEFAULT` in the operator's environment.
    Env(&'static str),
    /// `TEST_<TOKEN>_IMAGE_URL_DEFAULT` in the operator's environment: images of the test operator.
    TestEnv(&'static str),
    /// Accepted in `customContainerImages` as an old name of another field, and never shown in `containerImages`.
    AliasOf(&'static str),
    /// As [`Origin::Env`], with the token that upstream's naming rule gives: `fooBarAPIImage` is `FOO_BAR_API`. For
    /// images that upstream does not have.
    ByName,
    /// No release carries it; only an administrator can set it.
    None,
}

/// One image field of `customContainerImages` and `containerImages`.
#[derive(Clone, Copy, Debug)]
pub struct ImageField {
    /// The JSON name, e.g. `glanceAPIImage`.
    pub name: &'static str,
    /// Where the release's value comes from.
    pub origin: Origin,
}

impl ImageField {
    const fn new(name: &'static str, origin: Origin) -> Self {
        Self { name, origin }
    }

    /// The name of the environment variable that brings the release's value, if one does.
    pub fn env(&self) -> Option<String> {
        match self.origin {
            Origin::Env(token) => Some(format!("RELATED_IMAGE_{token}_IMAGE_URL_DEFAULT")),
            Origin::TestEnv(token) => Some(format!("TEST_{token}_IMAGE_URL_DEFAULT")),
            Origin::ByName => Some(format!("RELATED_IMAGE_{}_IMAGE_URL_DEFAULT", token_of(self.name))),
            Origin::AliasOf(_) | Origin::None => None,
        }
    }
}

/// The token in the name of the environment variable that belongs to an image field.
fn token_of(name: &str) -> String {
    let mut token = String::new();
    let mut lower = false;
    for letter in name.trim_end_matches("Image").chars() {
        if letter.is_uppercase() && lower {
            token.push('_');
        }
        lower = letter.is_lowercase() || letter.is_ascii_digit();
        token.extend(letter.to_uppercase());
    }
    token
}

/// Every image an administrator can set: upstream's, and those that a row of the service table brings beside them.
pub fn fields() -> &'static [ImageField] {
    static FIELDS: std::sync::LazyLock<Vec<ImageField>> = std::sync::LazyLock::new(|| {
        let mut fields = IMAGES.to_vec();
        for name in SERVICES.iter().flat_map(|row| row.slots).flat_map(|slot| slot.source.images()) {
            let known = fields.iter().any(|field| field.name == name) || DERIVED.iter().any(|one| one.name == name);
            if !known {
                fields.push(ImageField::new(name, Origin::ByName));
            }
        }
        fields
    });
    &FIELDS
}

/// An image that `containerImages` repeats under a second name, for the service object that reads it there.
#[derive(Clone, Copy, Debug)]
pub struct Derived {
    /// The name in `containerImages`.
    pub name: &'static str,
    /// The field it repeats.
    pub from: &'static str,
}

/// A map of images by backend name in `customContainerImages`.
#[derive(Clone, Copy, Debug)]
pub struct BackendMap {
    /// The JSON name, e.g. `cinderVolumeImages`.
    pub name: &'static str,
    /// The release image that backends without an entry use, unless the map has its own `default`.
    pub default_image: &'static str,
    /// The section of the control plane that names the backends.
    pub section: &'static str,
    /// The map of backends below that section.
    pub backends: &'static str,
}

/// The key of a backend map that stands for every backend without an entry of its own.
pub const DEFAULT_BACKEND: &str = "default";

/// Environment variables of upstream bundles that name images of operators, not of the cloud: read by nobody, and not
/// worth a warning. Matched by suffix.
const NOT_OF_THE_CLOUD: &[&str] =
    &["_OPERATOR_MANAGER_IMAGE_URL", "_MUST_GATHER_DEFAULT", "_KUBE_RBAC_PROXY", "_KUBE_RBAC_PROXY_DEFAULT"];

/// Every image that a release can carry: [`fields`] and [`BACKEND_DEFAULTS`].
pub fn release_images() -> impl Iterator<Item = &'static ImageField> {
    fields().iter().chain(BACKEND_DEFAULTS)
}

/// Whether `name` is a field of `customContainerImages` that holds one image.
pub fn is_custom_image(name: &str) -> bool {
    fields().iter().any(|field| field.name == name)
}

/// The backend map of that name.
pub fn backend_map(name: &str) -> Option<&'static BackendMap> {
    BACKEND_MAPS.iter().find(|map| map.name == name)
}

/// What the environment of a bundle says about images.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BundleImages {
    /// The images, by field name.
    pub images: Images,
    /// What is wrong: each entry names the variable and the next action.
    pub problems: Vec<String>,
}

/// Reads the images from a bundle's environment.
///
/// Values are taken whole (an `=` in a value is part of it) and checked; one that is not an image reference is left
/// out and reported, as is a `RELATED_IMAGE_*` variable that belongs to no image field.
pub fn from_env<I: IntoIterator<Item = (String, String)>>(env: I) -> BundleImages {
    let env: BTreeMap<String, String> = env.into_iter().collect();
    let mut bundle = BundleImages::default();
    let mut known = Vec::new();
    for field in release_images() {
        let Some(variable) = field.env() else { continue };
        if let Some(value) = env.get(&variable).filter(|value| !value.is_empty()) {
            match check_reference(value) {
                Ok(()) => {
                    bundle.images.insert(field.name.to_owned(), value.clone());
                }
                Err(problem) => bundle.problems.push(format!("{variable}: {problem}; correct the bundle")),
            }
        }
        known.push(variable);
    }
    for variable in env.keys().filter(|variable| variable.starts_with("RELATED_IMAGE_")) {
        let ours = known.contains(variable) || NOT_OF_THE_CLOUD.iter().any(|suffix| variable.ends_with(suffix));
        if !ours {
            bundle.problems.push(format!(
                "{variable}: no image field of this operator reads it; correct the name or remove it from the bundle"
            ));
        }
    }
    bundle.problems.dedup();
    bundle
}

/// The grammar of an image reference, as an anchored regular expression that Rust, CRD schemas and CEL agree on:
/// `[host[:port]/]path[:tag][@digest]` of the OCI distribution specification.
pub const REFERENCE_PATTERN: &str = concat!(
    r"^(([A-Za-z0-9]|[A-Za-z0-9][A-Za-z0-9.-]*[A-Za-z0-9])(:[0-9]+)?/)?",
    r"[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*(/[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*)*",
    r"(:[A-Za-z0-9_][A-Za-z0-9_.-]{0,127})?(@[A-Za-z][A-Za-z0-9]*:[0-9a-fA-F]{32,128})?$",
);

/// The longest image reference that is accepted, in bytes.
pub const REFERENCE_MAX: usize = 512;

/// Whether `reference` is an image reference; if not, why.
pub fn check_reference(reference: &str) -> Result<(), String> {
    static PATTERN: std::sync::LazyLock<Option<regex_lite::Regex>> =
        std::sync::LazyLock::new(|| regex_lite::Regex::new(REFERENCE_PATTERN).ok());
    let well_formed = PATTERN.as_ref().is_some_and(|pattern| pattern.is_match(reference));
    if well_formed && reference.len() <= REFERENCE_MAX {
        Ok(())
    } else {
        Err(format!("\"{reference}\" is not an image reference ([host[:port]/]path[:tag][@digest])"))
    }
}

/// An image reference in the parts that the `Keystone` kind takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reference<'a> {
    /// Host and path, without tag and digest.
    pub repository: &'a str,
    /// The tag; absent when the reference has a digest only.
    pub tag: Option<&'a str>,
    /// The digest with its algorithm, e.g. `sha256:...`.
    pub digest: Option<&'a str>,
}

/// Splits an image reference. Never fails: what has no tag and no digest is all repository.
pub fn split_reference(reference: &str) -> Reference<'_> {
    let (rest, digest) = match reference.split_once('@') {
        Some((rest, digest)) => (rest, Some(digest)),
        None => (reference, None),
    };
    // A colon before the last slash belongs to the port.
    let name_start = rest.rfind('/').map_or(0, |slash| slash + 1);
    match rest.get(name_start..).and_then(|name| name.find(':')) {
        Some(colon) => {
            let at = name_start + colon;
            Reference { repository: rest.get(..at).unwrap_or(rest), tag: rest.get(at + 1..), digest }
        }
        None => Reference { repository: rest, tag: None, digest },
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use super::*;

    /// Upstream's rule from environment variable to field name, used here only to check the table: capitalise the
    /// tokens, join them, then two spellings.
    fn upstream_name(token: &str) -> String {
        let words = token.split('_').map(|word| {
            let (head, tail) = word.split_at(1);
            head.to_owned() + &tail.to_lowercase()
        });
        words.collect::<String>().replace("Api", "API") + "Image"
    }

    #[test]
    fn an_image_of_a_new_service_needs_no_row_here() {
        for (name, token) in [("zaqarAPIImage", "ZAQAR_API"), ("fooBar9BazImage", "FOO_BAR9_BAZ")] {
            assert_eq!(token_of(name), token);
        }
        for field in IMAGES {
            if let Origin::Env(token) = field.origin {
                let exception = ["infraDnsmasqImage"].contains(&field.name);
                assert!(exception || token_of(field.name) == token, "{}: {}", field.name, token_of(field.name));
            }
        }
    }

    #[test]
    fn every_row_follows_upstreams_naming_rule() {
        for field in release_images() {
            if let Origin::Env(token) = field.origin {
                if field.name == "infraDnsmasqImage" {
                    continue; // its default is Neutron's image
                }
                assert!(upstream_name(token).eq_ignore_ascii_case(field.name), "{token} -> {}", field.name);
            }
        }
    }

    #[test]
    fn names_are_unique_and_complete() {
        assert_eq!(IMAGES.len(), 94, "upstream has 94 image fields");
        let mut names: Vec<_> = release_images().map(|field| field.name).collect();
        names.extend(DERIVED.iter().map(|derived| derived.name));
        names.extend(BACKEND_MAPS.iter().map(|map| map.name));
        let total = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), total);
        for field in IMAGES {
            if let Origin::AliasOf(target) = field.origin {
                assert!(is_custom_image(target), "{} is an alias of an unknown field", field.name);
            }
        }
        for derived in DERIVED {
            assert!(is_custom_image(derived.from), "{} derives from an unknown field", derived.name);
        }
        for map in BACKEND_MAPS {
            assert!(BACKEND_DEFAULTS.iter().any(|field| field.name == map.default_image), "{}", map.name);
        }
    }

    #[test]
    fn the_environment_is_read_whole_and_checked() {
        let env = |pairs: &[(&str, &str)]| from_env(pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())));
        let good = env(&[
            ("RELATED_IMAGE_GLANCE_API_IMAGE_URL_DEFAULT", "quay.io/os/glance-api:1.0.0"),
            ("RELATED_IMAGE_NEUTRON_API_IMAGE_URL_DEFAULT", "quay.io/os/neutron:1"),
            ("RELATED_IMAGE_CINDER_VOLUME_IMAGE_URL_DEFAULT", "quay.io/os/cinder-volume:1"),
            ("TEST_TOBIKO_IMAGE_URL_DEFAULT", "quay.io/os/tobiko:1"),
            ("RELATED_IMAGE_CINDER_OPERATOR_MANAGER_IMAGE_URL", "quay.io/os/cinder-operator:1"),
            ("RELATED_IMAGE_OPENSTACK_MUST_GATHER_DEFAULT", "quay.io/os/must-gather:1"),
            ("PATH", "/bin"),
        ]);
        assert_eq!(good.problems, Vec::<String>::new());
        assert_eq!(good.images["infraDnsmasqImage"], "quay.io/os/neutron:1", "DNSMasq runs Neutron's image");
        assert_eq!(good.images.len(), 5);

        let bad = env(&[
            ("RELATED_IMAGE_GLANCE_API_IMAGE_URL_DEFAULT", "quay.io/os/glance=api:1.0.0"),
            ("RELATED_IMAGE_GLANCE_APPI_IMAGE_URL_DEFAULT", "quay.io/os/glance-api:1.0.0"),
        ]);
        assert!(bad.images.is_empty(), "a value with '=' is neither truncated nor used");
        assert!(
            bad.problems[0].contains("RELATED_IMAGE_GLANCE_API_IMAGE_URL_DEFAULT: \"quay.io/os/glance=api:1.0.0\"")
        );
        assert!(bad.problems[1].contains("RELATED_IMAGE_GLANCE_APPI_IMAGE_URL_DEFAULT: no image field"));
    }

    #[test]
    fn references_are_checked_and_split() {
        let digest = format!("quay.io:5000/a/b:1.0@sha256:{}", "ab".repeat(32));
        for good in ["a", "quay.io/a/b-c:1.0", "localhost:5000/a", &digest, "registry.example.com/a__b/c:x_y"] {
            check_reference(good).unwrap();
        }
        for bad in ["", " a", "A/", "quay.io/a b", "<custom_image_here>", "a@sha256:12", "a:tag:tag", "http://a/b"] {
            check_reference(bad).unwrap_err();
        }
        let parts = split_reference(&digest);
        assert_eq!((parts.repository, parts.tag), ("quay.io:5000/a/b", Some("1.0")));
        assert!(parts.digest.unwrap().starts_with("sha256:"));
        assert_eq!(split_reference("localhost:5000/a").repository, "localhost:5000/a");
    }
}
