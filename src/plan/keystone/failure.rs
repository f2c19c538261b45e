//! What a failed Job means: a table from what it printed to a reason and a remedy.

use api::{
    condition::Reason,
    keystone::{FailedJob, RETRY},
};

use crate::machine::Failure;

/// A text that tells what happened, what that means, and what to do.
struct Row {
    needle: &'static str,
    reason: Reason,
    remedy: &'static str,
}

const fn row(needle: &'static str, reason: Reason, remedy: &'static str) -> Row {
    Row { needle, reason, remedy }
}

const HALF: &str = "a schema change stopped half-way and cannot be repeated: undo by hand what is named (drop the index or \
                    column that is there already, make again the one that is gone; drop and create the database if it was \
                    the first installation), or restore the backup";
const NEWER: &str = "the schema is newer than the image: set spec.image to the release that the schema has, or restore the \
                     backup of the image's release";
const PASSWORD: &str = "correct the password in the Secret of spec.database.secretRef, or spec.database.user, \
                        spec.database.database and the grants of that user";
const AWAY: &str = "the database cannot be reached: look at it, and at spec.database.host and spec.database.port";
const LOCKED: &str = "a transaction holds a table that has to change: end it (SHOW PROCESSLIST)";
const ORDER: &str = "the schema is not where this phase begins: it was changed by hand, or by another release; restore the \
                     backup, or expand by hand";
const MISSING: &str = "create the schema that spec.database.database names, or correct the field";
const KEYS: &str = "the keys cannot be read: look at the Secrets of the keys";
const RIGHTS: &str = "grant the user of spec.database.user all privileges on its schema";
const ROOM: &str = "the database's disk is full: make room";

/// Whether it goes on by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Then {
    /// The Job tries again.
    Again,
    /// A person has to ask for another Job.
    Asked,
    /// A person has to rotate again.
    Rotated,
    /// Another Job follows by itself, within that many minutes.
    Within(i64),
}

impl std::fmt::Display for Then {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            // The pauses in between grow.
            Self::Again => write!(f, "it is tried again, and at once when the annotation {RETRY} gets a new value"),
            Self::Asked => write!(f, "then set the annotation {RETRY} to a new value"),
            Self::Rotated => write!(f, "then rotate again"),
            Self::Within(minutes) => write!(f, "another one follows within {minutes} minutes"),
        }
    }
}

/// The first row whose needle is in the text holds: what is certain comes before what is vague.
const TABLE: &[Row] = &[
    row("(1060,", Reason::PartiallyApplied, HALF),
    row("(1061,", Reason::PartiallyApplied, HALF),
    row("(1050,", Reason::PartiallyApplied, HALF),
    row("(1091,", Reason::PartiallyApplied, HALF),
    row("Can't locate revision", Reason::SchemaAhead, NEWER),
    row("contract ahead of expand", Reason::PartiallyApplied, ORDER),
    row("(1045,", Reason::DatabaseAccessDenied, PASSWORD),
    row("(1044,", Reason::DatabaseAccessDenied, PASSWORD),
    row("(1142,", Reason::DatabaseAccessDenied, RIGHTS),
    row("(1049,", Reason::DatabaseUnreachable, MISSING),
    row("(1205,", Reason::JobFailed, LOCKED),
    row("(1021,", Reason::JobFailed, ROOM),
    row("(1114,", Reason::JobFailed, ROOM),
    row("(2003,", Reason::DatabaseUnreachable, AWAY),
    row("(2006,", Reason::DatabaseUnreachable, AWAY),
    row("(2013,", Reason::DatabaseUnreachable, AWAY),
    row("(1040,", Reason::DatabaseUnreachable, AWAY),
    row("ERROR 2002", Reason::DatabaseUnreachable, AWAY),
    row("error: 2002", Reason::DatabaseUnreachable, AWAY),
    row("error: 2005", Reason::DatabaseUnreachable, AWAY),
    row("error: 1045", Reason::DatabaseAccessDenied, PASSWORD),
    row("error: 1044", Reason::DatabaseAccessDenied, PASSWORD),
    row("Unknown host", Reason::DatabaseUnreachable, AWAY),
    row("Name or service not known", Reason::DatabaseUnreachable, AWAY),
    row("DBConnectionError", Reason::DatabaseUnreachable, AWAY),
    row("KeysNotFound", Reason::SecretMissing, KEYS),
    row("/etc/keystone/fernet-keys", Reason::SecretMissing, KEYS),
];

/// What a text of that object is known to mean.
pub(super) fn known(object: &str, text: &str) -> Option<Failure> {
    let row = TABLE.iter().find(|row| text.contains(row.needle))?;
    Some(told(object, &essence(text, Some(row.needle)), (row.reason, row.remedy)))
}

fn told(object: &str, said: &str, (reason, remedy): (Reason, &str)) -> Failure {
    let said = if said.is_empty() { String::new() } else { format!("{said}: ") };
    Failure { reason, message: format!("{object}: {said}{remedy}") }
}

/// What the text of a Job means. `object` is the Job; `otherwise` holds when the text says nothing that is known.
pub(super) fn explain(object: &str, text: &str, otherwise: (Reason, &str), then: Then) -> Failure {
    let Failure { reason, message } =
        known(object, text).unwrap_or_else(|| told(object, &essence(text, None), otherwise));
    Failure { reason, message: format!("{message}; {then}") }
}

/// A failure that was noted while the Job still tried, now that it does not any more.
pub(super) fn for_good(noted: &FailedJob) -> Failure {
    let again = format!("; {}", Then::Again);
    let message = match noted.message.strip_suffix(&again) {
        Some(head) => format!("{head}; {}", Then::Asked),
        None => noted.message.clone(),
    };
    Failure { reason: noted.reason, message }
}

/// The line that matters: a condition is no place for a stack trace.
fn essence(text: &str, needle: Option<&str>) -> String {
    let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    let line = match needle {
        Some(needle) => lines.find(|line| line.contains(needle)),
        None => lines
            .clone()
            .rfind(|line| line.contains("Error") || line.contains("error") || line.contains("Exception"))
            .or_else(|| lines.next_back()),
    };
    line.unwrap_or_default().chars().take(400).collect()
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::index(
        "Traceback\nsqlalchemy.exc.OperationalError: (pymysql.err.OperationalError) (1061, \"Duplicate key name \
         'ix_revocation_event_project_id_user_id'\")\n[SQL: CREATE INDEX ix]",
        Reason::PartiallyApplied,
        "ix_revocation_event_project_id_user_id"
    )]
    #[case::table(
        "(pymysql.err.OperationalError) (1050, \"Table 'access_rule' already exists\")",
        Reason::PartiallyApplied,
        "access_rule"
    )]
    #[case::column(
        "(pymysql.err.OperationalError) (1060, \"Duplicate column name 'schema_version'\")",
        Reason::PartiallyApplied,
        "schema_version"
    )]
    #[case::drop("(1091, \"Can't DROP INDEX `ixu_x`; check that it exists\")", Reason::PartiallyApplied, "ixu_x")]
    #[case::newer(
        "alembic.util.exc.CommandError: Can't locate revision identified by '742c857f1dfb'",
        Reason::SchemaAhead,
        "742c857f1dfb"
    )]
    #[case::order(
        "keystone.exception.DBMigrationError: You are attempting to upgrade contract ahead of expand.",
        Reason::PartiallyApplied,
        "ahead of expand"
    )]
    #[case::password(
        "(1045, \"Access denied for user 'keystone'@'10.0.0.1' (using password: YES)\")",
        Reason::DatabaseAccessDenied,
        "secretRef"
    )]
    #[case::grants(
        "(1044, \"Access denied for user 'keystone'@'%' to database 'keystone'\")",
        Reason::DatabaseAccessDenied,
        "grants"
    )]
    #[case::down(
        "(2003, \"Can't connect to MySQL server on 'db' ([Errno 111] Connection refused)\")",
        Reason::DatabaseUnreachable,
        "spec.database.host"
    )]
    #[case::lost(
        "(2013, 'Lost connection to MySQL server during query')",
        Reason::DatabaseUnreachable,
        "Lost connection"
    )]
    #[case::locked(
        "(1205, 'Lock wait timeout exceeded; try restarting transaction')",
        Reason::JobFailed,
        "PROCESSLIST"
    )]
    #[case::dump(
        "mariadb-dump: Got error: 2002: \"Can't connect\" when trying to connect",
        Reason::DatabaseUnreachable,
        "mariadb-dump"
    )]
    #[case::unknown("Traceback\nValueError: what\n", Reason::BackupFailed, "ValueError: what: look")]
    #[case::silent("", Reason::BackupFailed, "Job/x: look")]
    fn a_text_has_a_meaning(#[case] text: &str, #[case] reason: Reason, #[case] named: &str) {
        let failure = explain("Job/x", text, (Reason::BackupFailed, "look"), Then::Asked);
        assert_eq!(failure.reason, reason);
        assert!(failure.message.starts_with("Job/x: "), "{}", failure.message);
        assert!(failure.message.contains(named), "{}", failure.message);
        assert!(failure.message.ends_with("; then set the annotation keystone.openstack.org/retry to a new value"));
        let failure = explain("Job/x", text, (Reason::BackupFailed, "look"), Then::Again);
        assert!(failure.message.contains("; it is tried again, and at once when"), "{}", failure.message);
    }
}
