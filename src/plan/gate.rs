//! "Is this object done, and if not, why not?"

use api::{DynamicObject, service::Check};
use serde_json::Value;

use crate::json;

/// What an object is still missing: enough for a person to go and look.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unmet {
    /// `Kind/name`.
    pub object: String,
    /// The dotted path of the field.
    pub field: String,
    /// What it should be.
    pub expected: String,
    /// What it is.
    pub found: String,
}

impl std::fmt::Display for Unmet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { object, field, expected, found } = self;
        write!(f, "{object}: {field} should be {expected}, is {found}")
    }
}

/// The first check that does not hold; `None` when the object is ready.
pub fn first_unmet(kind: &str, object: &DynamicObject, checks: &[Check]) -> Option<Unmet> {
    let name = object.metadata.name.as_deref().unwrap_or_default();
    checks.iter().find_map(|check| unmet(object, *check)).map(|(field, expected, found)| Unmet {
        object: format!("{kind}/{name}"),
        field,
        expected,
        found,
    })
}

/// What an object that is about to be written will be missing first: its status will speak of the spec before. Said at
/// once, so that the write itself is no news to report.
pub fn unmet_once_written(kind: &str, object: &DynamicObject) -> Unmet {
    let name = object.metadata.name.as_deref().unwrap_or_default();
    let status = object.data.get("status").unwrap_or(&Value::Null);
    let generation = object.metadata.generation.unwrap_or_default() + 1;
    let found = json::get(status, "observedGeneration").and_then(Value::as_i64);
    Unmet {
        object: format!("{kind}/{name}"),
        field: "status.observedGeneration".to_owned(),
        expected: generation.to_string(),
        found: found.map_or("absent".to_owned(), |found| found.to_string()),
    }
}

/// Field, expected, found.
type Miss = (String, String, String);

fn unmet(object: &DynamicObject, check: Check) -> Option<Miss> {
    let status = object.data.get("status").unwrap_or(&Value::Null);
    let spec = object.data.get("spec").unwrap_or(&Value::Null);
    match check {
        Check::Observed => observed(object, status),
        Check::Condition(type_) => condition(status, type_),
        Check::StatusEmpty(field) => {
            let found = json::text(status, field)?;
            Some((format!("status.{field}"), "empty".to_owned(), found.to_owned()))
        }
        Check::StatusFollowsSpec { status: field, spec: wanted } => {
            let found = json::text(status, field)?;
            let expected = json::text(spec, wanted)?;
            (found != expected).then(|| (format!("status.{field}"), expected.to_owned(), found.to_owned()))
        }
        Check::StatusHasImage { status: field, spec: parts } => {
            let expected = joined_reference(json::get(spec, parts).unwrap_or(&Value::Null));
            let found = json::text(status, field).unwrap_or("absent");
            (found != expected).then(|| (format!("status.{field}"), expected, found.to_owned()))
        }
    }
}

fn observed(object: &DynamicObject, status: &Value) -> Option<Miss> {
    let generation = object.metadata.generation.unwrap_or_default();
    let found = json::get(status, "observedGeneration").and_then(Value::as_i64);
    if found == Some(generation) {
        return None;
    }
    let found = found.map_or("absent".to_owned(), |found| found.to_string());
    Some(("status.observedGeneration".to_owned(), generation.to_string(), found))
}

/// A condition's own reason and message say more than "False": they are part of what was found.
fn condition(status: &Value, type_: &str) -> Option<Miss> {
    let field = format!("condition {type_}");
    let conditions = status.get("conditions").and_then(Value::as_array);
    let entry = conditions.and_then(|all| all.iter().find(|entry| json::text(entry, "type") == Some(type_)));
    let Some(entry) = entry else {
        return Some((field, "True".to_owned(), "absent".to_owned()));
    };
    let found = json::text(entry, "status").unwrap_or("Unknown");
    if found == "True" {
        return None;
    }
    let why: Vec<_> = ["reason", "message"].iter().filter_map(|key| json::text(entry, key)).collect();
    let found = if why.is_empty() { found.to_owned() } else { format!("{found} ({})", why.join(": ")) };
    Some((field, "True".to_owned(), found))
}

/// `{repository, tag | digest}` as one reference.
pub fn joined_reference(parts: &Value) -> String {
    let repository = json::text(parts, "repository").unwrap_or_default();
    match (json::text(parts, "tag"), json::text(parts, "digest")) {
        (_, Some(digest)) => format!("{repository}@{digest}"),
        (Some(tag), None) => format!("{repository}:{tag}"),
        (None, None) => repository.to_owned(),
    }
}

/// A value without JSON's quotes; the parts of an image as one reference.
pub(crate) fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Object(parts) if parts.contains_key("repository") => joined_reference(value),
        other => other.to_string(),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use api::service::{self, SERVICES};
    use rstest::rstest;
    use serde_json::json;

    use super::*;

    #[allow(clippy::needless_pass_by_value)] // callers have values
    fn object(generation: i64, spec: Value, status: Value) -> DynamicObject {
        serde_json::from_value(json!({
            "apiVersion": "x/v1", "kind": "X",
            "metadata": {"name": "x", "generation": generation},
            "spec": spec, "status": status,
        }))
        .unwrap()
    }

    #[rstest]
    #[case::observed(Check::Observed, json!({"observedGeneration": 2}), None)]
    #[case::stale(Check::Observed, json!({"observedGeneration": 1}), Some("status.observedGeneration should be 2, is 1"))]
    #[case::never(Check::Observed, json!({}), Some("status.observedGeneration should be 2, is absent"))]
    #[case::ready(Check::Condition("Ready"), json!({"conditions": [{"type": "Ready", "status": "True"}]}), None)]
    #[case::not_ready(
        Check::Condition("Ready"),
        json!({"conditions": [{"type": "Ready", "status": "False", "reason": "Error", "message": "no quorum"}]}),
        Some("condition Ready should be True, is False (Error: no quorum)")
    )]
    #[case::no_conditions(Check::Condition("Ready"), json!({"conditions": "?"}), Some("condition Ready should be True, is absent"))]
    #[case::empty(Check::StatusEmpty("targetRelease"), json!({"targetRelease": ""}), None)]
    #[case::not_empty(Check::StatusEmpty("targetRelease"), json!({"targetRelease": "2026.1"}), Some("status.targetRelease should be empty, is 2026.1"))]
    #[case::image(Check::StatusHasImage { status: "installedImage", spec: "image" }, json!({"installedImage": "a/b:2"}), None)]
    #[case::old_image(
        Check::StatusHasImage { status: "installedImage", spec: "image" },
        json!({"installedImage": "a/b:1"}),
        Some("status.installedImage should be a/b:2, is a/b:1")
    )]
    #[case::not_reported(Check::StatusFollowsSpec { status: "currentVersion", spec: "targetVersion" }, json!({}), None)]
    #[case::other_version(
        Check::StatusFollowsSpec { status: "currentVersion", spec: "targetVersion" },
        json!({"currentVersion": "3.9"}),
        Some("status.currentVersion should be 4.2, is 3.9")
    )]
    fn a_check_says_why_not(#[case] check: Check, #[case] status: Value, #[case] expected: Option<&str>) {
        let spec = json!({"image": {"repository": "a/b", "tag": "2"}, "targetVersion": "4.2"});
        let found = first_unmet("X", &object(2, spec, status), &[check]).map(|unmet| unmet.to_string());
        assert_eq!(found, expected.map(|text| format!("X/x: {text}")));
    }

    #[test]
    fn an_object_without_status_is_ready_for_no_row_but_config_maps() {
        for row in SERVICES {
            let unmet = first_unmet(row.kind.kind, &object(1, json!({}), json!(null)), row.ready);
            assert_eq!(unmet.is_none(), row.kind == service::CONFIG_MAP, "{}", row.name);
        }
    }
}
