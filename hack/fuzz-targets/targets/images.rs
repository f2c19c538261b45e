//! References of images, as users and bundles write them.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let parts = api::image::split_reference(text);
    let digest = parts.digest.map(|digest| format!("@{digest}")).unwrap_or_default();
    let tag = parts.tag.map(|tag| format!(":{tag}")).unwrap_or_default();
    if api::image::check_reference(text).is_ok() {
        assert_eq!(format!("{}{tag}{digest}", parts.repository), text, "a part is lost");
        assert!(!parts.repository.is_empty());
    }
    let _ = api::series::Series::of_tag(text);
});
