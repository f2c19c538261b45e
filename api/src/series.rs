//! OpenStack's own releases: two a year, ordered, with rules on which one follows which.

use std::{fmt, str::FromStr};

use crate::release::RELEASE_PATTERN;

/// A release, e.g. `2025.2`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Series {
    year: u16,
    number: u8,
}

/// Why a text is not a release.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("\"{0}\" is not an OpenStack release (year and number, e.g. 2025.2)")]
pub struct InvalidSeries(pub String);

impl FromStr for Series {
    type Err = InvalidSeries;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        static PATTERN: std::sync::LazyLock<Option<regex_lite::Regex>> =
            std::sync::LazyLock::new(|| regex_lite::Regex::new(RELEASE_PATTERN).ok());
        let invalid = || InvalidSeries(text.to_owned());
        if !PATTERN.as_ref().is_some_and(|pattern| pattern.is_match(text)) {
            return Err(invalid());
        }
        let (year, number) = text.split_once('.').ok_or_else(invalid)?;
        Ok(Self { year: year.parse().map_err(|_| invalid())?, number: number.parse().map_err(|_| invalid())? })
    }
}

impl fmt::Display for Series {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.year, self.number)
    }
}

impl Series {
    /// The release that a tag names: `2025.2`, or `2025.2-p1` with a suffix that says which build (seed 000).
    pub fn of_tag(tag: &str) -> Option<Self> {
        tag.split('-').next()?.parse().ok()
    }

    /// The release after this one.
    #[must_use]
    pub fn next(self) -> Self {
        if self.number == 1 { Self { number: 2, ..self } } else { Self { year: self.year + 1, number: 1 } }
    }

    /// The next release that may be gone to directly when the one in between is left out: from SLURP to SLURP (the first
    /// release of each year; OpenStack's resolution of 2022-02-10).
    pub fn next_slurp(self) -> Option<Self> {
        (self.number == 1).then_some(Self { year: self.year + 1, number: 1 })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn series(text: &str) -> Series {
        text.parse().unwrap()
    }

    #[rstest]
    #[case("2025.1", "2025.2", Some("2026.1"))]
    #[case("2025.2", "2026.1", None)]
    #[case("2026.1", "2026.2", Some("2027.1"))]
    fn one_follows_the_other(#[case] from: &str, #[case] next: &str, #[case] slurp: Option<&str>) {
        assert_eq!(series(from).next(), series(next));
        assert_eq!(series(from).next_slurp(), slurp.map(series));
        assert!(series(from) < series(next));
    }

    #[rstest]
    #[case("2025.2", Some("2025.2"))]
    #[case("2025.2-p1", Some("2025.2"))]
    #[case("2025.2-ubuntu-24.04", Some("2025.2"))]
    #[case("latest", None)]
    #[case("2025.3", None)]
    #[case("2025.22", None)]
    #[case("", None)]
    fn a_tag_names_a_release_or_none(#[case] tag: &str, #[case] expected: Option<&str>) {
        assert_eq!(Series::of_tag(tag), expected.map(series));
    }
}
