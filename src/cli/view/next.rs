//! What to do next: the very command, from what the status says in fields and reasons. No message is ever parsed.

use api::{
    DynamicObject, annotation,
    condition::{READY, Reason, Status},
    dataplane::{DEPLOYMENT, NODE_SET},
    keystone::{KEYSTONE, RETRY},
    step::{MINOR_UPDATE, Scope},
    version::{ServiceState, StepState},
};
use jiff::Timestamp;
use plan::json;
use serde::Serialize;
use serde_json::{Value, json};

use super::{
    Objects, Service, State, Step, Trouble, View, items,
    read::{Condition, Version, conditions, is_observed},
    texts, troubles,
};
use crate::controllers::Charge;

/// What kind of thing is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, strum::Display)]
pub enum Action {
    /// Look whether the operator runs, should it not report in a moment.
    CheckOperator,
    /// Create a control plane.
    CreateControlPlane,
    /// Let the update go on.
    Resume,
    /// Set another target.
    Retarget,
    /// Keep the custom images for the new target, on purpose.
    KeepCustomImages,
    /// Remove the custom images that were made for another version.
    ClearCustomImages,
    /// Accept other images of a version that is in use.
    ConfirmImages,
    /// Deploy nodesets.
    Deploy,
    /// Correct what the message names.
    Correct,
    /// Look at what the message names: nothing waits for it.
    Review,
    /// Try a step of Keystone again.
    RetryKeystone,
    /// Rotate keys again.
    RotateKeys,
    /// Nothing: what was asked for is under way.
    Wait,
    /// Update, if you wish.
    Update,
}

impl Action {
    /// Whether something stands still until it is done.
    pub fn is_urgent(self) -> bool {
        !matches!(self, Self::CheckOperator | Self::Review | Self::Wait | Self::Update)
    }
}

/// Something to do.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Next {
    /// What kind of thing it is.
    pub action: Action,
    /// Why.
    pub message: String,
    /// The command that does it; absent when only a person can know.
    pub command: Option<String>,
}

impl Next {
    fn new(action: Action, message: impl Into<String>, command: impl Into<Option<String>>) -> Self {
        Self { action, message: message.into(), command: command.into() }
    }
}

/// What every answer is made of.
struct Case<'a> {
    view: &'a View,
    version: &'a Version<'a>,
    objects: &'a Objects,
    /// What kubectl needs to reach the cluster.
    reach: &'a str,
    /// The same for the namespace.
    flags: String,
}

/// What to do, the most urgent first.
pub(super) fn of(view: &View, version: &Version<'_>, objects: &Objects, reach: &str) -> Vec<Next> {
    let case = Case { view, version, objects, reach, flags: format!("-n {}{reach}", view.namespace) };
    let conditions = version.conditions();
    let mut next: Vec<Next> = case.unreported().into_iter().collect();
    next.extend(conditions.iter().flat_map(|condition| case.refused(condition)));
    next.extend(case.not_ready());
    next.extend(case.frontier());
    next.extend(case.blocked());
    next.extend(objects.keystones.iter().flat_map(|keystone| case.keystone(keystone)));
    next.extend(case.available(&conditions));
    next
}

impl Case<'_> {
    /// A command of this plugin.
    fn ours(&self, arguments: &str) -> String {
        format!("kubectl openstack {arguments} {}", self.flags)
    }

    /// A command of kubectl.
    fn kubectl(&self, arguments: &str) -> String {
        format!("kubectl {} {arguments}", self.flags)
    }

    fn merge(&self, patch: &Value) -> String {
        self.kubectl(&format!("patch openstackversion {} --type merge -p '{patch}'", self.view.name))
    }

    fn unreported(&self) -> Option<Next> {
        match self.view.state {
            // The operator has nothing to say about it any more.
            State::Unreported | State::Empty if self.is_going() => None,
            State::Unreported => {
                let text =
                    "the operator has not reported on this cloud as it is now; should that last, look whether it runs";
                let command = format!("kubectl -n openstack-operators{} get deployment,pods", self.reach);
                Some(Next::new(Action::CheckOperator, text, command))
            }
            State::Empty => {
                let text = format!("create an OpenStackControlPlane of the name {}", self.view.name);
                Some(Next::new(Action::CreateControlPlane, text, None))
            }
            _ => None,
        }
    }

    /// What is refused, and what it takes to be accepted.
    fn refused(&self, condition: &Condition<'_>) -> Vec<Next> {
        let wrong = condition.status == Some(Status::False);
        let Some(reason) = condition.reason.filter(|_| wrong && self.view.observed) else { return Vec::new() };
        let message = condition.message();
        // Another target would be another turn of what is under way.
        let running = self.view.update.as_ref().map(|update| &update.to);
        let retarget = |otherwise: Option<&String>| {
            let command = running.or(otherwise).map(|version| self.ours(&format!("update {version}")));
            vec![Next::new(Action::Retarget, message.clone(), command)]
        };
        let edit = |action| {
            let command = self.kubectl(&format!("edit openstackversion {}", self.view.name));
            vec![Next::new(action, message.clone(), command)]
        };
        match (condition.type_, reason) {
            ("TargetVersionValid", Reason::UnknownVersion) => retarget(self.view.available_version.as_ref()),
            ("TargetVersionValid", Reason::RollbackNotSupported) => retarget(self.view.deployed_version.as_ref()),
            ("TargetVersionValid", Reason::NotRevertible) => retarget(None),
            ("TargetVersionValid", Reason::CustomImagesUnchanged) => self.custom_images(&message),
            ("ImageSetConfirmed", Reason::ImageSetChanged) => {
                let hash = self.version.status_text("unconfirmedImageSet");
                let command = hash.map(|hash| self.merge(&json!({"spec": {"update": {"confirmImageSet": hash}}})));
                vec![Next::new(Action::ConfirmImages, message, command)]
            }
            ("CustomImagesValid", Reason::Held) => vec![Next::new(Action::Resume, message, self.ours("resume"))],
            // The schema lets no other through than that of a backend that may still come.
            ("CustomImagesValid", Reason::InvalidCustomImage) => edit(Action::Review),
            ("Initialized", Reason::InvalidSpec) | ("UpdateOptionsValid", _) => edit(Action::Correct),
            _ if condition.is_error() && condition.type_ != READY => vec![Next::new(Action::Correct, message, None)],
            _ => Vec::new(),
        }
    }

    /// What only `Ready` says: objects that do not belong together, and those that cannot go.
    fn not_ready(&self) -> Vec<Next> {
        let stands = |trouble: &Trouble<'_>| {
            let Trouble { object, condition, .. } = trouble;
            let ends = condition.is_error() || condition.reason == Some(Reason::Waiting);
            condition.type_ == READY && ends && is_observed(object)
        };
        let correct = |trouble: Trouble<'_>| {
            let text = format!("{}: {}", trouble.of(), trouble.condition.message());
            Next::new(Action::Correct, text, None)
        };
        troubles(self.objects).into_iter().filter(stands).map(correct).collect()
    }

    /// The services that the operator cannot write. In an update the step says so.
    fn blocked(&self) -> Vec<Next> {
        let judged = self.view.update.is_none() && self.view.observed && !self.is_going();
        let blocked = self.view.services.iter().filter(|service| service.known() == Some(ServiceState::Blocked));
        let correct = |service: &Service| {
            Next::new(Action::Correct, format!("service {}: {}", service.name, service.message), None)
        };
        blocked.filter(|_| judged).map(correct).collect()
    }

    /// Whether the cloud is being deleted.
    fn is_going(&self) -> bool {
        let Charge { version, control_plane } = self.objects.charge();
        [version, control_plane].into_iter().flatten().any(|object| object.metadata.deletion_timestamp.is_some())
    }

    /// Two ways: only a person knows whether the images fit the new version.
    fn custom_images(&self, message: &str) -> Vec<Next> {
        let fields = self.version.spec("customContainerImages").and_then(Value::as_object);
        let clear: Vec<String> =
            fields.into_iter().flat_map(|fields| fields.keys()).map(|field| format!("--clear {field}")).collect();
        let clear = self.ours(&format!("hotfix {}", clear.join(" ")));
        let (name, annotation) = (&self.view.name, annotation::SKIP_CUSTOM_IMAGES);
        let keep = self.kubectl(&format!("annotate openstackversion {name} {annotation}="));
        vec![
            Next::new(Action::ClearCustomImages, message, clear),
            Next::new(Action::KeepCustomImages, "or keep the custom images on purpose", keep),
        ]
    }

    /// What the step at hand waits for.
    fn frontier(&self) -> Option<Next> {
        let step = self.view.update.as_ref()?.frontier()?;
        match step.known()? {
            StepState::Held => {
                let text = format!("step {}: {}", step.name, step.message);
                Some(Next::new(Action::Resume, text, self.ours("resume")))
            }
            StepState::Waiting if !step.node_sets.is_empty() => Some(self.deploy(step)),
            StepState::Waiting => {
                Some(Next::new(Action::Correct, format!("step {}: {}", step.name, step.message), None))
            }
            _ => None,
        }
    }

    /// The deployment that the step asks for, unless there is one already.
    fn deploy(&self, step: &Step) -> Next {
        let scope = MINOR_UPDATE.iter().find(|row| row.name.to_string() == step.name).map(|row| row.scope);
        let Some(Scope::NodeSetsRunning { deploy, .. } | Scope::NodeSets { deploy }) = scope else {
            return Next::new(Action::Correct, step.message.clone(), None);
        };
        let covering = self.covering(step, deploy);
        let name = |deployment: &DynamicObject| deployment.metadata.name.clone().unwrap_or_default();
        if let Some(name) = covering.iter().find(|found| runs(found)).map(|found| name(found)) {
            let watch = self.kubectl(&format!("get {} {name} --watch", DEPLOYMENT.plural));
            return Next::new(Action::Wait, format!("{}/{name} is under way", DEPLOYMENT.kind), watch);
        }
        if let Some(name) = covering.iter().find(|found| self.brought(found, step, scope)).map(|found| name(found)) {
            let (kind, step_name) = (DEPLOYMENT.kind, &step.name);
            let text = format!("{kind}/{name} is deployed; should step {step_name} not follow, look at its nodesets");
            let look = self.kubectl(&format!("get {} {}", NODE_SET.plural, step.node_sets.join(" ")));
            return Next::new(Action::Wait, text, look);
        }
        let message = format!("step {}: deploy {} with [{deploy}]", step.name, step.node_sets.join(", "));
        Next::new(Action::Deploy, message, self.deployment(step, deploy))
    }

    /// The deployments of this update that have the service and all nodesets of the step.
    fn covering(&self, step: &Step, deploy: &str) -> Vec<&DynamicObject> {
        let since = self.view.update.as_ref().and_then(|update| update.started_at);
        let covers = |deployment: &&DynamicObject| {
            let chosen = texts(&deployment.data, "spec.servicesOverride");
            let node_sets = texts(&deployment.data, "spec.nodeSets");
            (chosen.is_empty() || chosen.iter().any(|service| service == deploy))
                && step.node_sets.iter().all(|name| node_sets.contains(name))
                && created(deployment) >= since
        };
        self.objects.deployments.iter().map(AsRef::as_ref).filter(covers).collect()
    }

    /// Whether a deployment has brought what the step waits for, so that its nodesets will say so in a moment. One from before
    /// the step, or with other images, has not; nor does one of all services stamp a version on its nodesets.
    fn brought(&self, deployment: &DynamicObject, step: &Step, scope: Option<Scope>) -> bool {
        let status = |path: &str| json::text(&deployment.data, &format!("status.{path}")).map(str::to_owned);
        let (recorded, wanted) = match scope {
            Some(Scope::NodeSetsRunning { image, recorded_as, .. }) => (
                status(&format!("containerImages.{recorded_as}")),
                self.version.status_text(&format!("containerImages.{image}")),
            ),
            Some(Scope::NodeSets { deploy }) => {
                let stamps = texts(&deployment.data, "spec.servicesOverride").iter().any(|service| service == deploy);
                let to = self.view.update.as_ref().map(|update| update.to.clone());
                (status("deployedVersion"), to.filter(|_| stamps))
            }
            _ => return false,
        };
        let since = step.started_at.is_some() && created(deployment) >= step.started_at;
        is_deployed(deployment) && since && recorded.is_some() && recorded == wanted
    }

    fn deployment(&self, step: &Step, deploy: &str) -> String {
        let to = self.view.update.as_ref().map(|update| update.to.replace('.', "-")).unwrap_or_default();
        let name = self.unused(&format!("{}-{}", step.name, to.to_lowercase()));
        format!(
            "kubectl {} create -f - <<EOF\n\
             apiVersion: {}\n\
             kind: {}\n\
             metadata:\n  name: {name}\n\
             spec:\n  nodeSets: [{}]\n  servicesOverride: [{deploy}]\n\
             EOF",
            self.flags,
            DEPLOYMENT.api_version(),
            DEPLOYMENT.kind,
            step.node_sets.join(", "),
        )
    }

    /// A deployment runs once: one that failed needs another, of another name.
    fn unused(&self, name: &str) -> String {
        let taken =
            |name: &str| self.objects.deployments.iter().any(|found| found.metadata.name.as_deref() == Some(name));
        let numbered = std::iter::once(name.to_owned()).chain((2_u32..).map(|number| format!("{name}-{number}")));
        numbered.into_iter().find(|name| !taken(name)).unwrap_or_default()
    }

    /// What its conditions refuse, a step that stopped, and rotations that brought nothing.
    fn keystone(&self, object: &DynamicObject) -> Vec<Next> {
        let name = object.metadata.name.as_deref().unwrap_or_default();
        let Some(keystone) = self.view.keystone.iter().find(|keystone| keystone.name == name) else {
            return Vec::new();
        };
        let correct = |condition: &Condition<'_>| {
            Next::new(Action::Correct, format!("{}/{name}: {}", KEYSTONE.kind, condition.message()), None)
        };
        let conditions = conditions(&object.data);
        let refused = conditions.iter().filter(|condition| is_observed(object) && is_refused_by_keystone(condition));
        let refused: Vec<Next> = refused.map(correct).collect();
        let retry = keystone.failure.as_ref().map(|failure| {
            let last = object.metadata.annotations.as_ref().and_then(|all| all.get(RETRY));
            let value = last.and_then(|last| last.parse::<u64>().ok()).unwrap_or_default().saturating_add(1);
            let command = self.kubectl(&format!("annotate keystone {name} --overwrite {RETRY}={value}"));
            Next::new(Action::RetryKeystone, failure.clone(), command)
        });
        let rotate = keystone.keys.iter().filter_map(|keys| {
            let cron = format!("{name}-{}-rotate", keys.name);
            let command = self.kubectl(&format!("create job --from=cronjob/{cron} {cron}-$(date +%s)"));
            let failure = keys.failure.as_ref()?;
            Some(Next::new(Action::RotateKeys, format!("{} keys: {failure}", keys.name), command))
        });
        refused.into_iter().chain(retry).chain(rotate).collect()
    }

    /// A newer version, when nothing else is to be done.
    fn available(&self, conditions: &[Condition<'_>]) -> Option<Next> {
        let newer = conditions
            .iter()
            .any(|condition| condition.type_ == "MinorUpdateAvailable" && condition.status == Some(Status::True));
        let idle = self.view.update.is_none()
            && self.view.state != State::Blocked
            && self.view.target_version == self.view.deployed_version
            && !self.is_going();
        let available = self.view.available_version.as_ref().filter(|_| newer && idle && self.view.observed)?;
        let text = format!("version {available} is available");
        Some(Next::new(Action::Update, text, self.ours(&format!("update {available}"))))
    }
}

/// Whether a `Keystone` waits for a person there: for another image, or for keys that are gone. A target that has changed
/// in the middle of an upgrade is looked at when that is over.
fn is_refused_by_keystone(condition: &Condition<'_>) -> bool {
    match condition.type_ {
        "TargetReleaseValid" => {
            condition.status == Some(Status::False) && condition.reason != Some(Reason::UpgradeTargetChanged)
        }
        "KeysReady" => condition.is_error(),
        _ => false,
    }
}

fn created(object: &DynamicObject) -> Option<Timestamp> {
    object.metadata.creation_timestamp.as_ref().map(|time| time.0)
}

fn is_deployed(deployment: &DynamicObject) -> bool {
    json::get(&deployment.data, "status.deployed").and_then(Value::as_bool).unwrap_or_default()
}

/// Whether a deployment is under way: neither done nor failed.
fn runs(deployment: &DynamicObject) -> bool {
    let failed = items(&deployment.data, "status.conditions").any(|condition| {
        json::text(condition, "status") == Some("False") && json::text(condition, "severity") == Some("Error")
    });
    !is_deployed(deployment) && !failed && deployment.metadata.deletion_timestamp.is_none()
}
