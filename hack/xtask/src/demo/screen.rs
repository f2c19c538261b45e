//! The terminal of the demo: headings, times, and a spinner while something is waited for, around the screen of
//! `kubectl openstack`.

use std::{
    future::Future,
    time::{Duration, Instant},
};

use anyhow::Context;
use console::style;
use indicatif::{ProgressBar, ProgressStyle};
use openstack_release_operator::cli::screen;

/// Without any progress for so long the demo gives up.
pub(super) const STUCK: Duration = Duration::from_secs(300);

/// Where the story is told. Without a terminal, every line stays.
pub(super) struct Screen {
    screen: screen::Screen,
    start: Instant,
}

impl Screen {
    pub(super) fn new() -> Self {
        Self { screen: screen::Screen::default(), start: Instant::now() }
    }

    /// Whether lines can be drawn again.
    pub(super) fn is_live(&self) -> bool {
        self.screen.is_live()
    }

    /// Since the beginning.
    pub(super) fn elapsed(&self) -> Duration {
        self.start.elapsed()
    }

    /// The heading of a chapter.
    pub(super) fn heading(&mut self, text: &str) -> anyhow::Result<()> {
        self.line(&format!("\n{}", style(text).bold()))
    }

    /// A line that stays, above the board.
    pub(super) fn line(&mut self, text: &str) -> anyhow::Result<()> {
        Ok(self.screen.line(text)?)
    }

    /// A line with the time since the beginning, which stays.
    pub(super) fn stamped(&mut self, text: &str) -> anyhow::Result<()> {
        let elapsed = self.elapsed().as_secs_f64();
        self.line(&format!("{elapsed:7.1} s  {text}"))
    }

    /// Draws the board over the one before.
    pub(super) fn draw(&mut self, lines: Vec<String>) -> anyhow::Result<()> {
        Ok(self.screen.draw(lines)?)
    }

    /// Leaves the board where it is.
    pub(super) fn keep_board(&mut self) {
        self.screen.keep();
    }

    /// The lines and columns that a board may have.
    pub(super) fn size(&self) -> (usize, usize) {
        self.screen.size()
    }

    /// Does some work, with a spinner while it lasts and a line when it is done.
    pub(super) async fn during<T>(
        &mut self,
        what: &str,
        work: impl Future<Output = anyhow::Result<T>>,
    ) -> anyhow::Result<T> {
        let spinner = ProgressBar::new_spinner().with_message(what.to_owned());
        spinner.set_style(ProgressStyle::with_template("  {spinner} {msg} ({elapsed})")?);
        spinner.enable_steady_tick(Duration::from_millis(100));
        let start = Instant::now();
        let done = tokio::time::timeout(STUCK, work).await;
        spinner.finish_and_clear();
        let value = done.with_context(|| format!("stuck for {STUCK:?}: {what}"))?.with_context(|| what.to_owned())?;
        self.line(&format!("  {} {what:<64} {:5.1} s", style("✔").green(), start.elapsed().as_secs_f64()))?;
        Ok(value)
    }
}
