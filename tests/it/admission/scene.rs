//! One namespace, requests in it, and what the API server says to them, warnings included.

use std::time::{Duration, Instant};

use api::{keystone::KEYSTONE, manager::STATUS};
use kube::{
    Client,
    api::{GetParams, Patch, PatchParams, PostParams},
    client::Body,
    core::Request,
};
use serde_json::{Value, json};
use testbed::{
    cluster::{self, User},
    fixtures,
};

/// The plural of `OpenStackVersion`.
pub const VERSIONS: &str = "openstackversions";
/// The plural of `OpenStackControlPlane`.
pub const CONTROL_PLANES: &str = "openstackcontrolplanes";
/// The plural of `Keystone`.
pub const KEYSTONES: &str = KEYSTONE.plural;

/// How long the API server may take to notice a sibling: it reads them in the background.
const NOTICE: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(50);

/// A namespace, seen by a user.
pub struct Scene {
    client: Client,
    pub namespace: String,
}

/// What the API server said.
#[derive(Debug)]
pub struct Answer {
    code: u16,
    message: String,
    warnings: Vec<String>,
}

impl Scene {
    pub async fn new(prefix: &str) -> Self {
        let cluster = cluster::shared().await.unwrap();
        Self { client: cluster.client().await.unwrap(), namespace: cluster.namespace(prefix).await.unwrap() }
    }

    /// A namespace with an `OpenStackVersion` of that spec.
    pub async fn with_version(prefix: &str, spec: Value) -> Self {
        let scene = Self::new(prefix).await;
        scene.create(VERSIONS, scene.version(fixtures::NAME, spec)).await.accepted();
        scene
    }

    /// The same namespace, seen by the operator.
    pub async fn as_operator(&self) -> Self {
        let client = cluster::shared().await.unwrap().client_of(User::Operator).await.unwrap();
        Self { client, namespace: self.namespace.clone() }
    }

    pub fn version(&self, name: &str, spec: Value) -> Value {
        self.object("OpenStackVersion", name, &spec)
    }

    pub fn control_plane(&self, name: &str, spec: Value) -> Value {
        self.object("OpenStackControlPlane", name, &spec)
    }

    fn object(&self, kind: &str, name: &str, spec: &Value) -> Value {
        json!({
            "apiVersion": "core.openstack.org/v1beta1",
            "kind": kind,
            "metadata": {"name": name, "namespace": self.namespace},
            "spec": spec,
        })
    }

    /// A `Keystone`.
    pub fn keystone(&self, spec: Value) -> Value {
        json!({
            "apiVersion": KEYSTONE.api_version(),
            "kind": KEYSTONE.kind,
            "metadata": {"name": fixtures::NAME, "namespace": self.namespace},
            "spec": spec,
        })
    }

    pub async fn create(&self, plural: &str, object: Value) -> Answer {
        self.send(plural, Call::Create(PostParams::default(), object)).await
    }

    /// As [`Scene::create`], and nothing is stored.
    pub async fn try_create(&self, plural: &str, object: Value) -> Answer {
        let params = PostParams { dry_run: true, ..PostParams::default() };
        self.send(plural, Call::Create(params, object)).await
    }

    /// A merge patch.
    pub async fn patch(&self, plural: &str, patch: Value) -> Answer {
        self.send(plural, Call::Patch("", PatchParams::default(), Patch::Merge(patch))).await
    }

    /// As [`Scene::patch`], and nothing is stored.
    pub async fn try_patch(&self, plural: &str, patch: Value) -> Answer {
        let params = PatchParams { dry_run: true, ..PatchParams::default() };
        self.send(plural, Call::Patch("", params, Patch::Merge(patch))).await
    }

    /// Server-side apply.
    pub async fn apply(&self, plural: &str, manager: &str, object: Value) -> Answer {
        self.send(plural, Call::Patch("", PatchParams::apply(manager), Patch::Apply(object))).await
    }

    /// Puts this status in the place of the old one.
    pub async fn set_status(&self, status: Value) {
        self.set_status_of(VERSIONS, status).await;
    }

    /// The same for another kind.
    pub async fn set_status_of(&self, plural: &str, status: Value) {
        for value in [Value::Null, status] {
            let patch = Patch::Merge(json!({"status": value}));
            self.send(plural, Call::Patch("status", PatchParams::default(), patch)).await.accepted();
        }
    }

    /// The object, read by the administrator: the operator watches, it may not read one object.
    pub async fn read(&self, plural: &str) -> Value {
        let request = self.request(plural).get(fixtures::NAME, &GetParams::default()).unwrap();
        let admin = cluster::shared().await.unwrap().client().await.unwrap();
        admin.request(request).await.unwrap()
    }

    /// Replaces the status, as the operator does.
    pub async fn replace_status(&self, plural: &str, mut object: Value) -> Answer {
        let found = self.read(plural).await;
        object["metadata"] = found["metadata"].clone();
        self.send(plural, Call::ReplaceStatus(object)).await
    }

    /// Waits for an answer that names the policy: those that look at siblings notice them a little later.
    pub async fn eventually<F: Future<Output = Answer>>(policy: &str, mut ask: impl FnMut() -> F) -> Answer {
        let start = Instant::now();
        loop {
            let answer = ask().await;
            if answer.names(policy) || start.elapsed() > NOTICE {
                return answer;
            }
            tokio::time::sleep(POLL).await;
        }
    }

    fn request(&self, plural: &str) -> Request {
        let group = if plural == KEYSTONES { KEYSTONE.group } else { api::GROUP };
        Request::new(format!("/apis/{group}/v1beta1/namespaces/{}/{plural}", self.namespace))
    }

    async fn send(&self, plural: &str, call: Call) -> Answer {
        let request = self.request(plural);
        let request = match call {
            Call::ReplaceStatus(object) => {
                let params = PostParams { field_manager: Some(STATUS.to_owned()), ..PostParams::default() };
                request.replace_subresource("status", fixtures::NAME, &params, object.to_string().into_bytes())
            }
            Call::Create(params, object) => request.create(&params, object.to_string().into_bytes()),
            Call::Patch("", params, patch) => request.patch(fixtures::NAME, &params, &patch),
            Call::Patch(subresource, params, patch) => {
                request.patch_subresource(subresource, fixtures::NAME, &params, &patch)
            }
        };
        let answer = self.client.send(request.unwrap().map(Body::from)).await.unwrap();
        let warnings = answer.headers().get_all("warning").iter();
        let warnings = warnings.map(|value| value.to_str().unwrap().replace("\\\"", "\"")).collect();
        let code = answer.status().as_u16();
        let body: Value = serde_json::from_slice(&answer.into_body().collect_bytes().await.unwrap()).unwrap();
        let message = body.get("message").and_then(Value::as_str).unwrap_or_default().to_owned();
        Answer { code, message, warnings }
    }
}

/// A request about an object of the name that the fixtures use.
enum Call {
    Create(PostParams, Value),
    ReplaceStatus(Value),
    /// With the subresource.
    Patch(&'static str, PatchParams, Patch<Value>),
}

impl Answer {
    /// The request went through, and no policy had anything to say.
    #[track_caller]
    pub fn accepted(&self) {
        assert!(self.code < 300, "refused: {self:?}");
        assert!(!self.names("ValidatingAdmissionPolicy"), "warned: {self:?}");
    }

    /// The policy refused it, and said all of this.
    #[track_caller]
    pub fn refused(&self, policy: &str, said: &[&str]) {
        assert!(self.code >= 400 && self.message.contains(&format!("'{policy}.")), "{self:?}");
        assert!(!self.message.contains("resulted in error"), "{self:?}");
        for text in said {
            assert!(self.message.contains(text), "no \"{text}\" in: {}", self.message);
        }
    }

    /// The request went through; the policy warned and said all of this.
    #[track_caller]
    pub fn warned(&self, policy: &str, said: &[&str]) {
        assert!(self.code < 300, "refused: {self:?}");
        let name = format!("'{policy}.");
        let warning = self.warnings.iter().find(|warning| warning.contains(&name));
        let warning = warning.unwrap_or_else(|| panic!("no warning of {policy}: {self:?}"));
        for text in said {
            assert!(warning.contains(text), "no \"{text}\" in: {warning}");
        }
    }

    pub fn is_accepted(&self) -> bool {
        self.code < 300
    }

    /// Whether the message or a warning has the text.
    pub fn names(&self, text: &str) -> bool {
        self.message.contains(text) || self.warnings.iter().any(|warning| warning.contains(text))
    }
}
