//! The wall clock: everything that plans compare with it, or put on record, comes from here.

use std::{path::PathBuf, sync::OnceLock};

use jiff::{SignedDuration, Timestamp};

/// Where the tests write how many seconds this process is ahead of the real time.
static OFFSET: OnceLock<PathBuf> = OnceLock::new();

/// Makes the clock of this process follow the number of seconds in a file. For tests: clocks jump.
pub fn follow(offset: PathBuf) {
    let _ = OFFSET.set(offset);
}

/// The present.
pub fn now() -> Timestamp {
    let now = Timestamp::now();
    let Some(file) = OFFSET.get() else { return now };
    let ahead = std::fs::read_to_string(file).ok().and_then(|text| text.trim().parse().ok()).unwrap_or_default();
    now.checked_add(SignedDuration::from_secs(ahead)).unwrap_or(now)
}
