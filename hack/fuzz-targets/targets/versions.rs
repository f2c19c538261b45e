//! Versions, with and without an epoch, and releases.
#![no_main]

use std::cmp::Ordering;

use api::release::{Version, compare, is_release, with_scheme};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|texts: (&str, &str, &str)| {
    let (a, b, c) = texts;
    let parse = |text: &str| text.parse::<Version>().ok();
    if let Some(version) = parse(a) {
        assert_eq!(parse(version.as_str()), Some(version), "what is printed is what is read");
    }
    assert_eq!(compare(a, b), compare(b, a).map(Ordering::reverse));
    if compare(a, b) == Some(Ordering::Less) && compare(b, c) == Some(Ordering::Less) {
        assert_eq!(compare(a, c), Some(Ordering::Less));
    }
    let _ = (is_release(a), with_scheme(a, Some(b), Some(c)), with_scheme(a, Some("csvEpochAppend"), Some(c)));
    if is_release(a) {
        let series = api::series::Series::of_tag(a).expect("a release is a series");
        assert!(series.next() > series);
    }
});
