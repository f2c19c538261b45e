//! The environment of a bundle.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|pairs: Vec<(u8, &str, &str)>| {
    let names: Vec<String> = api::image::release_images().filter_map(|field| field.env()).collect();
    let env = pairs.iter().map(|(known, name, value)| {
        let name = match known % 2 {
            0 => names[usize::from(*known) % names.len()].clone(),
            _ => format!("RELATED_IMAGE_{name}"),
        };
        (name, (*value).to_owned())
    });
    let images = api::image::from_env(env.collect::<Vec<_>>());
    for image in images.images.values() {
        api::image::check_reference(image).expect("an image that is taken is a good one");
    }
});
