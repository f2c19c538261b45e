//! Versions and releases: what a bundle ships, and the OpenStack series it belongs to.

use std::{cmp::Ordering, fmt, str::FromStr};

use crate::series::Series;

/// The grammar of a version, shared with the CRD schema and the admission policies:
/// `major.minor.patch` with an optional epoch (`-1755000000`, `.1755000000.p`) or build (`-20250602.2`: a day, and which
/// one of it).
pub const VERSION_PATTERN: &str =
    r"^[0-9]{1,9}\.[0-9]{1,9}\.[0-9]{1,9}(-[0-9]{1,18}\.[0-9]{1,9}|[.-][0-9]{1,18}(\.p)?)?$";

/// The longest accepted version, in bytes.
pub const VERSION_MAX: usize = 63;

/// The grammar of an OpenStack release: year and number of the series.
pub const RELEASE_PATTERN: &str = r"^20[0-9]{2}\.[12]$";

/// What a bundle ships, e.g. `1.0.1`, `1.0.1.1755000000.p` or `18.0.9-20250602.2`.
///
/// Ordered by (major, minor, patch, epoch, build); none is the oldest. An epoch is not semantic versioning (a second dot
/// or a pre-release that must sort *after* the plain version), hence this type.
#[derive(Clone, Debug)]
pub struct Version {
    text: String,
    parts: [u64; 5],
}

impl Version {
    /// The version as it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

/// Why a text is not a version.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "\"{0}\" is not a version (major.minor.patch, e.g. 1.0.1, with an optional epoch or build such as 1.0.1.1755000000.p or \
     1.0.1-20250602.2)"
)]
pub struct InvalidVersion(pub String);

impl FromStr for Version {
    type Err = InvalidVersion;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        static PATTERN: std::sync::LazyLock<Option<regex_lite::Regex>> =
            std::sync::LazyLock::new(|| regex_lite::Regex::new(VERSION_PATTERN).ok());
        let invalid = || InvalidVersion(text.to_owned());
        if text.len() > VERSION_MAX || !PATTERN.as_ref().is_some_and(|pattern| pattern.is_match(text)) {
            return Err(invalid());
        }
        let mut parts = [0; 5];
        let numbers = text.trim_end_matches(".p").split(['.', '-']);
        for (part, number) in parts.iter_mut().zip(numbers) {
            *part = number.parse().map_err(|_| invalid())?;
        }
        Ok(Self { text: text.to_owned(), parts })
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl PartialEq for Version {
    fn eq(&self, other: &Self) -> bool {
        self.parts == other.parts
    }
}

impl Eq for Version {}

impl PartialOrd for Version {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Version {
    fn cmp(&self, other: &Self) -> Ordering {
        self.parts.cmp(&other.parts)
    }
}

/// Compares two versions given as text; `None` when one of them is not a version.
pub fn compare(left: &str, right: &str) -> Option<Ordering> {
    Some(left.parse::<Version>().ok()?.cmp(&right.parse::<Version>().ok()?))
}

/// Upstream's version scheme `csvEpochAppend`: the epoch in the name of the operator condition
/// (`\.[0-9]{10,}\.p`) is appended to the version. Any other scheme, or no match, leaves the version as it is.
pub fn with_scheme(version: &str, scheme: Option<&str>, condition_name: Option<&str>) -> String {
    let epoch = match (scheme, condition_name) {
        (Some("csvEpochAppend"), Some(name)) => regex_lite::Regex::new(r"\.[0-9]{10,}\.p")
            .ok()
            .and_then(|pattern| pattern.find(name).map(|found| found.as_str().to_owned())),
        _ => None,
    };
    format!("{version}{}", epoch.unwrap_or_default())
}

/// Whether `text` names an OpenStack release, e.g. `2025.2`.
pub fn is_release(text: &str) -> bool {
    text.parse::<Series>().is_ok()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn versions_order_by_their_numbers_and_their_epoch() {
        let ordered = [
            "0.9.9",
            "1.0.0",
            "1.0.0-1755000000",
            "1.0.0.1755000001.p",
            "1.0.1",
            "1.0.2",
            "1.0.10",
            "1.1.0",
            "18.0.6-20250403.1",
            "18.0.9",
            "18.0.9-20250602",
            "18.0.9-20250602.2",
            "18.0.9-20250602.10",
            "18.0.9-20250603.1",
            "19.0.0-1755000000",
        ];
        for pair in ordered.windows(2) {
            if let [older, newer] = pair {
                assert_eq!(compare(older, newer), Some(Ordering::Less), "{older} < {newer}");
            }
        }
        assert_eq!(compare("1.0.0", "1.0.0"), Some(Ordering::Equal));
    }

    #[test]
    fn what_is_not_a_version_is_refused() {
        for bad in [
            "",
            "1",
            "1.0",
            "v1.0.0",
            "1.0.0-rc1",
            "1.0.0.",
            "latest",
            "1.0.0 ",
            "1.0.0.1.2",
            "1.0.0-1.2.3",
            "1.0.0-1.2.p",
        ] {
            assert!(bad.parse::<Version>().is_err(), "{bad}");
        }
    }

    /// Peer: #1217: versions with an epoch suffix.
    #[test]
    fn the_epoch_scheme_is_upstreams() {
        let name = Some("openstack-operator.v1.0.0-0.1234567890.p");
        assert_eq!(with_scheme("1.2.3", Some("csvEpochAppend"), name), "1.2.3.1234567890.p");
        assert_eq!(with_scheme("1.2.3", Some("csvEpochAppend"), Some("openstack-operator.v1.0.0")), "1.2.3");
        assert_eq!(with_scheme("1.2.3", Some("other"), name), "1.2.3");
        assert_eq!(with_scheme("1.2.3", None, name), "1.2.3");
        assert!("1.2.3.1234567890.p".parse::<Version>().is_ok());
    }

    #[test]
    fn releases_are_year_and_number() {
        assert!(is_release("2025.2") && is_release("2026.1"));
        assert!(!is_release("2025.3") && !is_release("1.0.0") && !is_release("2025"));
    }
}
