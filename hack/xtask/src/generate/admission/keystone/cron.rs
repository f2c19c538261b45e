//! Cron expressions, as far as a regular expression goes: five fields, each in its range, or a shorthand.

use super::{super::policy::Rule, cel};

/// A schedule that the API server would refuse for the `CronJob`: nobody looks there.
pub(super) fn rule(section: &'static str) -> Rule {
    let variable = match section {
        "fernet" => "variables.fernetSchedule",
        _ => "variables.credentialSchedule",
    };
    super::rule(
        format!("{variable}.matches({})", cel::text(&pattern())),
        "rotationSchedule: not a cron expression",
        format!(
            "'spec.{section}.rotationSchedule: \"' + {variable} + '\" is not a cron expression: minute, hour, day of '\n\
             + 'the month, month, day of the week (for example 0 0 * * 0), or @weekly and the like'"
        ),
    )
}

fn pattern() -> String {
    let fields = [
        "[0-5]?[0-9]",
        "([01]?[0-9]|2[0-3])",
        "(0?[1-9]|[12][0-9]|3[01])",
        "(0?[1-9]|1[0-2]|jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)",
        "([0-6]|sun|mon|tue|wed|thu|fri|sat)",
    ];
    let items = fields.map(|value| {
        let item = format!(r"(([*?]|{value}(-{value})?)(/[1-9][0-9]?)?)");
        format!("{item}(,{item})*")
    });
    // Names of months and days may be in capitals, shorthands may not.
    format!("^(@(yearly|annually|monthly|weekly|daily|midnight|hourly)|(?i:{}))$", items.join(" +"))
}
