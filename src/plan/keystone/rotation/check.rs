//! Whether a set is what a rotation makes of the published one.
//!
//! ```text
//! published   0 = a   3 = b   4 = c          0 is announced: every pod can read what it will encrypt
//! rotated     0 = d           4 = c   5 = a  the announced key encrypts, a new one is announced, the oldest go
//! ```
//!
//! Nothing else is published: whoever may write the Secret of the new set may start a rotation, and no more.

use std::collections::BTreeSet;

use api::keystone::SetProblem;
use jiff::Timestamp;

use super::set::KeySet;

/// A new set, with what it says of itself.
#[derive(Clone, Debug)]
pub(super) struct Staged {
    pub(super) set: KeySet,
    /// When it was made.
    pub(super) at: Option<Timestamp>,
    /// The name of the set that it was made of.
    pub(super) from: String,
}

/// What is published, and what is known of it.
#[derive(Clone, Debug)]
pub(super) struct Published<'a> {
    pub(super) set: &'a KeySet,
    /// How many keys there may be.
    pub(super) most: usize,
}

/// A rule: what is wrong, if anything is.
type Rule = fn(&Published<'_>, &Staged) -> Option<(SetProblem, String)>;

/// The rules, in the order in which they are asked: what is certain before what follows from it.
const RULES: &[Rule] = &[named, formed, different, made, current, counted, continued, renewed];

/// What is wrong with the set, if anything is. The text names keys by their numbers.
pub(super) fn problem(published: &Published<'_>, staged: &Staged) -> Option<(SetProblem, String)> {
    RULES.iter().find_map(|rule| rule(published, staged))
}

fn named(_: &Published<'_>, staged: &Staged) -> Option<(SetProblem, String)> {
    let names = staged.set.others();
    let first = names.first()?;
    // It is anybody's text: no more of it than shows what is meant.
    let first: String = first.chars().take(40).collect();
    Some((SetProblem::Name, format!("{first:?} is not the number of a key")))
}

fn formed(_: &Published<'_>, staged: &Staged) -> Option<(SetProblem, String)> {
    let bad = staged.set.malformed();
    (!bad.is_empty()).then(|| (SetProblem::Format, format!("key {} is not 32 bytes in URL-safe base64", list(&bad))))
}

fn different(_: &Published<'_>, staged: &Staged) -> Option<(SetProblem, String)> {
    let (all, different) = (staged.set.count(), staged.set.different());
    (all != different).then(|| (SetProblem::Duplicate, format!("of {all} keys only {different} are different")))
}

/// Its time is for people. It is not compared with anything: clocks of two machines are hours apart when one of them jumps,
/// and of what a set was made its name says.
fn made(_: &Published<'_>, staged: &Staged) -> Option<(SetProblem, String)> {
    staged.at.is_none().then(|| (SetProblem::Time, "it does not say when it was made".to_owned()))
}

fn current(published: &Published<'_>, staged: &Staged) -> Option<(SetProblem, String)> {
    (staged.from != published.set.name()).then(|| {
        let text = "it was not made of the keys that are published now: another rotation came first, or they were \
                    changed by hand; rotate again";
        (SetProblem::Outdated, text.to_owned())
    })
}

/// The numbers that a rotation leaves: the next one, the announced one, and the highest of the others.
fn expected(published: &Published<'_>) -> Option<BTreeSet<u64>> {
    let next = published.set.primary()?.checked_add(1)?;
    let kept = published.most.checked_sub(2)?;
    let old = published.set.numbers().into_iter().rev().filter(|number| *number != 0).take(kept);
    Some(old.chain([0, next]).collect())
}

fn counted(published: &Published<'_>, staged: &Staged) -> Option<(SetProblem, String)> {
    let found = staged.set.numbers();
    let expected = expected(published).unwrap_or_default();
    (found != expected).then(|| {
        let (found, expected) = (list(found.iter()), list(expected.iter()));
        (SetProblem::Count, format!("it has the keys {found}, and {expected} would be left by a rotation"))
    })
}

fn continued(published: &Published<'_>, staged: &Staged) -> Option<(SetProblem, String)> {
    let primary = staged.set.primary().unwrap_or_default();
    if staged.set.key(primary) != published.set.key(0) {
        let text =
            format!("key {primary} would encrypt, and is not key 0 of the published set: no pod could read it yet");
        return Some((SetProblem::Continuity, text));
    }
    let stays = |number: &u64| *number != 0 && *number != primary;
    let changed = |number: &u64| staged.set.key(*number) != published.set.key(*number);
    let bad: Vec<u64> = staged.set.numbers().into_iter().filter(stays).filter(changed).collect();
    (!bad.is_empty()).then(|| {
        let text = format!("key {} would stay, and is not what it was: what it encrypted would be lost", list(&bad));
        (SetProblem::Continuity, text)
    })
}

fn renewed(published: &Published<'_>, staged: &Staged) -> Option<(SetProblem, String)> {
    let known = staged.set.key(0).is_some_and(|key| published.set.has(key));
    known.then(|| (SetProblem::Stale, "key 0 is not new: it was published before".to_owned()))
}

fn list<'a>(numbers: impl IntoIterator<Item = &'a u64>) -> String {
    // Whoever wrote it may have written many.
    let shown: Vec<String> = numbers.into_iter().take(12).map(u64::to_string).collect();
    if shown.is_empty() { "none".to_owned() } else { shown.join(", ") }
}
