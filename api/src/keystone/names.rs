//! The names of what belongs to a `Keystone`: its own, with a suffix. They limit how long its own may be.
//!
//! What is not here may be far longer than any of these (Secrets), or is cut to what Kubernetes takes (Jobs).

/// What is named after a `Keystone`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Derived {
    /// The kind of object, or a label.
    pub kind: &'static str,
    /// What follows the name of the `Keystone`.
    pub suffix: &'static str,
    /// How many characters Kubernetes takes.
    pub max: usize,
}

impl Derived {
    /// The name that belongs to the `Keystone` of that name.
    pub fn of(&self, keystone: &str) -> String {
        format!("{keystone}{}", self.suffix)
    }

    /// How long the name of a `Keystone` may be for this one.
    pub fn room(&self) -> usize {
        self.max.saturating_sub(self.suffix.len())
    }
}

/// Labels, and names that are part of a host name.
const LABEL: usize = 63;
/// Names that are part of nothing else.
const SUBDOMAIN: usize = 253;
/// The `CronJob` controller adds eleven characters to the names of Jobs.
const CRON_JOB: usize = 52;

/// The label that everything of a `Keystone` carries.
pub const INSTANCE: Derived = Derived { kind: "label app.kubernetes.io/instance", suffix: "", max: LABEL };
/// Where it is reached.
pub const SERVICE: Derived = Derived { kind: "Service", suffix: "", max: LABEL };
/// The account of the pods that serve and of those of Jobs; its role is named so, too.
pub const PODS: Derived = Derived { kind: "ServiceAccount", suffix: "-pods", max: SUBDOMAIN };
/// What rotates the keys for tokens; the account that it has is named so, too.
pub const FERNET_ROTATE: Derived = Derived { kind: "CronJob", suffix: "-fernet-rotate", max: CRON_JOB };
/// What rotates the keys for credentials.
pub const CREDENTIAL_ROTATE: Derived = Derived { kind: "CronJob", suffix: "-credential-rotate", max: CRON_JOB };

/// All of them.
pub const DERIVED: [Derived; 5] = [INSTANCE, SERVICE, PODS, FERNET_ROTATE, CREDENTIAL_ROTATE];

/// The one that leaves the least room.
pub fn tightest() -> Derived {
    DERIVED.into_iter().min_by_key(Derived::room).unwrap_or(INSTANCE)
}

/// What the name itself has to be, in the name of its Service.
pub const PATTERN: &str = "^[a-z]([-a-z0-9]*[a-z0-9])?$";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_account_of_one_keystone_is_never_that_of_another() {
        let accounts = [PODS, FERNET_ROTATE, CREDENTIAL_ROTATE];
        for (at, one) in accounts.iter().enumerate() {
            let others = accounts.iter().enumerate().filter(|(other, _)| *other != at);
            assert!(others.into_iter().all(|(_, other)| !one.suffix.ends_with(other.suffix)), "{}", one.suffix);
        }
    }

    #[test]
    fn a_name_of_the_greatest_length_fits_everywhere_and_reaches_one_limit() {
        let room = tightest().room();
        let (fits, over) = ("k".repeat(room), "k".repeat(room + 1));
        assert!(DERIVED.iter().all(|derived| derived.of(&fits).len() <= derived.max), "{room}");
        assert!(DERIVED.iter().any(|derived| derived.of(&over).len() > derived.max), "{room}");
        let readme = include_str!("../../../README.md");
        assert!(readme.contains(&format!("at most {room} characters")), "the README says another number than {room}");
    }
}
