//! Stories, named after the issue or the peer's failure where there is one.

mod custom_images;
mod install;
mod memory;
mod nodesets;
mod objects;
mod operations;
mod peer;
mod respin;
mod sequence;
mod targets;
mod templates;
