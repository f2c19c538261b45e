//! Reading the audit log: who wrote what.

use std::{
    collections::BTreeSet,
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

/// What a rule of a role allows: one verb on one resource.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Access {
    /// The API group; empty for the core.
    pub group: String,
    /// The plural name of the kind, with the subresource as in a role.
    pub resource: String,
    /// The verb.
    pub verb: String,
}

/// What a user needed of his roles.
#[derive(Clone, Debug, Default)]
pub struct Accesses {
    /// What was allowed.
    pub allowed: BTreeSet<Access>,
    /// What was refused.
    pub refused: BTreeSet<Access>,
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
#[serde(default, rename_all = "camelCase")]
struct Reference {
    api_group: String,
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
    let answered = entries(log, user)?.into_iter().filter(|entry| entry.stage == "ResponseComplete");
    Ok(answered.map(Entry::into_write).collect())
}

/// What `user` needed of his roles. A watch counts from its first answer on.
pub(super) fn accesses(log: &Path, user: User) -> anyhow::Result<Accesses> {
    let mut accesses = Accesses::default();
    for entry in entries(log, user)?.into_iter().filter(|entry| !entry.object_ref.resource.is_empty()) {
        let Entry { verb, object_ref: Reference { api_group, resource, subresource, .. }, response_status, .. } = entry;
        let resource = if subresource.is_empty() { resource } else { format!("{resource}/{subresource}") };
        let access = Access { group: api_group, resource, verb };
        if response_status.code == 403 {
            accesses.refused.insert(access);
            continue;
        }
        // An apply that makes an object is asked for both.
        if access.verb == "patch" && response_status.code == 201 {
            accesses.allowed.insert(Access { verb: "create".to_owned(), ..access.clone() });
        }
        accesses.allowed.insert(access);
    }
    Ok(accesses)
}

fn entries(log: &Path, user: User) -> anyhow::Result<Vec<Entry>> {
    let file = File::open(log).with_context(|| format!("there is no audit log at {}", log.display()))?;
    let mut entries = Vec::new();
    for line in BufReader::new(file).lines() {
        // The last line may be half written.
        let Ok(entry) = serde_json::from_str::<Entry>(&line?) else { continue };
        if entry.user.username == user.name() {
            entries.push(entry);
        }
    }
    Ok(entries)
}

impl Entry {
    fn into_write(self) -> Write {
        Write {
            verb: self.verb,
            resource: self.object_ref.resource,
            subresource: self.object_ref.subresource,
            namespace: self.object_ref.namespace,
            name: self.object_ref.name,
            code: self.response_status.code,
            at: self.request_received_timestamp,
        }
    }
}
