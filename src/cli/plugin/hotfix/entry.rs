//! Entries of `spec.customContainerImages`: named on the command line, checked, merged.

use std::{fmt, str::FromStr};

use api::image::{self, BACKEND_MAPS, DEFAULT_BACKEND};
use serde_json::{Map, Value};

/// A field, and for some a backend.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Name {
    field: String,
    backend: Option<String>,
}

/// An image for a field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) name: Name,
    pub(super) image: String,
}

impl FromStr for Name {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (field, backend) = match text.split_once('.') {
            Some((field, backend)) => (field, Some(backend.to_owned())),
            None => (text, None),
        };
        match (image::is_custom_image(field), image::backend_map(field), &backend) {
            (true, _, None) | (_, Some(_), _) => Ok(Self { field: field.to_owned(), backend }),
            (true, _, Some(_)) => Err(format!("{field} holds one image and has no backends")),
            (false, None, _) => Err(format!("{field} is no image field; did you mean {}?", nearest(field).join(", "))),
        }
    }
}

impl FromStr for Entry {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, image) = text.split_once('=').ok_or("must be FIELD=IMAGE")?;
        let name: Name = name.parse()?;
        if image::backend_map(&name.field).is_some() && name.backend.as_ref().is_none_or(String::is_empty) {
            let field = &name.field;
            return Err(format!("{field} holds an image for each backend: {field}.NAME or {field}.{DEFAULT_BACKEND}"));
        }
        image::check_reference(image)?;
        Ok(Self { name, image: image.to_owned() })
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.backend {
            Some(backend) => write!(f, "{}.{backend}", self.field),
            None => f.write_str(&self.field),
        }
    }
}

impl Name {
    fn find<'a>(&self, images: &'a Value) -> Option<&'a Value> {
        let field = images.get(&self.field)?;
        self.backend.as_ref().map_or(Some(field), |backend| field.get(backend))
    }

    /// The image that it has.
    pub(super) fn value<'a>(&self, images: &'a Value) -> Option<&'a str> {
        self.find(images)?.as_str()
    }

    /// Whether it has any.
    pub(super) fn is_set(&self, images: &Value) -> bool {
        self.find(images).is_some()
    }
}

/// The names that are most like it.
fn nearest(field: &str) -> Vec<&'static str> {
    let names = image::fields().iter().map(|field| field.name).chain(BACKEND_MAPS.iter().map(|map| map.name));
    let like = |name: &str| strsim::jaro_winkler(&name.to_lowercase(), &field.to_lowercase());
    let mut names: Vec<(f64, &str)> = names.map(|name| (like(name), name)).collect();
    names.sort_by(|one, other| other.0.total_cmp(&one.0));
    names.into_iter().take(3).map(|(_, name)| name).collect()
}

/// All custom images after the change.
pub(super) fn merged(current: &Value, set: &[&Entry], clear: &[Name]) -> Value {
    let mut images = current.as_object().cloned().unwrap_or_default();
    for Name { field, backend } in clear {
        match (backend, images.get_mut(field).and_then(Value::as_object_mut)) {
            (Some(backend), Some(backends)) => {
                backends.remove(backend);
            }
            _ => {
                images.remove(field);
            }
        }
    }
    for Entry { name: Name { field, backend }, image } in set {
        let image = Value::from(image.as_str());
        match backend {
            None => {
                images.insert(field.clone(), image);
            }
            Some(backend) => {
                let backends = images.entry(field.clone()).or_insert_with(|| Value::Object(Map::new()));
                if let Some(backends) = backends.as_object_mut() {
                    backends.insert(backend.clone(), image);
                }
            }
        }
    }
    images.retain(|_, value| value.as_object().is_none_or(|backends| !backends.is_empty()));
    Value::Object(images)
}

/// The merge patch from one to the other: only what differs is in it; null when nothing does.
pub(super) fn patch(before: &Value, after: &Value) -> Value {
    let (Some(old), Some(new)) = (before.as_object(), after.as_object()) else {
        return if before == after { Value::Null } else { after.clone() };
    };
    let mut patch = Map::new();
    for (name, value) in new.iter().filter(|(name, value)| old.get(*name) != Some(value)) {
        let inner = old.get(name).filter(|old| old.is_object() && value.is_object());
        patch.insert(name.clone(), inner.map_or_else(|| value.clone(), |old| self::patch(old, value)));
    }
    patch.extend(old.keys().filter(|name| !new.contains_key(*name)).map(|name| (name.clone(), Value::Null)));
    if patch.is_empty() { Value::Null } else { Value::Object(patch) }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::unwrap_in_result)]
mod tests {
    use serde_json::json;

    use super::*;

    fn entry(text: &str) -> Entry {
        text.parse().unwrap()
    }

    #[test]
    fn a_misspelt_field_is_refused_with_the_names_that_are_like_it() {
        let error = "glanceApiImages=a/b:1".parse::<Entry>().unwrap_err();
        assert!(error.starts_with("glanceApiImages is no image field; did you mean glanceAPIImage"), "{error}");
        let error = "cinderVolumeImage.pure=a/b:1".parse::<Entry>().unwrap_err();
        assert!(error.contains("did you mean cinderVolumeImages"), "{error}");
        let error = "cinderVolumeImages=a/b:1".parse::<Entry>().unwrap_err();
        assert!(error.contains("cinderVolumeImages.NAME or cinderVolumeImages.default"), "{error}");
        let error = "glanceAPIImage.pure=a/b:1".parse::<Entry>().unwrap_err();
        assert!(error.contains("has no backends"), "{error}");
        let error = "glanceAPIImage=a b".parse::<Entry>().unwrap_err();
        assert!(error.contains("is not an image reference"), "{error}");
    }

    #[test]
    fn a_patch_has_only_what_differs() {
        let before =
            json!({"glanceAPIImage": "a/glance:1", "cinderVolumeImages": {"pure": "a/pure:1", "ceph": "a/ceph:1"}});
        let (set, pure) = (entry("cinderVolumeImages.pure=a/pure:2"), entry("novaAPIImage=a/nova:1"));
        let after = merged(&before, &[&set, &pure], &["glanceAPIImage".parse().unwrap()]);
        assert_eq!(
            patch(&before, &after),
            json!({"cinderVolumeImages": {"pure": "a/pure:2"}, "novaAPIImage": "a/nova:1", "glanceAPIImage": null})
        );
        assert_eq!(patch(&before, &before), Value::Null);
    }

    #[test]
    fn the_last_backend_takes_its_field_with_it() {
        let before = json!({"cinderVolumeImages": {"pure": "a/pure:1"}});
        let after = merged(&before, &[], &["cinderVolumeImages.pure".parse().unwrap()]);
        assert_eq!(patch(&before, &after), json!({"cinderVolumeImages": null}));
        let after = merged(&Value::Null, &[&entry("cinderVolumeImages.default=a/b:1")], &[]);
        assert_eq!(patch(&Value::Null, &after), json!({"cinderVolumeImages": {"default": "a/b:1"}}));
    }
}
