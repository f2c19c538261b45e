//! What the environment of a bundle says.

use api::{
    image,
    release::{self, Version},
    service,
};
use plan::release::Bundle;

/// Reads the bundle from environment variables. Never fails: what is wrong is in [`Bundle::problems`] and ends up in a
/// condition, because an operator that does not start cannot tell anybody why.
pub fn bundle_from<I: IntoIterator<Item = (String, String)>>(env: I) -> Bundle {
    let env: Vec<(String, String)> = env.into_iter().collect();
    let get = |name: &str| env.iter().find(|(key, _)| key == name).map(|(_, value)| value.trim()).unwrap_or_default();
    let images = image::from_env(env.iter().cloned());
    let mut problems = Vec::new();
    let version = release::with_scheme(
        get("OPENSTACK_RELEASE_VERSION"),
        Some(get("OPENSTACK_RELEASE_VERSION_SCHEME")),
        Some(get("OPERATOR_CONDITION_NAME")),
    );
    if version.is_empty() {
        problems.push("OPENSTACK_RELEASE_VERSION is not set: no version is available; set it in the bundle".to_owned());
    } else if let Err(problem) = version.parse::<Version>() {
        problems.push(format!("OPENSTACK_RELEASE_VERSION: {problem}; correct the bundle"));
    }
    let series = get("OPENSTACK_RELEASE");
    if !series.is_empty() && !release::is_release(series) {
        problems.push(format!("OPENSTACK_RELEASE: \"{series}\" is not an OpenStack release such as 2025.2"));
    }
    problems.extend(images.problems);
    Bundle {
        // A version that does not parse cannot be compared: it is not offered.
        version: if version.parse::<Version>().is_ok() { version } else { String::new() },
        release: if release::is_release(series) { series.to_owned() } else { String::new() },
        images: images.images,
        service_defaults: service::release_defaults(),
        problems,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use super::*;

    fn bundle(pairs: &[(&str, &str)]) -> Bundle {
        bundle_from(pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())))
    }

    #[test]
    fn a_bundle_without_a_version_says_so() {
        let bundle = bundle(&[]);
        assert_eq!(bundle.version, "");
        assert!(bundle.problems[0].contains("OPENSTACK_RELEASE_VERSION is not set"));
    }

    #[test]
    fn a_version_that_cannot_be_compared_is_not_offered() {
        let bundle = bundle(&[("OPENSTACK_RELEASE_VERSION", "latest"), ("OPENSTACK_RELEASE", "master")]);
        assert_eq!((bundle.version.as_str(), bundle.release.as_str()), ("", ""));
        assert!(bundle.problems[0].contains("\"latest\" is not a version"));
        assert!(bundle.problems[1].contains("\"master\" is not an OpenStack release"));
    }

    #[test]
    fn a_good_bundle_has_no_problems() {
        let bundle = bundle(&[
            ("OPENSTACK_RELEASE_VERSION", "1.0.1"),
            ("OPENSTACK_RELEASE_VERSION_SCHEME", "csvEpochAppend"),
            ("OPERATOR_CONDITION_NAME", "openstack-operator.v1.0.0-0.1234567890.p"),
            ("OPENSTACK_RELEASE", "2025.2"),
        ]);
        assert_eq!(bundle.version, "1.0.1.1234567890.p");
        assert_eq!(bundle.release, "2025.2");
        assert_eq!(bundle.problems, Vec::<String>::new());
    }
}
