//! The columns of the service table.

use crate::step::StepName;

/// The identity of a Kubernetes kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Kind {
    /// The API group; empty for the core group.
    pub group: &'static str,
    /// The API version.
    pub version: &'static str,
    /// The kind.
    pub kind: &'static str,
    /// The plural name of the resource.
    pub plural: &'static str,
}

impl Kind {
    /// `group/version`, or the version alone for the core group.
    pub fn api_version(&self) -> String {
        if self.group.is_empty() { self.version.to_owned() } else { format!("{}/{}", self.group, self.version) }
    }

    /// The name of the kind's CRD.
    pub fn crd_name(&self) -> String {
        format!("{}.{}", self.plural, self.group)
    }

    /// Whether every cluster has the kind: the group of a CRD must have a dot, and those of Kubernetes that are written
    /// here have none, but for that of roles.
    pub fn is_builtin(&self) -> bool {
        !self.group.contains('.') || self.group == RBAC
    }
}

/// The API group of roles.
pub const RBAC: &str = "rbac.authorization.k8s.io";

/// `ConfigMap`: the one kind of the table that needs no CRD and is never waited for.
pub const CONFIG_MAP: Kind = Kind { group: "", version: "v1", kind: "ConfigMap", plural: "configmaps" };

/// When a service is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Enabled {
    /// By `spec.<section>.enabled`, with this value when the section is there and the field is not. A section that is
    /// absent is not enabled.
    BySection {
        /// The value of an absent `enabled`.
        default: bool,
    },
    /// Whenever another section is enabled.
    Follows(&'static str),
    /// Always.
    Always,
}

/// A row that is chosen among several of the same section by a field of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Variant {
    /// The field below the section.
    pub field: &'static str,
    /// Its value that chooses this row.
    pub value: &'static str,
    /// Whether this row is the choice when the field is absent.
    pub default: bool,
    /// Upstream-shaped template fields that this kind takes under another path: (template field, path in the spec).
    pub maps: &'static [(&'static str, &'static str)],
    /// The spec fields that this kind takes as they are; a template field that is neither here nor mapped blocks the
    /// service, naming the field. Empty: everything passes.
    pub accepts: &'static [&'static str],
}

/// How object names are made unique on request (upstream's `serviceName` and `uniquePodNames`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unique {
    /// The name in the row.
    No,
    /// `spec.<section>.serviceName` when set; else with the first five characters of the control plane's uid when
    /// `spec.<section>.uniquePodNames` is true.
    OnRequest,
}

/// The objects of a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Objects {
    /// One object of a fixed name.
    One {
        /// The object's name.
        name: &'static str,
        /// Whether the user can ask for another.
        unique: Unique,
        /// The template below the section; empty for an object without a template.
        template: &'static str,
        /// A field of the template without which there is no object at all.
        requires: Option<&'static str>,
    },
    /// One object for each key of a map of templates; the key is its name.
    Each {
        /// The map below the section.
        templates: &'static str,
    },
}

/// Which field of the object the template and the slots go to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Body {
    /// `spec`.
    Spec,
    /// `data` (`ConfigMap`).
    Data,
}

/// Where a value of the release goes. Paths are dotted and relative to the [`Body`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// Always; missing parents are created.
    Path(&'static str),
    /// Into each entry of a map (or list) of the template.
    EachEntry {
        /// The map.
        map: &'static str,
        /// The field in each entry.
        leaf: &'static str,
    },
    /// An annotation of the object.
    Annotation(&'static str),
}

/// Which value of the release goes there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// An image, as one string.
    Image(&'static str),
    /// An image, as an object of `repository` and `tag` or `digest`.
    ImageParts(&'static str),
    /// The image of the backend that the map entry is named after.
    Backend(&'static str),
    /// An image chosen by a field of the template; the first case when the field is absent.
    ByField {
        /// The field.
        field: &'static str,
        /// (value, image).
        cases: &'static [(&'static str, &'static str)],
    },
    /// A feature switch of the release; a value in the template wins.
    ServiceDefault {
        /// The switch.
        field: &'static str,
        /// The value for versions recorded before the switch existed.
        legacy: &'static str,
    },
    /// The OpenStack release of the version, e.g. `2025.2`.
    Release,
}

impl Source {
    /// The image fields that it may take its value from; those of a backend map are the map's.
    pub fn images(self) -> Vec<&'static str> {
        match self {
            Source::Image(name) | Source::ImageParts(name) => vec![name],
            Source::ByField { cases, .. } => cases.iter().map(|(_, name)| *name).collect(),
            Source::Backend(_) | Source::ServiceDefault { .. } | Source::Release => Vec::new(),
        }
    }

    /// The case of [`Source::ByField`] that the field's value chooses.
    pub fn case(cases: &[(&'static str, &'static str)], chosen: Option<&str>) -> Option<&'static str> {
        let case = cases.iter().find(|(value, _)| chosen == Some(value)).or_else(|| cases.first());
        case.map(|(_, name)| *name)
    }

    /// Whether the value is an image, which only `OpenStackVersion` may set.
    pub fn is_image(self) -> bool {
        !matches!(self, Source::ServiceDefault { .. } | Source::Release)
    }
}

/// A place in the object that the release fills: what moves at the service's step, and only then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slot {
    /// Where.
    pub place: Place,
    /// What.
    pub source: Source,
}

/// A top-level field of the control plane that the object takes unless its template says otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Inherit {
    /// The field of the control plane's spec.
    pub from: &'static str,
    /// The dotted path in the object's spec.
    pub to: &'static str,
}

/// A value that control planes leave out, because upstream's operators or CRDs write it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fill {
    /// The dotted path in the object's spec; missing parents are created.
    pub path: &'static str,
    /// What is there when the template has nothing.
    pub value: Filler,
}

/// What a [`Fill`] writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Filler {
    /// A text.
    Text(&'static str),
    /// An object with these texts; the CRD's own defaults do the rest.
    Object(&'static [(&'static str, &'static str)]),
}

/// What must hold for an object to count as ready; all checks of a row must.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Check {
    /// `status.observedGeneration` is `metadata.generation`: the status speaks of this spec.
    Observed,
    /// The condition of this type is True.
    Condition(&'static str),
    /// The status field is absent or empty.
    StatusEmpty(&'static str),
    /// The status field, when it is there, equals the spec field.
    StatusFollowsSpec {
        /// The status field.
        status: &'static str,
        /// The spec field.
        spec: &'static str,
    },
    /// The status field equals the image in the spec, joined from its parts.
    StatusHasImage {
        /// The status field.
        status: &'static str,
        /// The spec field with the parts of the image.
        spec: &'static str,
    },
}

/// One service: a kind, where its objects come from, where its images go, when it is done.
#[derive(Clone, Copy, Debug)]
pub struct Service {
    /// The name in `status.services`, in events and in messages.
    pub name: &'static str,
    /// The kind of its objects.
    pub kind: Kind,
    /// The section of `OpenStackControlPlane.spec`; empty for objects without one.
    pub section: &'static str,
    /// When it is wanted.
    pub enabled: Enabled,
    /// The choice between rows of the same section.
    pub variant: Option<Variant>,
    /// Its objects.
    pub objects: Objects,
    /// Which field of the object is filled.
    pub body: Body,
    /// What the release fills.
    pub slots: &'static [Slot],
    /// What it takes from the top of the control plane.
    pub inherits: &'static [Inherit],
    /// What it gets where the template has nothing.
    pub fills: &'static [Fill],
    /// Template fields that have no effect: that no version of the kind knows any more and that control planes still carry,
    /// or that are the release's. They are left out, and named in a condition. Dotted, below the template. Every other unknown field is an error that names it.
    pub drops: &'static [&'static str],
    /// When an object is ready.
    pub ready: &'static [Check],
    /// The step of the minor update that moves it.
    pub step: StepName,
    /// The condition type on the control plane (upstream's names); rows may share one.
    pub condition: &'static str,
    /// Whether it is installed in the stage `infrastructure-only`.
    pub infrastructure: bool,
    /// Status fields that the kind's CRD requires, as JSON: for the scripted services of demo and tests.
    pub required_status: &'static str,
}
