//! The reference tables in `README.md`, between markers: the steps, the rights, the services, the metrics and the
//! alerts.

use anyhow::Context as _;
use api::{
    service::{Objects, SERVICES, Service, Source},
    step::{MINOR_UPDATE, Revert, Scope, Step},
};

use super::monitoring;

/// The text with its tables made anew.
pub(super) fn with_tables(readme: &str) -> anyhow::Result<String> {
    let readme = replace(readme, "steps", &steps())?;
    let readme = replace(&readme, "metrics", &monitoring::metrics_table())?;
    let readme = replace(&readme, "alerts", &monitoring::alerts_table())?;
    let readme = replace(&readme, "rights", &super::rbac::table()?)?;
    replace(&readme, "services", &services())
}

fn replace(text: &str, name: &str, table: &str) -> anyhow::Result<String> {
    let (begin, end) = (format!("<!-- begin generated: {name} -->\n"), format!("<!-- end generated: {name} -->"));
    let missing = || format!("README.md has no place for the table: {begin}");
    let (before, rest) = text.split_once(&begin).with_context(missing)?;
    let (_, after) = rest.split_once(&end).with_context(missing)?;
    Ok(format!("{before}{begin}{table}{end}{after}"))
}

fn steps() -> String {
    let mut rows =
        vec!["| step | condition | moves | moved by | can be taken back |\n|---|---|---|---|---|".to_owned()];
    for step in MINOR_UPDATE {
        let (moves, by) = scope(step);
        let revert = match step.revert {
            Revert::Always => "yes",
            Revert::SameImages => "only if its images are the same in both versions",
            Revert::WhilePhase { .. } => "before its point of no return",
        };
        rows.push(format!("| `{}` | `{}` | {moves} | {by} | {revert} |", step.name, step.condition));
    }
    rows.join("\n") + "\n"
}

fn scope(step: &Step) -> (String, String) {
    match step.scope {
        Scope::Services => {
            let rows = SERVICES.iter().filter(|row| row.step == step.name);
            let names: Vec<String> = rows.map(|row| row.name.to_owned()).collect();
            (names.join(", "), "the operator".to_owned())
        }
        Scope::NodeSetsRunning { deploy, .. } => {
            ("nodesets that run OVN".to_owned(), format!("you: a deployment with `servicesOverride: [{deploy}]`"))
        }
        Scope::NodeSets { deploy } => {
            ("every nodeset with nodes".to_owned(), format!("you: a deployment with `servicesOverride: [{deploy}]`"))
        }
    }
}

fn services() -> String {
    let mut rows = vec!["| service | kind | section | objects | image fields |\n|---|---|---|---|---|".to_owned()];
    for row in SERVICES {
        let section = if row.section.is_empty() { "-".to_owned() } else { format!("`{}`", row.section) };
        let line = [row.name.to_owned(), row.kind.kind.to_owned(), section, objects(row), images(row)].join(" | ");
        rows.push(format!("| {line} |"));
    }
    rows.join("\n") + "\n"
}

fn objects(row: &Service) -> String {
    match row.objects {
        Objects::One { name, .. } => format!("`{name}`"),
        Objects::Each { templates } => format!("each of `{templates}`"),
    }
}

fn images(row: &Service) -> String {
    let mut names: Vec<&str> = Vec::new();
    for slot in row.slots {
        let more = match slot.source {
            Source::Backend(map) => vec![map],
            source => source.images(),
        };
        names.extend(more.into_iter().filter(|name| !names.contains(name)).collect::<Vec<_>>());
    }
    names.join(", ")
}
