//! What a schedule means: how often keys rotate, and how many there have to be so that none goes before the last token
//! that it encrypted has expired.
//!
//! A key encrypts until the next rotation, and stays for as many rotations as there are keys beside it and the announced
//! one. So there have to be two more keys than rotations in the life of a token.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{
    ToSpan,
    civil::{Date, date},
};

use super::super::keys::Schedule;

/// How many keys are needed, and why.
pub(super) struct Needed {
    /// Keys.
    pub(super) keys: usize,
    /// Rotations in the life of a token.
    pub(super) rotations: usize,
    /// The life of a token in seconds.
    pub(super) life: u64,
}

/// Keystone's defaults, in seconds.
const EXPIRATION: u64 = 3600;
const WINDOW: u64 = 172_800;

/// What the schedule needs; nothing when there is none, or when it is none.
pub(super) fn needed(schedule: &Schedule<'_>, config: &BTreeMap<String, BTreeMap<String, String>>) -> Option<Needed> {
    if schedule.suspend {
        return None;
    }
    let option = |name: &str, otherwise: u64| {
        let value = config.get("token").and_then(|section| section.get(name));
        value.and_then(|value| value.trim().parse().ok()).unwrap_or(otherwise)
    };
    let life: u64 = option("expiration", EXPIRATION).saturating_add(option("allow_expired_window", WINDOW));
    let rotations = Cron::parse(schedule.cron)?.most_within(life.div_ceil(60));
    Some(Needed { keys: rotations.saturating_add(2), rotations, life })
}

/// The longest time between two rotations, in minutes; nothing when there are none, or hardly ever.
pub(super) fn longest_pause(schedule: &Schedule<'_>) -> Option<i64> {
    if schedule.suspend {
        return None;
    }
    i64::try_from(Cron::parse(schedule.cron)?.longest_pause()?).ok()
}

/// A cron expression: the values of each field.
struct Cron {
    minutes: BTreeSet<u16>,
    hours: BTreeSet<u16>,
    days: BTreeSet<u16>,
    months: BTreeSet<u16>,
    weekdays: BTreeSet<u16>,
    /// Whether a day has to be both: one of the two says every day.
    both: bool,
}

const SHORTHANDS: &[(&str, &str)] = &[
    ("@yearly", "0 0 1 1 *"),
    ("@annually", "0 0 1 1 *"),
    ("@monthly", "0 0 1 * *"),
    ("@weekly", "0 0 * * 0"),
    ("@daily", "0 0 * * *"),
    ("@midnight", "0 0 * * *"),
    ("@hourly", "0 * * * *"),
];
const MONTHS: &[&str] = &["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
const WEEKDAYS: &[&str] = &["sun", "mon", "tue", "wed", "thu", "fri", "sat"];

/// The days that are looked at: a leap year and its neighbours.
const FIRST: Date = date(2027, 1, 1);
const DAYS: usize = 1100;
/// How many of those on which it is due are tried as the first one: any pattern is over by then.
const TRIED: usize = 62;
/// A day in minutes.
const DAY: u64 = 1440;

impl Cron {
    fn parse(text: &str) -> Option<Self> {
        let text = text.trim().to_lowercase();
        let text = SHORTHANDS.iter().find(|(short, _)| *short == text).map_or(text.as_str(), |(_, long)| long);
        let fields: Vec<&str> = text.split_whitespace().collect();
        let [minutes, hours, days, months, weekdays] = fields.as_slice() else { return None };
        Some(Self {
            minutes: values(minutes, 0, 59, &[])?,
            hours: values(hours, 0, 23, &[])?,
            days: values(days, 1, 31, &[])?,
            months: values(months, 1, 12, MONTHS)?,
            weekdays: values(weekdays, 0, 6, WEEKDAYS)?,
            both: [days, weekdays].iter().any(|field| field.starts_with(['*', '?'])),
        })
    }

    fn is_due(&self, day: Date) -> bool {
        let has = |all: &BTreeSet<u16>, value: i8| u16::try_from(value).is_ok_and(|value| all.contains(&value));
        let of_month = has(&self.days, day.day());
        let of_week = has(&self.weekdays, day.weekday().to_sunday_zero_offset());
        has(&self.months, day.month()) && if self.both { of_month && of_week } else { of_month || of_week }
    }

    /// The minutes of a day at which it is due.
    fn times(&self) -> Vec<u64> {
        let of = |hour: &u16| {
            self.minutes.iter().map({
                let hour = u64::from(*hour);
                move |minute| hour * 60 + u64::from(*minute)
            })
        };
        self.hours.iter().flat_map(of).collect()
    }

    /// The days on which it is due.
    fn days(&self) -> Vec<u64> {
        let all = (0_u64..).zip(FIRST.series(1.day()).take(DAYS));
        all.filter_map(|(index, day)| self.is_due(day).then_some(index)).collect()
    }

    /// The longest time between two times that it is due, in minutes.
    fn longest_pause(&self) -> Option<u64> {
        let (times, days) = (self.times(), self.days());
        let pauses =
            |all: &[u64]| all.iter().zip(all.iter().skip(1)).map(|(one, next)| next.saturating_sub(*one)).max();
        let between = pauses(&days)?.saturating_mul(DAY);
        let night = between.saturating_add(*times.first()?).saturating_sub(*times.last()?);
        Some(pauses(&times).unwrap_or_default().max(night))
    }

    /// The most times that it is due in that many minutes, wherever they begin.
    fn most_within(&self, minutes: u64) -> usize {
        let (times, days) = (self.times(), self.days());
        // The most are found where one is due at the very beginning.
        let starts = days.iter().take(TRIED).enumerate();
        let counts = starts.flat_map(|(index, day)| {
            let rest = days.get(index..).unwrap_or_default();
            times.iter().map(|time| count(rest, &times, *day, *time, minutes))
        });
        counts.max().unwrap_or_default()
    }
}

/// How often it is due on these days in the minutes that begin at that time of the first one.
fn count(days: &[u64], times: &[u64], first: u64, time: u64, minutes: u64) -> usize {
    let end = time.saturating_add(minutes);
    let begins = |day: &u64| day.saturating_sub(first).saturating_mul(DAY);
    let until = |day: &u64| times.partition_point(|at| begins(day).saturating_add(*at) < end);
    let all = days.iter().take_while(|day| begins(day) < end).map(until).fold(0_usize, usize::saturating_add);
    all.saturating_sub(times.partition_point(|at| *at < time))
}

/// The values that a field stands for: lists of `*`, numbers, names and ranges, each with a step.
fn values(field: &str, least: u16, most: u16, words: &[&str]) -> Option<BTreeSet<u16>> {
    let value = |text: &str| {
        let word = words.iter().position(|word| *word == text).and_then(|at| u16::try_from(at).ok());
        let value = word.and_then(|at| at.checked_add(least)).or_else(|| text.parse().ok())?;
        (least..=most).contains(&value).then_some(value)
    };
    let mut all = BTreeSet::new();
    for item in field.split(',') {
        let (range, step) = match item.split_once('/') {
            Some((range, step)) => (range, Some(step.parse::<usize>().ok().filter(|step| *step > 0)?)),
            None => (item, None),
        };
        let (from, to) = match range.split_once('-') {
            _ if matches!(range, "*" | "?") => (least, most),
            Some((from, to)) => (value(from)?, value(to)?),
            // With a step, a number is where it begins.
            None => (value(range)?, if step.is_some() { most } else { value(range)? }),
        };
        all.extend((from..=to).step_by(step.unwrap_or(1)));
    }
    (!all.is_empty()).then_some(all)
}
