//! An object as the cache keeps it: open while it changes, closed as its packed text when it does not.
//!
//! As a tree of values an object takes about five times its text, and that five times what is packed: the images of a
//! release differ in few letters. Of many clouds most do nothing most of the time.

use std::{sync::Arc, time::Instant};

use api::DynamicObject;
use lz4_flex::block::{compress_prepend_size, decompress_size_prepended};

/// An object.
#[derive(Clone)]
pub(super) enum Kept {
    /// As it is read.
    Open {
        /// It.
        object: Arc<DynamicObject>,
        /// Since when.
        since: Instant,
    },
    /// As packed text, parsed each time it is read.
    Closed(Closed),
}

/// The text of an object.
#[derive(Clone)]
pub(super) struct Closed {
    resource_version: Option<Arc<str>>,
    /// Its length, and LZ4.
    packed: Arc<[u8]>,
}

impl Kept {
    /// Keeps an object closed. One that has no text stays open.
    pub(super) fn close(object: Arc<DynamicObject>) -> Self {
        match serde_json::to_vec(&*object) {
            Ok(text) => {
                let resource_version = object.metadata.resource_version.as_deref().map(Arc::from);
                Self::Closed(Closed { resource_version, packed: compress_prepend_size(&text).into() })
            }
            Err(_) => Self::Open { object, since: Instant::now() },
        }
    }

    /// The object. `None` cannot be: what we wrote, we can read.
    pub(super) fn object(&self) -> Option<Arc<DynamicObject>> {
        match self {
            Self::Open { object, .. } => Some(Arc::clone(object)),
            Self::Closed(closed) => {
                let text = decompress_size_prepended(&closed.packed).ok()?;
                serde_json::from_slice(&text).ok().map(Arc::new)
            }
        }
    }

    /// Its resource version.
    pub(super) fn resource_version(&self) -> Option<&str> {
        match self {
            Self::Open { object, .. } => object.metadata.resource_version.as_deref(),
            Self::Closed(closed) => closed.resource_version.as_deref(),
        }
    }
}
