//! Which version is wanted, and may it be.
//!
//! Admission enforces the same rules; an object that slipped through is never acted on: the last accepted target stays
//! in force, and the condition `TargetVersionValid` says why.

use api::{
    annotation,
    condition::{Reason, Severity, Status, Verdict},
    release::Version,
    version::{OpenStackVersionStatus, UpdateStatus},
};

use super::{
    Scene,
    records::{Records, deployed_image_set, deployed_version, older},
    world::World,
};

/// What the cloud is about to do.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Course {
    /// Nothing: there is no control plane, no version, or none that may be acted on.
    Idle,
    /// The first installation: no order.
    Install { to: String },
    /// Everything has its version; custom images apply at once.
    Steady { at: String },
    /// A minor update, in order. `from` and `to` are the same for a respin, and for a return to the deployed version.
    Update { from: String, to: String },
}

impl Course {
    /// The version the cloud goes to, or stays at.
    pub(crate) fn to(&self) -> Option<&str> {
        match self {
            Course::Idle => None,
            Course::Install { to } | Course::Steady { at: to } | Course::Update { to, .. } => Some(to),
        }
    }
}

/// What was decided about the target.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Decision {
    pub(crate) course: Course,
    /// The target that was accepted last, also while there is no control plane to act on.
    pub(crate) in_force: Option<String>,
    /// The verdict on `spec.targetVersion`.
    pub(crate) verdict: Verdict,
    /// The value that an empty `spec.targetVersion` gets.
    pub(crate) default_target: Option<String>,
}

impl Decision {
    /// Whether `spec.targetVersion` is refused: nothing else that the spec says of images is acted upon then.
    pub(crate) fn is_refused(&self) -> bool {
        self.verdict.status == Status::False
    }
}

/// Decides which version is wanted and may be.
pub(crate) fn decide(world: &World, before: &OpenStackVersionStatus, records: &Records) -> Decision {
    let mut decision =
        Decision { course: Course::Idle, in_force: None, verdict: Verdict::yes(""), default_target: None };
    let Some(version) = &world.version else { return decision };
    let Ok(spec) = &version.spec else {
        decision.verdict = Verdict::unknown("spec.targetVersion is not judged while the spec does not parse");
        return decision;
    };
    let wish = Some(spec.target_version.clone()).filter(|target| !target.is_empty());
    let Some(requested) = wish.or_else(|| default_target(world, before, records)) else {
        let text = "spec.targetVersion is empty and the bundle has no version; set OPENSTACK_RELEASE_VERSION";
        decision.verdict = Verdict::no(Severity::Error, Reason::InvalidBundle, text);
        return decision;
    };
    let case = Case { world, before, records, deployed: deployed_version(world, before), requested: &requested };
    decision.in_force = match case.refusal() {
        None => {
            decision.verdict = Verdict::yes(format!("the target is {requested}"));
            decision.default_target = spec.target_version.is_empty().then(|| requested.clone());
            Some(requested.clone())
        }
        Some((reason, message)) => {
            decision.verdict = Verdict::no(Severity::Error, reason, message);
            case.in_force().map(str::to_owned)
        }
    };
    let acts = world.control_plane.as_ref().is_some_and(|cp| !cp.meta.deleting && cp.meta.name == version.meta.name);
    if acts && !version.meta.deleting {
        decision.course = decision.in_force.clone().map_or(Course::Idle, |accepted| case.course(accepted));
    }
    decision
}

/// An empty target is what was accepted before; only at creation it is the available version. Never "the latest".
fn default_target(world: &World, before: &OpenStackVersionStatus, records: &Records) -> Option<String> {
    let running = before.update.as_ref().map(|update| update.to.clone());
    let deployed = deployed_version(world, before);
    // Before anything is deployed a recorded target whose images are lost would only be refused.
    let known = |target: &String| deployed.is_some() || records.versions.contains_key(target);
    running
        .or_else(|| recorded_target(world).map(str::to_owned).filter(known))
        .or_else(|| deployed.map(str::to_owned))
        .or_else(|| Some(world.bundle.version.clone()).filter(|version| !version.is_empty()))
}

/// The target that the control plane remembers, for an `OpenStackVersion` that is created again.
fn recorded_target(world: &World) -> Option<&str> {
    world.control_plane.as_ref().and_then(|cp| cp.status.target_version.as_deref())
}

/// Whether the deployed version has other images than those that were deployed.
fn respun(world: &World, before: &OpenStackVersionStatus, records: &Records) -> bool {
    let now = deployed_version(world, before).and_then(|deployed| records.hash(deployed));
    deployed_image_set(world, before).zip(now).is_some_and(|(before, now)| before != now)
}

/// What an update is for: not every walk goes to another version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Errand {
    /// Another version.
    Update,
    /// Confirmed images of the version that is deployed.
    Respin,
    /// What is deployed, after a target that was given up. The end of that update, and no update of its own.
    Return,
}

impl Errand {
    /// What the update is for.
    pub(crate) fn of(scene: &Scene<'_>, update: &UpdateStatus) -> Self {
        match () {
            () if update.from != update.to => Self::Update,
            () if respun(scene.world, scene.before, &scene.records) => Self::Respin,
            () => Self::Return,
        }
    }

    /// For a person.
    pub(crate) fn text(self, from: &str, to: &str) -> String {
        match self {
            Self::Update => format!("update from {from} to {to}"),
            Self::Respin => format!("new images of {to}"),
            Self::Return => format!("return to {to}"),
        }
    }
}

struct Case<'a> {
    world: &'a World,
    before: &'a OpenStackVersionStatus,
    records: &'a Records,
    deployed: Option<&'a str>,
    requested: &'a str,
}

impl Case<'_> {
    /// The target that was accepted last. During the first installation only the control plane remembers it.
    fn in_force(&self) -> Option<&str> {
        let running = self.before.update.as_ref().map(|update| update.to.as_str());
        let installing =
            || recorded_target(self.world).filter(|recorded| self.records.versions.contains_key(*recorded));
        running.or(self.interrupted()).or(self.deployed).or_else(installing)
    }

    /// The target of an update that was under way when the `OpenStackVersion` was deleted: what it has moved is not on
    /// record any more.
    fn interrupted(&self) -> Option<&str> {
        let created_again = self.before.deployed_version.is_none();
        recorded_target(self.world).filter(|recorded| created_again && self.deployed.is_some_and(|at| at != *recorded))
    }

    /// The first rule that the requested target breaks.
    fn refusal(&self) -> Option<(Reason, String)> {
        if self.in_force() == Some(self.requested) {
            return None;
        }
        self.unknown().or_else(|| self.rollback()).or_else(|| self.retarget()).or_else(|| self.unchanged_images())
    }

    /// Rule 1.
    fn unknown(&self) -> Option<(Reason, String)> {
        if self.requested.parse::<Version>().is_ok() && self.records.versions.contains_key(self.requested) {
            return None;
        }
        // An object that was created again knows the target that the control plane recorded, though not its images.
        if self.deployed.is_some() && recorded_target(self.world) == Some(self.requested) {
            return None;
        }
        let text = format!(
            "spec.targetVersion: {} is not a version whose images are known; set it to one of: {}",
            self.requested,
            self.records.names().join(", ")
        );
        Some((Reason::UnknownVersion, text))
    }

    /// Rule 2.
    fn rollback(&self) -> Option<(Reason, String)> {
        let deployed = self.deployed.filter(|deployed| older(self.requested, deployed))?;
        if self.world.may_roll_back() {
            return None;
        }
        let text = format!(
            "spec.targetVersion: {} is older than the deployed version {deployed}; rollback is not supported. Set it to \
             {deployed} or newer; for development only, the annotation {}=true allows it",
            self.requested,
            annotation::ALLOW_ROLLBACK
        );
        Some((Reason::RollbackNotSupported, text))
    }

    /// Rule 3.
    fn retarget(&self) -> Option<(Reason, String)> {
        let Some(update) = self.before.update.as_ref() else { return self.return_without_memory() };
        if self.world.may_roll_back() || older(&update.to, self.requested) {
            return None;
        }
        let UpdateStatus { from, to, revertible, not_revertible_reason, .. } = update;
        let why = if self.requested != from {
            format!("during an update the target may only move on to a newer version or return to {from}")
        } else if *revertible {
            return None;
        } else {
            not_revertible_reason.clone().unwrap_or_else(|| "a step that has begun cannot be undone".to_owned())
        };
        let text = format!(
            "spec.targetVersion: the update from {from} to {to} cannot change to {}: {why}. Set it to {to} or newer",
            self.requested
        );
        Some((Reason::NotRevertible, text))
    }

    /// Rule 3 for an object that was created again: only the walk can tell what may be taken back.
    fn return_without_memory(&self) -> Option<(Reason, String)> {
        let (interrupted, deployed) = (self.interrupted()?, self.deployed?);
        if self.world.may_roll_back() || older(interrupted, self.requested) {
            return None;
        }
        let text = format!(
            "spec.targetVersion: the update from {deployed} to {interrupted} was under way when the OpenStackVersion was \
             deleted, and what it has moved is not known. Set it to {interrupted} or newer; once the update goes on, it \
             can return as far as its steps allow"
        );
        Some((Reason::NotRevertible, text))
    }

    /// Rule 5. A return to the deployed version keeps the images that the version had.
    fn unchanged_images(&self) -> Option<(Reason, String)> {
        self.deployed?;
        let custom = self.world.custom_images();
        let before_target = self.in_force()?;
        let unchanged = self.before.tracked_custom_images.get(before_target) == Some(&custom);
        let skipped = self.world.may_keep_custom_images();
        if custom.is_empty() || !unchanged || skipped || self.deployed == Some(self.requested) {
            return None;
        }
        let names: Vec<&str> = custom.keys().map(String::as_str).collect();
        let text = format!(
            "spec.customContainerImages: {} stayed as they were for {before_target} while the target changes to {}; \
             update or remove them together with the target, or set the annotation {}",
            names.join(", "),
            self.requested,
            annotation::SKIP_CUSTOM_IMAGES
        );
        Some((Reason::CustomImagesUnchanged, text))
    }

    fn course(&self, accepted: String) -> Course {
        let Some(deployed) = self.deployed else { return Course::Install { to: accepted } };
        let running = self.before.update.as_ref();
        if running.is_none() && accepted == deployed && !respun(self.world, self.before, self.records) {
            return Course::Steady { at: accepted };
        }
        let from = running.map_or(deployed, |update| update.from.as_str());
        Course::Update { from: from.to_owned(), to: accepted }
    }
}
