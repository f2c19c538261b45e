//! The conditions of both root objects.

use std::collections::BTreeMap;

use api::{
    annotation,
    condition::{READY, Reason, Severity, Status, Verdict},
    controlplane::{OpenStackControlPlaneSpec, OpenStackControlPlaneStatus},
    step::{MINOR_UPDATE, StepName},
    version::{DataplaneMode, ServiceState, ServiceStatus, StepState, StepStatus},
};

use super::{Deployed, custom};
use crate::release::{
    Scene,
    children::Children,
    records::older,
    target::{Course, Errand},
    walk::Walk,
    wanted::ignored_fields,
    world::{Meta, Root, Surplus},
};

type Verdicts = Vec<(String, Verdict)>;

/// The conditions of the `OpenStackVersion`.
pub(super) fn of_version(scene: &Scene<'_>, walk: &Walk, children: &Children, deployed: &Deployed) -> Verdicts {
    let mut all: Verdicts = vec![
        ("Initialized".to_owned(), initialized(scene)),
        ("BundleValid".to_owned(), bundle(scene)),
        ("ContainerImagesKnown".to_owned(), images_known(scene, children)),
        ("CustomImagesValid".to_owned(), custom_images(scene, children)),
        ("ImageSetConfirmed".to_owned(), image_set(scene)),
        ("KindsWatched".to_owned(), watched(scene)),
        ("MinorUpdateAvailable".to_owned(), available(scene, deployed)),
        ("TargetVersionValid".to_owned(), scene.decision.verdict.clone()),
        ("UpdateOptionsValid".to_owned(), options(scene)),
    ];
    all.push((READY.to_owned(), version_ready(&all, scene, walk, children, deployed)));
    if let Some(update) = walk.update.as_ref().filter(|_| !deployed.ends) {
        for ((step, status), reason) in MINOR_UPDATE.iter().zip(&update.steps).zip(&walk.reasons) {
            all.push((step.condition.to_owned(), step_verdict(status, *reason)));
        }
    }
    all
}

/// Upstream's words for the states of a step, with what it waits for behind them.
fn step_verdict(status: &StepStatus, reason: Reason) -> Verdict {
    let no = |severity, message: String| Verdict::no(severity, reason, message);
    match status.state {
        StepState::Pending => Verdict::unknown("not started"),
        StepState::Done => Verdict::yes("completed"),
        StepState::NotNeeded => Verdict::yes(format!("not needed: {}", status.message)).because(reason),
        StepState::Running if reason == Reason::Requested => {
            no(Severity::Info, format!("in progress: {}", status.message))
        }
        // A nodeset to deploy is part of every update; what else waits for a person is trouble.
        StepState::Waiting if reason == Reason::Waiting => no(Severity::Info, status.message.clone()),
        StepState::Held => no(Severity::Info, status.message.clone()),
        StepState::Running | StepState::Waiting | StepState::Stalled => no(Severity::Warning, status.message.clone()),
    }
}

fn initialized(scene: &Scene<'_>) -> Verdict {
    match scene.world.version.as_ref().map(|version| &version.spec) {
        Some(Err(problem)) => {
            let text = format!("the spec of the OpenStackVersion does not parse: {problem}; correct the field");
            Verdict::no(Severity::Error, Reason::InvalidSpec, text)
        }
        _ if scene.to.known => Verdict::yes(format!("the images of {} are known", scene.to.version)),
        _ => Verdict::unknown("status.containerImages: no version is in force whose images are known"),
    }
}

fn bundle(scene: &Scene<'_>) -> Verdict {
    let bundle = &scene.world.bundle;
    match bundle.problems.as_slice() {
        [] => Verdict::yes(format!("the bundle brings {}", bundle.version)),
        problems => {
            let severity = if bundle.version.is_empty() { Severity::Error } else { Severity::Warning };
            Verdict::no(severity, Reason::InvalidBundle, problems.join("; "))
        }
    }
}

fn images_known(scene: &Scene<'_>, children: &Children) -> Verdict {
    if let Some(text) = scene.unknown_images() {
        return Verdict::no(Severity::Warning, Reason::MissingImage, text);
    }
    match children.missing.as_slice() {
        [] => Verdict::yes("every enabled service has its images"),
        missing => Verdict::no(Severity::Warning, Reason::MissingImage, missing.join("; ")),
    }
}

fn watched(scene: &Scene<'_>) -> Verdict {
    let stale: Vec<String> =
        scene.world.stale.iter().map(|(kind, error)| format!("kind {kind} cannot be watched: {error}")).collect();
    if stale.is_empty() {
        return Verdict::yes("what is said here is up to date");
    }
    let text = format!(
        "{}; what is said about these objects may be out of date: check the RBAC rules of the operator",
        stale.join("; ")
    );
    Verdict::no(Severity::Warning, Reason::Error, text)
}

fn custom_images(scene: &Scene<'_>, children: &Children) -> Verdict {
    let problems = custom::problems(scene.world);
    if !problems.is_empty() {
        return Verdict::no(Severity::Warning, Reason::InvalidCustomImage, problems.join("; "));
    }
    match (custom::unchanged(scene), &children.held) {
        (Some(text), _) => Verdict::no(Severity::Warning, Reason::CustomImagesUnchanged, text),
        (None, Some(held)) => Verdict::no(Severity::Info, Reason::Held, held),
        (None, None) if scene.decision.is_refused() => {
            Verdict::yes("no custom image is new in effect while spec.targetVersion is refused")
        }
        (None, None) if matches!(scene.decision.course, Course::Update { .. }) => {
            Verdict::yes("every custom image is in effect once the step of its service is done")
        }
        (None, None) => Verdict::yes("every custom image is in effect"),
    }
}

fn image_set(scene: &Scene<'_>) -> Verdict {
    let Some(held) = &scene.records.held else { return Verdict::yes("the bundle's images are those in use") };
    let text = format!(
        "the bundle brings other images for {}, which is in use ({}); they are not used until \
         spec.update.confirmImageSet is {}",
        held.version,
        held.changed.join(", "),
        held.hash
    );
    Verdict::no(Severity::Warning, Reason::ImageSetChanged, text)
}

/// True only if the available version is newer than the deployed one.
fn available(scene: &Scene<'_>, deployed: &Deployed) -> Verdict {
    let available = scene.world.bundle.version.as_str();
    let available =
        if available.is_empty() { scene.before.available_version.as_deref().unwrap_or_default() } else { available };
    match deployed.version.as_deref() {
        Some(version) if older(version, available) => {
            let asked = scene.decision.in_force.as_deref() == Some(available);
            let advice = if asked { "it is the target" } else { "set spec.targetVersion to it" };
            Verdict::yes(format!("update available: {available}; {advice}"))
        }
        Some(version) => {
            let text =
                format!("status.availableVersion {available} is not newer than status.deployedVersion {version}");
            Verdict::no(Severity::None, Reason::UpToDate, text)
        }
        None => Verdict::no(Severity::None, Reason::Init, "status.deployedVersion is not set: nothing is deployed yet"),
    }
}

fn options(scene: &Scene<'_>) -> Verdict {
    let mut problems = Vec::new();
    if scene.world.version_spec().is_some_and(|spec| spec.update.dataplane == DataplaneMode::Automatic) {
        problems.push("spec.update.dataplane: Automatic is not supported yet; set it to Manual".to_owned());
    }
    if let Some(stage) = scene.world.version_annotation(annotation::TARGET_STAGE)
        && stage.parse::<StepName>().is_err()
    {
        let names: Vec<String> = MINOR_UPDATE.iter().map(|step| step.name.to_string()).collect();
        problems.push(format!(
            "annotation {}: \"{stage}\" is no step; must be one of: {}",
            annotation::TARGET_STAGE,
            names.join(", ")
        ));
    }
    match problems.as_slice() {
        [] => Verdict::yes("the update options are supported"),
        _ => Verdict::no(Severity::Warning, Reason::NotSupported, problems.join("; ")),
    }
}

fn version_ready(
    all: &[(String, Verdict)],
    scene: &Scene<'_>,
    walk: &Walk,
    children: &Children,
    deployed: &Deployed,
) -> Verdict {
    let error = all.iter().find(|(_, verdict)| verdict.severity == Severity::Error);
    if let Some((type_, verdict)) = error {
        return Verdict { message: format!("{type_}: {}", verdict.message), ..verdict.clone() };
    }
    let Some(cp) = &scene.world.control_plane else {
        let text = "there is no OpenStackControlPlane of this name in the namespace";
        return Verdict::no(Severity::Info, Reason::NotFound, text);
    };
    let name = scene.world.version.as_ref().map(|version| version.meta.name.as_str()).unwrap_or_default();
    if cp.meta.name != name {
        return Verdict::no(Severity::Error, Reason::Conflict, conflict("OpenStackControlPlane", &cp.meta.name));
    }
    if let Some(update) = walk.update.as_ref().filter(|_| !deployed.ends) {
        let frontier = update.steps.iter().zip(&walk.reasons).find(|(step, _)| !step.state.is_finished());
        let (reason, text) = frontier.map_or_else(
            || (Reason::Requested, all_done(scene)),
            |(step, reason)| (*reason, format!("step {}: {}", step.name, step.message)),
        );
        let errand = Errand::of(scene, update).text(&update.from, &update.to);
        return Verdict::no(Severity::Info, reason, format!("{errand}: {text}"));
    }
    services_ready(children).unwrap_or_else(|| match (&scene.decision.course, &deployed.version) {
        (Course::Idle, _) => going(scene.world.control_plane.as_ref().map(|cp| &cp.meta)),
        (_, Some(version)) => Verdict::yes(format!("{version} is deployed")),
        (_, None) => not_installed(children),
    })
}

/// What an installation waits for when every service that is there is ready.
fn not_installed(children: &Children) -> Verdict {
    let text = "status.deployedVersion is not set yet";
    match &children.held {
        Some(held) => Verdict::no(Severity::Info, Reason::Held, format!("{text}: {held}")),
        None => Verdict::no(Severity::Info, Reason::Requested, text),
    }
}

/// What an update still waits for when every step of it is done.
fn all_done(scene: &Scene<'_>) -> String {
    if scene.world.may_keep_custom_images() {
        return format!("every step is done; annotation {} goes", annotation::SKIP_CUSTOM_IMAGES);
    }
    "every step is done; status.deployedVersion follows".to_owned()
}

/// The first services that are not ready, if any.
fn services_ready(children: &Children) -> Option<Verdict> {
    let failing: Vec<&ServiceStatus> = children.lines.iter().filter(|line| !healthy(line)).collect();
    let first = failing.first()?;
    let blocked = failing.iter().any(|line| line.state == ServiceState::Blocked);
    let (severity, reason) =
        if blocked { (Severity::Warning, Reason::Error) } else { (Severity::Info, Reason::Requested) };
    let names: Vec<&str> = failing.iter().map(|line| line.name.as_str()).collect();
    let text = format!("not ready: {}; {}", names.join(", "), first.message);
    Some(Verdict::no(severity, reason, text))
}

fn healthy(line: &ServiceStatus) -> bool {
    matches!(line.state, ServiceState::Ready | ServiceState::Disabled | ServiceState::Pending)
}

fn conflict(kind: &str, name: &str) -> String {
    format!("metadata.name: must be that of {kind}/{name} in the same namespace; delete one of the two")
}

/// The conditions of the control plane.
pub(super) fn of_control_plane(
    scene: &Scene<'_>,
    cp: &Root<OpenStackControlPlaneSpec, OpenStackControlPlaneStatus>,
    children: &Children,
    deployed: &Deployed,
) -> Verdicts {
    let mut all: Verdicts = Vec::new();
    let version = match (&scene.world.version, &cp.spec) {
        (_, Err(problem)) => {
            let text = format!("the spec of the OpenStackControlPlane does not parse: {problem}; correct the field");
            Verdict::no(Severity::Error, Reason::InvalidSpec, text)
        }
        (Some(version), _) if version.meta.name != cp.meta.name => {
            Verdict::no(Severity::Error, Reason::Conflict, conflict("OpenStackVersion", &version.meta.name))
        }
        _ if cp.meta.deleting => going(Some(&cp.meta)),
        (Some(version), _) if version.meta.deleting && !version.meta.finalizers.is_empty() => {
            let text = waits_for_finalizers("OpenStackVersion", &version.meta, &stays(scene, &version.meta));
            Verdict::no(Severity::Warning, Reason::Waiting, text)
        }
        (Some(_), _) if scene.decision.course != Course::Idle => Verdict::yes("the OpenStackVersion is initialized"),
        _ => {
            let text = format!("OpenStackVersion/{}: no version is in force yet", cp.meta.name);
            Verdict::no(Severity::Info, Reason::Requested, text)
        }
    };
    let initialized = version.status == Status::True;
    let installing = || deployed.version.is_none().then(|| not_installed(children));
    let summary = if initialized { services_ready(children).or_else(installing) } else { Some(version.clone()) };
    all.push((READY.to_owned(), summary.unwrap_or_else(|| Verdict::yes("every enabled service is ready"))));
    all.push(("OpenStackControlPlaneOpenStackVersionInitializationReadyCondition".to_owned(), version));
    if let Ok(spec) = &cp.spec {
        let ignored = ignored_fields(&spec.fields);
        all.push(("SpecFullyManaged".to_owned(), managed(&ignored)));
        all.extend(service_conditions(scene, children));
    }
    all
}

/// What a control plane that is being deleted waits for. Its finalizers are not ours to remove: the operator may not write
/// to it.
fn going(control_plane: Option<&Meta>) -> Verdict {
    match control_plane.filter(|meta| !meta.finalizers.iter().all(|finalizer| is_of_kubernetes(finalizer))) {
        Some(meta) => {
            let text = waits_for_finalizers("OpenStackControlPlane", meta, "");
            Verdict::no(Severity::Warning, Reason::Waiting, text)
        }
        None => Verdict::no(Severity::Info, Reason::Requested, "OpenStackControlPlane is being deleted"),
    }
}

/// Whether the garbage collector removes it by itself.
fn is_of_kubernetes(finalizer: &str) -> bool {
    ["foregroundDeletion", "orphan"].contains(&finalizer)
}

/// Why the finalizer that the operator removes is still there.
fn stays(scene: &Scene<'_>, version: &Meta) -> String {
    let ours = version.finalizers.iter().any(|finalizer| finalizer == api::UPSTREAM_FINALIZER);
    let failure = scene.world.failures.get(&format!("OpenStackVersion/{}", version.name)).filter(|_| ours);
    failure.map(|error| format!("; {} stays: {error}", api::UPSTREAM_FINALIZER)).unwrap_or_default()
}

/// What an object that is being deleted waits for.
fn waits_for_finalizers(kind: &str, meta: &Meta, more: &str) -> String {
    format!(
        "{kind}/{} is being deleted and waits for its finalizers {}{more}; nothing is written until it is gone: if what set \
         them is not there any more, remove them from metadata.finalizers",
        meta.name,
        meta.finalizers.join(", "),
    )
}

fn managed(ignored: &[String]) -> Verdict {
    if ignored.is_empty() {
        return Verdict::yes("every field is acted on");
    }
    let text = format!("accepted and not acted on: {}; configure these with their own tools", ignored.join(", "));
    Verdict::no(Severity::Info, Reason::NotSupported, text)
}

/// One condition for the rows that share its name; none when no row is asked for.
fn service_conditions(scene: &Scene<'_>, children: &Children) -> Verdicts {
    let mut by_type: BTreeMap<&str, Vec<&ServiceStatus>> = BTreeMap::new();
    for (wanted, line) in scene.wanted.iter().zip(&children.lines) {
        if line.state != ServiceState::Disabled {
            by_type.entry(wanted.service.condition).or_default().push(line);
        }
    }
    let verdict = |lines: &[&ServiceStatus]| {
        let Some(line) = lines.iter().find(|line| !healthy(line)) else { return Verdict::yes("ready") };
        let (severity, reason) = match line.state {
            ServiceState::Blocked => (Severity::Warning, Reason::Error),
            _ => (Severity::Info, Reason::Requested),
        };
        Verdict::no(severity, reason, line.message.clone())
    };
    by_type.into_iter().map(|(type_, lines)| (type_.to_owned(), verdict(&lines))).collect()
}

/// The one condition of a root object that should not be there.
pub(super) fn surplus(scene: &Scene<'_>, root: &Surplus) -> Verdict {
    let kept = match root.kind.as_str() {
        "OpenStackVersion" => scene.world.version.as_ref().map(|version| version.meta.name.as_str()),
        _ => scene.world.control_plane.as_ref().map(|cp| cp.meta.name.as_str()),
    };
    let text = format!(
        "only one {} is supported in a namespace and {} is in charge; delete {} (metadata.name)",
        root.kind,
        kept.unwrap_or_default(),
        root.meta.name
    );
    Verdict::no(Severity::Error, Reason::Conflict, text)
}
