//! Where a `Keystone` goes: which image is wanted, and whether it may be gone to.

use api::{
    condition::Reason,
    keystone::{SchemaState, SkipLevel, UpgradeStatus},
    series::Series,
};

use super::world::{Refusal, World};

/// An image with its release.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Place {
    pub(crate) image: String,
    pub(crate) release: Series,
}

/// What happens now.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Course {
    /// Nothing can be decided: nothing is installed and nothing can be.
    Idle,
    /// The first installation.
    Install { to: Place },
    /// What is installed is wanted, or what is wanted is refused.
    Steady { at: Place },
    /// An upgrade.
    Upgrade { from: Place, to: Place },
    /// The old image comes back.
    Abort { from: Place, to: Place },
}

impl Course {
    /// Where it goes, or is.
    pub(crate) fn to(&self) -> Option<&Place> {
        match self {
            Self::Idle => None,
            Self::Steady { at: to } | Self::Install { to } | Self::Upgrade { to, .. } | Self::Abort { to, .. } => {
                Some(to)
            }
        }
    }

    /// Where it comes from, or is.
    pub(crate) fn from(&self) -> Option<&Place> {
        match self {
            Self::Idle | Self::Install { .. } => None,
            Self::Steady { at: from } | Self::Upgrade { from, .. } | Self::Abort { from, .. } => Some(from),
        }
    }
}

/// What is wanted and what is done about it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Target {
    pub(crate) course: Course,
    /// Why the wish is not followed, when it is not.
    pub(crate) refusal: Option<Refusal>,
}

/// Decides.
pub(crate) fn decide(world: &World) -> Target {
    let installed = installed(world);
    let running = world.keystone.status.upgrade.as_ref();
    match wanted(world) {
        Err(refusal) => Target { course: current(running, installed), refusal: Some(refusal) },
        Ok(wanted) => match running.and_then(|running| Some((running, place(&running.to_image, &running.to)?))) {
            Some((running, to)) => during(running, to, installed, wanted),
            None => at_rest(world, installed, wanted),
        },
    }
}

/// What goes on when the wish cannot be followed.
fn current(running: Option<&UpgradeStatus>, installed: Option<Place>) -> Course {
    let to = running.and_then(|running| place(&running.to_image, &running.to));
    match (to, installed) {
        (Some(to), Some(from)) if running.is_some_and(|running| running.aborting) => Course::Abort { from, to },
        (Some(to), Some(from)) => Course::Upgrade { from, to },
        (Some(to), None) => Course::Install { to },
        (None, Some(at)) => Course::Steady { at },
        (None, None) => Course::Idle,
    }
}

fn place(image: &str, release: &str) -> Option<Place> {
    Some(Place { image: image.to_owned(), release: release.parse().ok()? })
}

fn installed(world: &World) -> Option<Place> {
    let status = &world.keystone.status;
    place(status.installed_image.as_deref()?, status.installed_release.as_deref()?)
}

/// What the spec asks for.
fn wanted(world: &World) -> Result<Place, Refusal> {
    let refuse = |reason, message: String| Err(Refusal { reason, message });
    let spec = match &world.keystone.spec {
        Ok(spec) => spec,
        Err(problem) => {
            let text = format!("the spec of Keystone/{} does not parse: {problem}; correct the field", world.name());
            return refuse(Reason::InvalidSpec, text);
        }
    };
    let image = &spec.image;
    if image.repository.is_empty() || image.tag.is_some() == image.digest.is_some() {
        let text = "spec.image: needs repository and exactly one of tag and digest".to_owned();
        return refuse(Reason::InvalidSpec, text);
    }
    let said = spec.release.as_deref().filter(|release| !release.is_empty());
    let of_tag = image.tag.as_deref().and_then(Series::of_tag);
    let release = match (said.map(str::parse::<Series>), of_tag) {
        (Some(Err(problem)), _) => return refuse(Reason::VersionParseError, format!("spec.release: {problem}")),
        (Some(Ok(said)), Some(tag)) if said != tag => {
            let text = format!("spec.release is {said} and spec.image.tag names {tag}; make them agree");
            return refuse(Reason::VersionParseError, text);
        }
        (Some(Ok(said)), _) => said,
        (None, Some(tag)) => tag,
        (None, None) => {
            let text = format!("spec.image {} does not name an OpenStack release; set spec.release", image.reference());
            return refuse(Reason::VersionParseError, text);
        }
    };
    Ok(Place { image: image.reference(), release })
}

/// No upgrade runs.
fn at_rest(world: &World, installed: Option<Place>, wanted: Place) -> Target {
    let go = |course| Target { course, refusal: None };
    let Some(at) = installed else { return go(Course::Install { to: wanted }) };
    if at == wanted {
        return go(Course::Steady { at });
    }
    match obstacle(world, &at, &wanted) {
        Some(refusal) => Target { course: Course::Steady { at }, refusal: Some(refusal) },
        None => go(Course::Upgrade { from: at, to: wanted }),
    }
}

/// Why the path is not legal, if it is not.
fn obstacle(world: &World, at: &Place, to: &Place) -> Option<Refusal> {
    let upgrade = world.keystone.spec.as_ref().ok().map(|spec| &spec.upgrade);
    let (from, to) = (at.release, to.release);
    if to < from {
        let restored = upgrade.and_then(|upgrade| upgrade.restored_release.as_deref());
        if restored == Some(to.to_string().as_str()) {
            return None;
        }
        let message = format!(
            "spec.image is {to} and status.installedRelease is {from}: the schema cannot go back; restore the database \
             and the keys of {to} from a backup and set spec.upgrade.restoredRelease to {to}, or set the image back"
        );
        return Some(Refusal { reason: Reason::DowngradeNotSupported, message });
    }
    let slurp = upgrade.is_some_and(|upgrade| upgrade.skip_level == SkipLevel::Slurp);
    let allowed = |to: Series| to == from || to == from.next() || (slurp && Some(to) == from.next_slurp());
    if allowed(to) {
        return None;
    }
    let skip = match from.next_slurp() {
        Some(next) if !slurp => format!(", or {next} with spec.upgrade.skipLevel SLURP"),
        Some(next) => format!(" or {next}"),
        None => String::new(),
    };
    let message =
        format!("spec.image is {to} and status.installedRelease is {from}: go to {}{skip} first", from.next());
    Some(Refusal { reason: Reason::UpgradePathInvalid, message })
}

/// An upgrade or an installation runs.
fn during(running: &UpgradeStatus, to: Place, installed: Option<Place>, wanted: Place) -> Target {
    let go = |course| Target { course, refusal: None };
    let Some(from) = installed else {
        // Nothing serves yet: the first installation starts over with whatever is wanted now.
        return go(Course::Install { to: wanted });
    };
    let changed = |course, message: String| Target {
        course,
        refusal: Some(Refusal { reason: Reason::UpgradeTargetChanged, message }),
    };
    if wanted == from {
        return match no_way_back(running, &from, &to) {
            Some(message) => changed(Course::Upgrade { from, to }, message),
            None => go(Course::Abort { from, to }),
        };
    }
    if running.aborting {
        let message =
            format!("the return to {} is not complete; spec.image {} is gone to afterwards", from.image, wanted.image);
        return changed(Course::Abort { from, to }, message);
    }
    if wanted.release == to.release {
        // Another build of the same release: it takes the place of the one on the way.
        return go(Course::Upgrade { from, to: wanted });
    }
    let message = format!(
        "the upgrade to {} is under way; spec.image {} ({}) is looked at when it is complete",
        to.image, wanted.image, wanted.release
    );
    changed(Course::Upgrade { from, to }, message)
}

/// Why the image that is installed cannot simply come back, if it cannot.
fn no_way_back(running: &UpgradeStatus, from: &Place, to: &Place) -> Option<String> {
    if running.contracted {
        return Some(format!(
            "spec.image is {} again, and Contracting to {} has begun: the old release may not find its columns any more; \
             set spec.image to {}, or restore a backup once the upgrade is complete",
            from.image, to.release, to.image
        ));
    }
    (to.release < from.release && running.schema == SchemaState::Current).then(|| {
        format!(
            "spec.image is {} again, and the schema was found to be that of {}: set spec.image to {}, and upgrade once the \
             return is complete",
            from.image, to.release, to.image
        )
    })
}
