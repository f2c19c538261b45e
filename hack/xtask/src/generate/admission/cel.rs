//! Pieces of CEL expressions.
//!
//! Only what every Kubernetes since 1.30 understands is used: an expression that an older server does not know would
//! make the whole policy refuse everything.

use api::annotation;

/// How many items [`sorted`] can order; more stay as they are.
const SORTED_MAX: usize = 32;

/// A string literal.
pub(super) fn text(value: &str) -> String {
    format!("'{}'", value.replace('\\', r"\\").replace('\'', r"\'"))
}

/// A list of string literals.
pub(super) fn texts<'a>(values: impl IntoIterator<Item = &'a str>) -> String {
    let items: Vec<String> = values.into_iter().map(text).collect();
    format!("[{}]", items.join(", "))
}

/// The dotted path below `root`, as an optional value: absent when any part of the way is.
pub(super) fn optional(root: &str, path: &str) -> String {
    let mut expression = root.to_owned();
    for part in path.split('.').filter(|part| !part.is_empty()) {
        expression.push_str(".?");
        expression.push_str(part);
    }
    expression
}

/// Whether an optional value is there and says something: upstream's webhook writes empty texts for what a user left out.
pub(super) fn is_set(value: &str) -> String {
    format!("({value}.orValue('') != '' && {value}.orValue('') != null)")
}

/// The value of an annotation of the object, as an optional value.
pub(super) fn annotation(object: &str, name: &str) -> String {
    format!("{object}.metadata.?annotations[?{}]", text(name))
}

/// Whether the administrator accepted that a target may be below what is deployed.
pub(super) fn rollback_allowed() -> String {
    format!("{}.orValue('') == 'true'", annotation("object", annotation::ALLOW_ROLLBACK))
}

/// `spec.targetVersion`, empty when absent.
pub(super) fn target_of(object: &str) -> String {
    format!("{object}.?spec.?targetVersion.orValue('')")
}

/// Whether the update moves the target. One that becomes empty moves nothing: the operator sets it back.
pub(super) fn target_changes() -> String {
    let (new, old) = (target_of("object"), target_of("oldObject"));
    format!("{new} != '' &&\n{new} != {old}")
}

/// A text that sorts as `api::release::Version` does, by (major, minor, patch, epoch, build): each number padded with zeros to
/// the 18 digits that the grammar allows at most. It never fails, whatever the version looks like.
pub(super) fn sort_key(version: &str) -> String {
    let zeros = "0".repeat(18);
    format!(
        "[{version}.replace('-', '.').replace('.p', '').split('.')].map(parts, [0, 1, 2, 3, 4].map(i,\n  \
           i < size(parts) ? ('{zeros}' + parts[i]).substring(size(parts[i])) : '{zeros}'\n\
         ).join('.'))[0]"
    )
}

/// The list in alphabetical order, because the keys of a map come in any order, and a message should not.
pub(super) fn sorted(list: &str) -> String {
    let indices: Vec<String> = (0..SORTED_MAX).map(|index| index.to_string()).collect();
    format!(
        "size({list}) > {SORTED_MAX} ? {list} : [{list}.map(k, {list}.filter(j, j < k).size())].map(ranks,\n  \
           [{}]\n    .filter(i, i < size({list}))\n    .map(i, {list}[ranks.indexOf(i)])\n\
         )[0]",
        indices.join(", ")
    )
}

/// Whether the request changes the spec. Rules on a single value look at such requests only, so that a label can be
/// set on an object that is older than the rule.
pub(super) fn spec_changes() -> String {
    "request.operation == 'CREATE' || object.?spec != oldObject.?spec".to_owned()
}
