//! Shows what changes, from watches: a table that is drawn again in place on a terminal, else a line for each change.

use std::{collections::BTreeMap, io::stdout, time::Duration};

use anyhow::bail;
use futures::FutureExt as _;
use jiff::{SignedDuration, Timestamp, tz::TimeZone};
use tokio::time::{Instant, sleep, sleep_until};

use super::{
    Ended,
    access::{self, Access, Scope},
};
use crate::{
    cli::{
        board,
        output::{Output, heard, remark, unread},
        screen::Screen,
        view::View,
    },
    controllers::VERSION,
    engine::Observed,
};

/// How often times are drawn again on a terminal.
const PULSE: Duration = Duration::from_secs(1);

/// How long changes are gathered: what several objects say together is shown together. A deployment, for example, is
/// done a moment before the step that waits for it.
const SETTLED: Duration = Duration::from_millis(200);

/// What ends it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Until {
    /// Nothing but Ctrl-C.
    Interrupted,
    /// Everything that was asked for is there.
    Done,
    /// The same, or a person has to act.
    Attention,
    /// That version is deployed and everything is ready.
    Deployed(String),
}

impl Until {
    /// How it ended, if it did.
    fn met(&self, views: &BTreeMap<String, View>) -> anyhow::Result<Option<Ended>> {
        if *self == Self::Interrupted {
            return Ok(None);
        }
        if views.is_empty() {
            bail!("there is no cloud any more");
        }
        if let Self::Deployed(version) = self
            && let Some(view) = views.values().find(|view| view.target_version.as_ref() != Some(version))
        {
            let target = view.target_version.as_deref().unwrap_or("nothing");
            bail!("{}/{}: spec.targetVersion is {target} now, no longer {version}", view.namespace, view.name);
        }
        let done = views.values().all(View::is_done);
        let person = *self == Self::Attention && views.values().any(View::needs_a_person);
        Ok(done.then_some(Ended::Done).or(person.then_some(Ended::NeedsAPerson)))
    }
}

/// What was shown last.
struct Follower {
    access: Access,
    scope: Scope,
    output: Output,
    screen: Screen,
    /// As the statuses said it.
    said: BTreeMap<String, View>,
    /// As it was shown: the steps of an update stay when it is over.
    shown: BTreeMap<String, View>,
    /// Why what is shown may be out of date.
    lost: Option<String>,
    /// Whether it is known which clouds there are.
    looked: bool,
}

/// Follows the clouds.
pub(super) async fn follow(
    access: Access,
    scope: Scope,
    until: Until,
    timeout: Option<SignedDuration>,
    output: Output,
) -> anyhow::Result<Ended> {
    // What is wrong with the connection or the namespace is said at once.
    let cache = access.read(&scope).await?;
    if scope.is_some() && access::namespaces(&cache).is_empty() {
        bail!(access.no_cloud());
    }
    let mut observed = access.observe(scope.clone());
    let screen = Screen::default();
    let (said, shown) = (BTreeMap::new(), BTreeMap::new());
    let mut follower = Follower { access, scope, output, screen, said, shown, lost: None, looked: false };
    let live = follower.is_live();
    let deadline = timeout.and_then(|timeout| Duration::try_from(timeout).ok()).map(|timeout| Instant::now() + timeout);
    let over = async {
        match deadline {
            Some(deadline) => sleep_until(deadline).await,
            None => std::future::pending().await,
        }
    };
    let unread = unread(stdout());
    tokio::pin!(over, unread);
    let mut pulse = tokio::time::interval(PULSE);
    loop {
        tokio::select! {
            () = observed.changed() => {
                sleep(SETTLED).await;
                while observed.changed().now_or_never().is_some() {}
                follower.connection(&observed);
                if access::is_known(&observed.cache) {
                    follower.look(&observed)?;
                    if let Some(ended) = until.met(&follower.said)? {
                        return Ok(ended);
                    }
                }
            }
            _ = pulse.tick(), if live => follower.draw()?,
            () = &mut over => return Ok(Ended::TimedOut),
            // An end that was asked for is told by the exit code, whoever reads the lines.
            () = &mut unread, if until == Until::Interrupted => return Ok(Ended::Done),
        }
    }
}

impl Follower {
    fn is_live(&self) -> bool {
        self.output == Output::Table && self.screen.is_live()
    }

    /// Looks anew, and shows what changed.
    fn look(&mut self, observed: &Observed) -> anyhow::Result<()> {
        self.looked = true;
        let views = self.access.views(&observed.cache);
        let said: BTreeMap<String, View> = views.into_iter().map(|view| (view.namespace.clone(), view)).collect();
        if said == self.said && !self.is_live() {
            return Ok(());
        }
        let mut shown = said.clone();
        for (namespace, view) in &mut shown {
            if let Some(before) = self.shown.get(namespace) {
                view.remember(before);
            }
        }
        let (said_before, shown_before) =
            (std::mem::replace(&mut self.said, said), std::mem::replace(&mut self.shown, shown));
        match self.output {
            Output::Table if self.screen.is_live() => self.draw(),
            Output::Table => self.lines(&shown_before),
            output => {
                let mut news = self.said.iter().filter(|(namespace, view)| said_before.get(*namespace) != Some(view));
                news.try_for_each(|(_, view)| output.stream(view))
            }
        }
    }

    /// Says on the standard error when the connection is lost and when it is back.
    fn connection(&mut self, observed: &Observed) {
        let lost = observed.cache.failing(&VERSION, Duration::ZERO);
        if !self.is_live() {
            match (&self.lost, &lost) {
                (None, Some(error)) => remark(&format!("what is shown may be out of date, trying again: {error}")),
                (Some(_), None) => remark("what is shown is up to date again"),
                _ => {}
            }
        }
        self.lost = lost;
    }

    fn draw(&mut self) -> anyhow::Result<()> {
        let now = Timestamp::now();
        let (rows, columns) = self.screen.size();
        let lost = self.lost.iter().map(|error| board::plain(&format!("✖ trying again: {error}")));
        let mut lines: Vec<String> = lost.map(|line| board::cut(&line, columns)).collect();
        let rows = rows.saturating_sub(lines.len());
        match (&self.scope, self.shown.values().next()) {
            (Some(_), Some(view)) => {
                lines.extend(board::fitted(view, now, rows, columns));
            }
            (Some(_), None) if self.looked => lines.push("there is no cloud any more".to_owned()),
            (Some(_), None) => {}
            (None, _) => {
                let views: Vec<View> = self.shown.values().cloned().collect();
                lines.extend(board::fitted_summary(&views, now, rows, columns));
            }
        }
        heard(self.screen.draw(lines))
    }

    fn lines(&mut self, before: &BTreeMap<String, View>) -> anyhow::Result<()> {
        let now = Timestamp::now();
        let stamp = now.to_zoned(TimeZone::system()).strftime("%H:%M:%S").to_string();
        for (namespace, view) in &self.shown {
            let news = match before.get(namespace) {
                None => board::lines(view, now),
                Some(before) => board::changes(view, before),
            };
            let first = !before.contains_key(namespace);
            let mark = if self.scope.is_some() { stamp.clone() } else { format!("{stamp}  {namespace}") };
            for line in news {
                let line = if first { line } else { format!("{mark}  {line}") };
                heard(self.screen.line(&line))?;
            }
        }
        for namespace in before.keys().filter(|namespace| !self.shown.contains_key(*namespace)) {
            heard(self.screen.line(&format!("{stamp}  there is no cloud in {namespace} any more")))?;
        }
        Ok(())
    }
}
