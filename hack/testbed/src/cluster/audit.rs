//! Reading the audit log: who wrote what.

use std::{
    fs::File,
    io::{BufRead, BufReader},
    path::Path,
};

use anyhow::Context;
use serde::Deserialize;

use super::User;

/// A request that was meant to change something.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Write {
    /// `create`, `patch`, `update`, `delete`, ...
    pub verb: String,
    /// The plural name of the kind.
    pub resource: String,
    /// `status` and the like; empty for the object itself.
    pub subresource: String,
    /// The namespace; empty for objects without one.
    pub namespace: String,
    /// The name; empty when the server chose it.
    pub name: String,
    /// The HTTP status of the answer.
    pub code: u16,
    /// When the request arrived.
    pub at: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Entry {
    verb: String,
    stage: String,
    user: EntryUser,
    #[serde(default)]
    object_ref: Reference,
    #[serde(default)]
    response_status: Response,
    request_received_timestamp: String,
}

#[derive(Deserialize)]
struct EntryUser {
    username: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Reference {
    resource: String,
    subresource: String,
    namespace: String,
    name: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Response {
    code: u16,
}

/// What `user` wrote, in the order of the log.
pub(super) fn writes(log: &Path, user: User) -> anyhow::Result<Vec<Write>> {
    let reads = ["get", "list", "watch"];
    Ok(requests(log, user)?.into_iter().filter(|request| !reads.contains(&request.verb.as_str())).collect())
}

/// Everything that `user` asked for and that is answered, in the order of the log.
pub(super) fn requests(log: &Path, user: User) -> anyhow::Result<Vec<Write>> {
    let file = File::open(log).with_context(|| format!("there is no audit log at {}", log.display()))?;
    let mut requests = Vec::new();
    for line in BufReader::new(file).lines() {
        // The last line may be half written.
        let Ok(entry) = serde_json::from_str::<Entry>(&line?) else { continue };
        if entry.stage == "ResponseComplete" && entry.user.username == user.name() {
            requests.push(Write {
                verb: entry.verb,
                resource: entry.object_ref.resource,
                subresource: entry.object_ref.subresource,
                namespace: entry.object_ref.namespace,
                name: entry.object_ref.name,
                code: entry.response_status.code,
                at: entry.request_received_timestamp,
            });
        }
    }
    Ok(requests)
}
