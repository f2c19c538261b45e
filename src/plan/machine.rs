//! The phase machine: a table of steps, and the place in it.
//!
//! A step is entered in one pass and worked on in the next ones, when the status that says so has been read back: the
//! place is on record before anything is done for it, and a crash between the two repeats the reading, not the work. A
//! machine knows neither what a step does nor how it is judged: the rows do.

/// One row: a step of a machine over worlds `W`, which writes actions `A`.
pub struct Row<S, W, A> {
    /// The step.
    pub step: S,
    /// Whether the step has anything to do in that world; one that has not is passed over.
    pub needed: fn(&W) -> bool,
    /// How far the step is.
    pub judge: fn(&W) -> Progress,
    /// What to write while the step is under way; quiet once it is written.
    pub act: fn(&W) -> Vec<A>,
}

/// How far a step is.
#[derive(Clone, Debug, PartialEq)]
pub enum Progress {
    /// Everything it is for has happened.
    Done,
    /// It goes on by itself; what it waits for.
    Running(String),
    /// It stopped, and stays so until a person acts.
    Failed(Failure),
}

/// Why a step stopped.
#[derive(Clone, Debug, PartialEq)]
pub struct Failure {
    /// The kind of failure.
    pub reason: api::condition::Reason,
    /// What happened, and what to do.
    pub message: String,
}

/// Where the machine goes.
#[derive(Clone, Debug, PartialEq)]
pub enum Advance<S> {
    /// It stays where it is.
    Stay(Progress),
    /// The step is done; this one is next.
    Next(S),
    /// The last step is done.
    Finished,
}

/// The first step that is needed; `None` when nothing is.
pub fn first<S: Copy, W, A>(table: &[Row<S, W, A>], world: &W) -> Option<S> {
    table.iter().find(|row| (row.needed)(world)).map(|row| row.step)
}

/// Judges the step where the machine is. A step that is not in the table (a newer operator wrote it, or the table of
/// another strategy) starts the table again: every step can be repeated.
pub fn advance<S: Copy + PartialEq, W, A>(table: &[Row<S, W, A>], at: S, world: &W) -> Advance<S> {
    let Some(position) = table.iter().position(|row| row.step == at) else {
        return first(table, world).map_or(Advance::Finished, Advance::Next);
    };
    let mut rest = table.iter().skip(position);
    let progress = rest.next().map_or(Progress::Done, |row| (row.judge)(world));
    match progress {
        Progress::Done => rest.find(|row| (row.needed)(world)).map_or(Advance::Finished, |row| Advance::Next(row.step)),
        other => Advance::Stay(other),
    }
}

/// What the step writes.
pub fn act<S: Copy + PartialEq, W, A>(table: &[Row<S, W, A>], at: S, world: &W) -> Vec<A> {
    table.iter().find(|row| row.step == at).map(|row| (row.act)(world)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use api::condition::Reason;
    use rstest::rstest;

    use super::*;

    /// How many steps are done.
    struct World {
        done: u8,
        broken: bool,
        skips: u8,
    }

    fn row(step: u8, needed: fn(&World) -> bool, judge: fn(&World) -> Progress) -> Row<u8, World, u8> {
        Row { step, needed, judge, act: |world| vec![world.done] }
    }

    fn running() -> Progress {
        Progress::Running("a Job".to_owned())
    }

    fn table() -> Vec<Row<u8, World, u8>> {
        vec![
            row(1, |_| true, |world| if world.done >= 1 { Progress::Done } else { running() }),
            row(2, |world| world.skips != 2, |world| if world.done >= 2 { Progress::Done } else { running() }),
            row(
                3,
                |_| true,
                |world| {
                    if world.broken {
                        return Progress::Failed(Failure { reason: Reason::JobFailed, message: "broken".to_owned() });
                    }
                    if world.done >= 3 { Progress::Done } else { running() }
                },
            ),
        ]
    }

    #[rstest]
    #[case::waits(World { done: 0, broken: false, skips: 0 }, 1, Advance::Stay(running()))]
    #[case::goes_on(World { done: 1, broken: false, skips: 0 }, 1, Advance::Next(2))]
    #[case::passes_over(World { done: 1, broken: false, skips: 2 }, 1, Advance::Next(3))]
    #[case::ends(World { done: 3, broken: false, skips: 0 }, 3, Advance::Finished)]
    #[case::unknown_place(World { done: 0, broken: false, skips: 0 }, 9, Advance::Next(1))]
    #[case::one_step_at_a_time(World { done: 3, broken: false, skips: 0 }, 1, Advance::Next(2))]
    fn a_machine_goes_where_its_table_says(#[case] world: World, #[case] at: u8, #[case] expected: Advance<u8>) {
        assert_eq!(advance(&table(), at, &world), expected);
    }

    #[test]
    fn a_failure_stays_where_it_is() {
        let world = World { done: 3, broken: true, skips: 0 };
        assert!(matches!(advance(&table(), 3, &world), Advance::Stay(Progress::Failed(_))));
        assert_eq!(act(&table(), 3, &world), vec![3]);
    }
}
