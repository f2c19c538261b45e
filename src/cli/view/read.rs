//! An `OpenStackVersion` as it is: nothing in it has to be known.

use api::{
    DynamicObject,
    condition::{READY, Reason, Severity, Status},
    version::StepState,
};
use plan::json;
use serde::de::{DeserializeOwned, value::StrDeserializer};
use serde_json::Value;

use super::{Problem, Service, State, Step, Update, items, text, texts, time};

/// A condition.
pub(super) struct Condition<'a> {
    pub(super) type_: &'a str,
    pub(super) status: Option<Status>,
    pub(super) severity: Option<Severity>,
    pub(super) reason: Option<Reason>,
    said: &'a Value,
}

/// The conditions of an object.
pub(super) fn conditions(data: &Value) -> Vec<Condition<'_>> {
    items(data, "status.conditions").map(Condition::of).collect()
}

/// A word of a closed set, if this program knows it.
pub(super) fn word<T: DeserializeOwned>(word: &str) -> Option<T> {
    T::deserialize(StrDeserializer::<serde::de::value::Error>::new(word)).ok()
}

impl<'a> Condition<'a> {
    fn of(said: &'a Value) -> Self {
        Self {
            type_: json::text(said, "type").unwrap_or_default(),
            status: json::text(said, "status").and_then(word),
            severity: json::text(said, "severity").and_then(word),
            reason: json::text(said, "reason").and_then(word),
            said,
        }
    }

    pub(super) fn message(&self) -> String {
        text(self.said, "message")
    }

    pub(super) fn problem(&self, object: &str) -> Problem {
        Problem {
            object: object.to_owned(),
            condition: self.type_.to_owned(),
            reason: text(self.said, "reason"),
            message: self.message(),
        }
    }

    pub(super) fn is_error(&self) -> bool {
        self.status == Some(Status::False) && self.severity == Some(Severity::Error)
    }

    pub(super) fn is_severe(&self) -> bool {
        let severe = matches!(self.severity, Some(Severity::Warning | Severity::Error));
        self.status == Some(Status::False) && severe
    }

    /// The steps speak for themselves.
    pub(super) fn is_trouble(&self) -> bool {
        self.is_severe() && !self.is_step()
    }

    /// Whether it says no more than another one: `Ready` ends with the words of what it sums up.
    pub(super) fn repeats(&self, other: &Condition<'_>) -> bool {
        let said = other.message();
        !said.is_empty() && self.message().ends_with(&said)
    }

    fn is_step(&self) -> bool {
        api::step::MINOR_UPDATE.iter().any(|step| step.condition == self.type_)
    }

    /// `Degraded` is the one that is bad when it is True.
    pub(super) fn is_trouble_of_keystone(&self) -> bool {
        match self.type_ {
            "Degraded" => self.status == Some(Status::True),
            _ => self.is_trouble(),
        }
    }
}

/// Whether the status of an object speaks of its spec as it is now.
pub(super) fn is_observed(object: &DynamicObject) -> bool {
    let observed = json::get(&object.data, "status.observedGeneration").and_then(Value::as_i64);
    observed.is_some() && observed >= object.metadata.generation
}

/// An `OpenStackVersion`, or that there is none.
pub(super) struct Version<'a> {
    object: Option<&'a DynamicObject>,
    data: &'a Value,
}

impl<'a> Version<'a> {
    pub(super) fn of(object: Option<&'a DynamicObject>) -> Self {
        Self { object, data: object.map_or(&Value::Null, |object| &object.data) }
    }

    pub(super) fn conditions(&self) -> Vec<Condition<'a>> {
        conditions(self.data)
    }

    pub(super) fn spec(&self, path: &str) -> Option<&'a Value> {
        self.data.get("spec").and_then(|spec| json::get(spec, path))
    }

    pub(super) fn status_text(&self, path: &str) -> Option<String> {
        self.data.get("status").and_then(|status| json::text(status, path)).map(str::to_owned)
    }

    /// An empty target is set once, at creation; later it stays what was accepted before.
    pub(super) fn target(&self) -> Option<String> {
        let wished = self.spec("targetVersion").and_then(Value::as_str).filter(|target| !target.is_empty());
        wished
            .map(str::to_owned)
            .or_else(|| self.status_text("update.to"))
            .or_else(|| self.status_text("deployedVersion"))
    }

    /// Whether the status speaks of the spec as it is now.
    pub(super) fn observed(&self) -> bool {
        self.object.is_some_and(is_observed)
    }

    pub(super) fn paused(&self) -> bool {
        self.spec("update.paused").and_then(Value::as_bool).unwrap_or_default()
    }

    pub(super) fn update(&self) -> Option<Update> {
        let update = json::get(self.data, "status.update").filter(|update| update.is_object())?;
        Some(Update {
            from: text(update, "from"),
            to: text(update, "to"),
            started_at: time(update, "startedAt"),
            step: json::text(update, "step").map(str::to_owned),
            revertible: json::get(update, "revertible").and_then(Value::as_bool).unwrap_or_default(),
            not_revertible_reason: json::text(update, "notRevertibleReason").map(str::to_owned),
            steps: items(update, "steps").map(step).collect(),
        })
    }

    pub(super) fn services(&self) -> Vec<Service> {
        let service = |line: &Value| Service {
            name: text(line, "name"),
            kind: text(line, "kind"),
            version: json::text(line, "version").map(str::to_owned),
            state: text(line, "state"),
            message: text(line, "message"),
        };
        items(self.data, "status.services").map(service).collect()
    }

    pub(super) fn state(&self) -> State {
        let conditions = self.conditions();
        let ready = conditions.iter().find(|condition| condition.type_ == READY);
        let Some(ready) = ready else { return State::Unreported };
        if let Some(update) = self.update() {
            return match update.frontier().and_then(Step::known) {
                Some(StepState::Held) if self.paused() => State::Paused,
                Some(StepState::Held) => State::Held,
                Some(StepState::Waiting) => State::Waiting,
                Some(StepState::Stalled) => State::Stalled,
                _ => State::Updating,
            };
        }
        let deployed = self.status_text("deployedVersion");
        match () {
            () if !self.observed() => State::Unreported,
            () if conditions.iter().any(Condition::is_error) => State::Blocked,
            () if ready.reason == Some(Reason::NotFound) => State::Empty,
            () if deployed.is_none() => State::Installing,
            () if ready.status == Some(Status::True) && deployed == self.target() => State::Ready,
            () => State::NotReady,
        }
    }
}

fn step(step: &Value) -> Step {
    Step {
        name: text(step, "name"),
        state: text(step, "state"),
        started_at: time(step, "startedAt"),
        finished_at: time(step, "finishedAt"),
        message: text(step, "message"),
        node_sets: texts(step, "nodeSets"),
    }
}
