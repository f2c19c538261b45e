//! How far the schedules are, and what came of them.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

use super::schedule::{GROUPS, Schedule};

/// What came of one schedule.
pub struct Outcome {
    pub seed: u64,
    pub schedule: Schedule,
    pub took: Duration,
    pub failure: Option<String>,
}

/// Everything that is known so far.
pub struct Board {
    bar: ProgressBar,
    outcomes: Vec<Outcome>,
}

impl Board {
    /// For so many schedules.
    pub fn new(count: u64) -> Self {
        let style = ProgressStyle::with_template("  schedules {wide_bar} {pos}/{len} {elapsed_precise} {msg}").unwrap();
        let bar = ProgressBar::new(count).with_style(style);
        bar.enable_steady_tick(Duration::from_millis(250));
        Self { bar, outcomes: Vec::new() }
    }

    pub fn add(&mut self, outcome: Outcome) {
        if let Some(failure) = &outcome.failure {
            let seed = outcome.seed;
            self.bar.suspend(|| eprintln!("--- seed {seed} failed: {failure}"));
        }
        self.outcomes.push(outcome);
        self.bar.inc(1);
        self.bar.set_message(format!("{} failed", self.failed().len()));
        if self.bar.is_hidden() && self.outcomes.len().is_multiple_of(25) {
            eprintln!("  {} schedules, {} failed, {:?}", self.outcomes.len(), self.failed().len(), self.bar.elapsed());
        }
    }

    /// Prints the table.
    pub fn finish(&mut self) {
        self.bar.finish_and_clear();
        self.outcomes.sort_by_key(|outcome| outcome.seed);
        eprintln!("{:<14} {:>9} {:>7} {:>9}  seed", "schedules with", "schedules", "passed", "slowest");
        let groups = GROUPS.iter().map(|group| {
            let has = |outcome: &&Outcome| outcome.schedule.has(|what| what.group() == *group);
            (*group, self.outcomes.iter().filter(has).collect::<Vec<_>>())
        });
        let keystone = self.outcomes.iter().filter(|outcome| outcome.schedule.keystone).collect();
        let all = self.outcomes.iter().collect();
        for (name, outcomes) in groups.chain([("real Keystone", keystone), ("all", all)]) {
            let passed = outcomes.iter().filter(|outcome| outcome.failure.is_none()).count();
            let Some(slowest) = outcomes.iter().max_by_key(|outcome| outcome.took) else { continue };
            let seconds = slowest.took.as_secs_f64();
            eprintln!("{name:<14} {:>9} {passed:>7} {seconds:>7.1} s  {}", outcomes.len(), slowest.seed);
        }
    }

    /// Those that failed, by seed.
    pub fn failed(&self) -> Vec<&Outcome> {
        self.outcomes.iter().filter(|outcome| outcome.failure.is_some()).collect()
    }
}
