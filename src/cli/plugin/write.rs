//! Patches of the `OpenStackVersion`, with everything that the API server says about them.

use anyhow::Context as _;
use api::DynamicObject;
use kube::{
    Api,
    api::{Patch, PatchParams},
    client::Body,
    core::{Request, Status},
};
use serde_json::Value;

use super::{MANAGER, access::Access};
use crate::{cli::output::remark, client::call};

/// Whether it is only asked what would happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    DryRun,
    Write,
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
        let accepted = response.status().is_success();
        let bytes = response.into_body().collect_bytes().await?;
        Ok((accepted, warnings, bytes))
    };
    let (accepted, warnings, bytes) = call(exchange).await?;
    if accepted {
        let object = serde_json::from_slice(&bytes).context("the answer of the API server cannot be read")?;
        return Ok((object, warnings));
    }
    let status = serde_json::from_slice::<Status>(&bytes);
    let text = status.map_or_else(|_| String::from_utf8_lossy(&bytes).into_owned(), |status| status.message);
    anyhow::bail!("{text}")
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
mod tests {
    use super::*;

    #[test]
    fn a_warning_is_read_as_it_was_written() {
        assert_eq!(warning(r#"299 - "say \"why\"""#), r#"say "why""#);
        assert_eq!(warning("nonsense"), "nonsense");
    }
}
