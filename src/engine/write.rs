//! Writes to the API server. Server-side apply wherever the operator owns fields of an object; a status it owns whole.

use api::{DynamicObject, MANAGED_BY, service::Kind};
use kube::{
    Api, Client,
    api::{DeleteParams, Patch, PatchParams, PostParams, Preconditions, ValidationDirective},
    core::PartialObjectMeta,
    runtime::events::Event,
};
use serde_json::{Value, json};

use super::watch::api_of;
use crate::client::{CallError, call};

/// A write.
#[derive(Clone, Debug)]
pub enum Write {
    /// Apply an object.
    Apply {
        /// The kind.
        kind: Kind,
        /// The field manager.
        manager: &'static str,
        /// Whether fields of other managers are taken over.
        force: bool,
        /// The apply body, with its name.
        object: Value,
    },
    /// Create an object that must never replace another one. One of ours that is there already is a success: names say
    /// what an object is for.
    Create {
        /// The kind.
        kind: Kind,
        /// The field manager.
        manager: &'static str,
        /// The object, with its name.
        object: Value,
    },
    /// Change some fields of one very object: the patch carries its name and its resource version.
    Merge {
        /// The kind.
        kind: Kind,
        /// The field manager.
        manager: &'static str,
        /// The patch; `null` removes a field.
        object: Value,
    },
    /// Delete this very object, and in the background what it owns.
    Delete {
        /// The kind.
        kind: Kind,
        /// The name.
        name: String,
        /// The uid.
        uid: String,
    },
    /// Remove a part of an object.
    Remove {
        /// The kind.
        kind: Kind,
        /// The name.
        name: String,
        /// The part, as a JSON pointer.
        place: String,
        /// Fields, as JSON pointers, and their values: the server refuses the write when one is another by then.
        only_while: Vec<(String, Value)>,
    },
}

/// The JSON pointer to a place.
pub fn pointer(place: &[&str]) -> String {
    let escaped = place.iter().map(|part| part.replace('~', "~0").replace('/', "~1"));
    escaped.flat_map(|part| ["/".to_owned(), part]).collect()
}

/// What a write does, for counting.
#[derive(Clone, Copy, Debug, PartialEq, Eq, strum::IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum Verb {
    /// An object is applied.
    Apply,
    /// An object is created.
    Create,
    /// Some fields are changed.
    Merge,
    /// An object is deleted.
    Delete,
    /// A status is replaced.
    Status,
}

/// A status to write.
pub struct Status {
    /// The kind.
    pub kind: Kind,
    /// The name.
    pub name: String,
    /// The resource version it is based on: a status is never written over a newer object, but planned again.
    pub resource_version: String,
    /// The status.
    pub status: Value,
    /// What becomes of it when others have more to do.
    pub urgency: Urgency,
    /// What it says that is worth an Event, once it is written.
    pub events: Vec<Event>,
}

/// How soon a status has to be written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Urgency {
    /// Before the writes of its plan and with its Events; it may wait when there are none.
    #[default]
    WithWrites,
    /// It may come later than the writes of the plan, and together with the next change: it only shows what another object
    /// remembers.
    Later,
    /// At once: admission reads it.
    Now,
}

impl Write {
    /// `Kind/name`.
    pub fn key(&self) -> String {
        let (kind, name) = self.target();
        format!("{}/{name}", kind.kind)
    }

    /// What it does.
    pub(super) fn verb(&self) -> Verb {
        match self {
            Self::Apply { .. } => Verb::Apply,
            Self::Create { .. } => Verb::Create,
            Self::Merge { .. } | Self::Remove { .. } => Verb::Merge,
            Self::Delete { .. } => Verb::Delete,
        }
    }

    /// The kind and the name of what is written.
    pub(super) fn target(&self) -> (&Kind, &str) {
        match self {
            Self::Apply { kind, object, .. } | Self::Create { kind, object, .. } | Self::Merge { kind, object, .. } => {
                (kind, name_of(object))
            }
            Self::Delete { kind, name, .. } | Self::Remove { kind, name, .. } => (kind, name),
        }
    }

    /// Makes the write and answers what the object is then. A delete of what is gone already is a success.
    pub(super) async fn make(&self, client: &Client, namespace: &str) -> Result<Option<DynamicObject>, CallError> {
        let (kind, name) = self.target();
        let api: Api<DynamicObject> = api_of(client, kind, Some(namespace));
        match self {
            Self::Apply { manager, force, object, .. } => {
                let params = PatchParams { force: *force, ..strict(manager) };
                call(api.patch(name, &params, &Patch::Apply(object))).await.map(Some)
            }
            Self::Create { manager, object, .. } => {
                let params = PostParams { field_manager: Some((*manager).to_owned()), ..PostParams::default() };
                let object = serde_json::from_value(object.clone()).map_err(kube::Error::SerdeError)?;
                match call(api.create(&params, &object)).await {
                    Err(error) if error.is_already_exists() => adopt(&api, name).await,
                    answer => answer.map(Some),
                }
            }
            Self::Merge { manager, object, .. } => {
                call(api.patch(name, &strict(manager), &Patch::Merge(object))).await.map(Some)
            }
            Self::Delete { uid, .. } => {
                let preconditions = Preconditions { uid: Some(uid.clone()), resource_version: None };
                let params = DeleteParams { preconditions: Some(preconditions), ..DeleteParams::background() };
                match call(api.delete(name, &params)).await {
                    Err(error) if !error.is_not_found() => Err(error),
                    // The watch tells when it is really gone.
                    _ => Ok(None),
                }
            }
            Self::Remove { place, only_while, .. } => {
                let tests =
                    only_while.iter().map(|(field, value)| json!({"op": "test", "path": field, "value": value}));
                let steps = tests.chain([json!({"op": "remove", "path": place})]).collect();
                let patch = Patch::<Value>::Json(serde_json::from_value(steps).map_err(kube::Error::SerdeError)?);
                call(api.patch(name, &PatchParams::default(), &patch)).await.map(Some)
            }
        }
    }
}

/// A field that the kind does not know is an error that names it, not a silent drop.
fn strict(manager: &str) -> PatchParams {
    PatchParams {
        field_manager: Some(manager.to_owned()),
        field_validation: Some(ValidationDirective::Strict),
        ..PatchParams::default()
    }
}

/// What is there under the name that we would have used.
async fn adopt(api: &Api<DynamicObject>, name: &str) -> Result<Option<DynamicObject>, CallError> {
    let found = call(api.get(name)).await?;
    let labels = found.metadata.labels.as_ref();
    let ours = labels.and_then(|labels| labels.get(MANAGED_BY.0)).is_some_and(|value| value == MANAGED_BY.1);
    if ours { Ok(Some(found)) } else { Err(CallError::NotOurs(format!("{}={}", MANAGED_BY.0, MANAGED_BY.1))) }
}

fn name_of(object: &Value) -> &str {
    object.pointer("/metadata/name").and_then(Value::as_str).unwrap_or_default()
}

/// Asks for the metadata of the answer, where the server can leave the rest out: it is what was sent.
const METADATA: &str = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1,application/json";

impl Status {
    /// `Kind/name`, with the subresource: its failures are not those of the object.
    pub fn key(&self) -> String {
        format!("{}/{} status", self.kind.kind, self.name)
    }

    /// Replaces the status, which is the operator's as a whole (ADR 0008), and answers what the object is then. `object` is
    /// what the status was planned on: a body without its labels and annotations would take them from their owners.
    pub(super) async fn write(
        &self,
        client: &Client,
        namespace: &str,
        object: &DynamicObject,
    ) -> Result<DynamicObject, CallError> {
        let api: Api<DynamicObject> = api_of(client, &self.kind, Some(namespace));
        let body = json!({
            "apiVersion": self.kind.api_version(),
            "kind": self.kind.kind,
            "metadata": object.metadata,
            "status": self.status,
        });
        let body = serde_json::to_vec(&body).map_err(kube::Error::SerdeError)?;
        // kube's `replace_status` has no word for the validation of fields. Our own types are the schema: checking costs
        // the API server a second parse of its largest writes.
        let url = format!(
            "{}/{}/status?fieldManager={}&fieldValidation=Ignore",
            api.resource_url(),
            self.name,
            api::manager::STATUS
        );
        let request = http::Request::put(url)
            .header(http::header::CONTENT_TYPE, "application/json")
            .header(http::header::ACCEPT, METADATA)
            .body(body);
        let written: PartialObjectMeta<DynamicObject> =
            call(client.request(request.map_err(kube::Error::HttpError)?)).await?;
        // It was to change something. Taken for said it would be said again, with its Events, for ever.
        if written.metadata.resource_version == object.metadata.resource_version {
            return Err(CallError::NotKept);
        }
        // All but the old status, which may be long.
        let rest = object.data.as_object().into_iter().flatten().filter(|(field, _)| *field != "status");
        let rest = rest.map(|(field, value)| (field.clone(), value.clone()));
        let data = rest.chain([("status".to_owned(), self.status.clone())]).collect();
        Ok(DynamicObject { types: object.types.clone(), metadata: written.metadata, data })
    }
}
