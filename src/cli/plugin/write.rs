//! Patches of the `OpenStackVersion`, with everything that the API server says about them.

use anyhow::{Context as _, bail};
use api::DynamicObject;
use kube::{
    Api,
    api::{Patch, PatchParams},
    client::Body,
    core::{Request, Status},
};
use plan::json as paths;
use serde_json::{Value, json};

use super::{MANAGER, access::Access};
use crate::{cli::output::remark, client::call};

/// Whether it is only asked what would happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    DryRun,
    Write,
}

/// What the API server says when it takes nothing.
#[derive(Debug, thiserror::Error)]
#[error("{text}")]
struct Refusal {
    code: u16,
    text: String,
}

/// How often a write is tried again that the operator's own reports get in the way of.
const TRIES: usize = 10;

/// Writes what a person has agreed to, and only to the object that was shown: what was decided about another spec was not
/// decided about this one.
pub(super) async fn write(access: &Access, shown: &DynamicObject, patch: &Value) -> anyhow::Result<()> {
    let name = shown.metadata.name.as_deref().unwrap_or_default();
    let mut newest = shown.clone();
    for _ in 0..TRIES {
        match merge(access, name, &locked(patch, &newest), Mode::Write).await {
            Err(error) if is_conflict(&error) => newest = call(access.versions().get(name)).await?,
            written => return written.map(|_| ()),
        }
        if !is_as_shown(shown, &newest) {
            bail!(
                "nothing was written: somebody has changed OpenStackVersion/{name} since it was read; look at it again \
                 and repeat the command"
            );
        }
    }
    bail!("nothing was written: OpenStackVersion/{name} changes all the time; repeat the command")
}

/// The patch, for that state of the object alone.
fn locked(patch: &Value, object: &DynamicObject) -> Value {
    let mut locked = patch.clone();
    paths::set(&mut locked, &paths::keys("metadata.resourceVersion"), json!(object.metadata.resource_version));
    locked
}

fn is_conflict(error: &anyhow::Error) -> bool {
    error.downcast_ref::<Refusal>().is_some_and(|refusal| refusal.code == 409)
}

/// Whether only the status, or what else stands beside the spec, has changed since: the operator reports all the time.
fn is_as_shown(shown: &DynamicObject, now: &DynamicObject) -> bool {
    let asked = |object: &DynamicObject| {
        let metadata = &object.metadata;
        (metadata.uid.clone(), metadata.generation, object.data.get("spec").cloned())
    };
    asked(shown) == asked(now)
}

/// Merges a patch into the `OpenStackVersion` of that name. Answers the object, and the warnings of admission, which the
/// usual client drops. A refusal is an error in the words of the API server.
pub(super) async fn merge(
    access: &Access,
    name: &str,
    patch: &Value,
    mode: Mode,
) -> anyhow::Result<(DynamicObject, Vec<String>)> {
    let params = PatchParams {
        field_manager: Some(MANAGER.to_owned()),
        dry_run: mode == Mode::DryRun,
        ..PatchParams::default()
    };
    let api: Api<DynamicObject> = access.versions();
    let request = Request::new(api.resource_url()).patch(name, &params, &Patch::Merge(patch))?;
    let exchange = async {
        let response = access.client.send(request.map(Body::from)).await?;
        let warnings = response.headers().get_all("warning").iter().filter_map(|text| text.to_str().ok());
        let warnings: Vec<String> = warnings.map(warning).collect();
        let code = response.status();
        let bytes = response.into_body().collect_bytes().await?;
        Ok((code, warnings, bytes))
    };
    let (code, warnings, bytes) = call(exchange).await?;
    if code.is_success() {
        let object = serde_json::from_slice(&bytes).context("the answer of the API server cannot be read")?;
        return Ok((object, warnings));
    }
    let status = serde_json::from_slice::<Status>(&bytes);
    let text = status.map_or_else(|_| String::from_utf8_lossy(&bytes).into_owned(), |status| status.message);
    Err(Refusal { code: code.as_u16(), text }.into())
}

/// The text of `299 - "text"`.
fn warning(header: &str) -> String {
    let text = header.split_once('"').and_then(|(_, rest)| rest.rsplit_once('"')).map_or(header, |(text, _)| text);
    text.replace("\\\"", "\"").replace("\\\\", "\\")
}

/// Shows the warnings as kubectl does.
pub(super) fn show(warnings: &[String]) {
    for warning in warnings {
        remark(&format!("Warning: {warning}"));
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_warning_is_read_as_it_was_written() {
        assert_eq!(warning(r#"299 - "say \"why\"""#), r#"say "why""#);
        assert_eq!(warning("nonsense"), "nonsense");
    }

    fn object(change: &Value) -> DynamicObject {
        let metadata = json!({"name": "openstack", "uid": "u", "generation": 3, "resourceVersion": "7"});
        let mut object =
            json!({"apiVersion": "x/v1", "kind": "X", "metadata": metadata, "spec": {"targetVersion": "1"}});
        for (place, value) in change.as_object().unwrap() {
            *object.pointer_mut(place).unwrap() = value.clone();
        }
        serde_json::from_value(object).unwrap()
    }

    #[rstest::rstest]
    #[case::reported(json!({"/metadata/resourceVersion": "8"}), true)]
    #[case::changed(json!({"/metadata/generation": 4, "/spec/targetVersion": "2"}), false)]
    #[case::there_and_back(json!({"/metadata/generation": 5}), false)]
    #[case::created_again(json!({"/metadata/uid": "v"}), false)]
    fn only_the_spec_that_was_shown_was_agreed_to(#[case] change: Value, #[case] same: bool) {
        assert_eq!(is_as_shown(&object(&json!({})), &object(&change)), same);
    }

    #[test]
    fn a_write_is_for_the_state_that_was_read() {
        let patch = json!({"spec": {"targetVersion": "2"}});
        let wanted = json!({"spec": {"targetVersion": "2"}, "metadata": {"resourceVersion": "7"}});
        assert_eq!(locked(&patch, &object(&json!({}))), wanted);
        let refused = |code| anyhow::Error::from(Refusal { code, text: "no".to_owned() });
        assert!(is_conflict(&refused(409)) && !is_conflict(&refused(422)));
    }
}
