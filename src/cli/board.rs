//! Views as text: tables as kubectl prints them, and the lines that changed.

mod fit;

use api::{
    service,
    version::{ServiceState, StepState},
};
use comfy_table::{Table, presets};
use console::style;
use jiff::{SignedDuration, Timestamp};

use super::view::{History, Keystone, Next, PastUpdate, Problem, Service, State, Step, View};
pub use fit::cut;
use fit::{Part, fit, total};

/// Everything about one cloud.
pub fn lines(view: &View, now: Timestamp) -> Vec<String> {
    let services: Vec<&Service> = shown(view).collect();
    let cells = |service: &&Service| {
        let version = service.version.clone().unwrap_or_else(|| "-".to_owned());
        vec![service.name.clone(), service.kind.clone(), version, marked_service(service), waits_for(service)]
    };
    let header = ["SERVICE", "KIND", "VERSION", "STATE", "MESSAGE"];
    let table = table(&header, services.iter().map(cells));
    let tail = tail(view).iter().flat_map(Part::all_lines).collect();
    paint(&[head(view, now, |_| true), section(table), tail].concat())
}

/// The same for a screen of that size. Where there is no room for all of it, the steps that are over go before what waits
/// for a person, and services stand side by side, as many as there is room for.
pub fn fitted(view: &View, now: Timestamp, rows: usize, columns: usize) -> Vec<String> {
    let (mut services, tail) = (side_by_side(view, columns), tail(view));
    let mut top = head(view, now, |_| true);
    let below = total(&tail, columns);
    if top.len() + below + usize::from(!services.is_empty()) > rows {
        top = head(view, now, |step| !is_over(step));
    }
    let room = rows.saturating_sub(top.len() + below);
    if services.len() > room {
        services.truncate(room.saturating_sub(1));
        services.extend((room > 0).then(|| "  … (make the window larger to see the rest)".to_owned()));
    }
    let parts: Vec<Part> = top.into_iter().chain(services).map(Part::Line).chain(tail).collect();
    paint(&fit(&parts, rows, columns))
}

/// The services without their messages, in as many columns as there is room for.
fn side_by_side(view: &View, columns: usize) -> Vec<String> {
    const WIDTH: usize = 58;
    let services: Vec<&Service> = shown(view).collect();
    let abreast = (columns / WIDTH).clamp(1, 3);
    if services.is_empty() {
        return Vec::new();
    }
    let height = services.len().div_ceil(abreast);
    let cells = |service: &&Service| {
        let version = service.version.clone().unwrap_or_else(|| "-".to_owned());
        vec![service.name.clone(), service.kind.clone(), version, marked_service(service)]
    };
    let columns: Vec<&[&Service]> = services.chunks(height).collect();
    let row = |index| columns.iter().filter_map(|column| column.get(index)).flat_map(cells).collect();
    let header = ["SERVICE", "KIND", "VERSION", "STATE"].repeat(abreast);
    section(table(&header, (0..height).map(row)))
}

/// What differs from the view before, for a screen on which lines cannot be drawn again. What is to be done comes with
/// its command, in lines of their own.
pub fn changes(view: &View, before: &View) -> Vec<String> {
    let old: Vec<&Step> = before.update.iter().flat_map(|update| &update.steps).collect();
    let same = |step: &&Step| {
        old.iter().any(|old| (&old.state, &old.message) == (&step.state, &step.message) && old.name == step.name)
    };
    let steps = view.update.iter().flat_map(|update| &update.steps).filter(|step| !same(step));
    let mut lines: Vec<String> = steps
        .map(|step| format!("step      {:<24} {:<11} {}", step.name, marked_step(step), plain(&step.message)))
        .collect();
    lines.extend(view.keystone.iter().filter(|keystone| !before.keystone.contains(keystone)).map(|keystone| {
        let Keystone { name, message, .. } = keystone;
        format!("keystone  {name:<24} {:<11} {} {}", place(keystone), keystone.releases(), plain(message))
    }));
    lines.extend(shown(view).filter(|service| !before.services.contains(service)).map(|service| {
        let (Service { name, kind, .. }, message) = (service, plain(&waits_for(service)));
        let version = service.version.as_deref().unwrap_or("-");
        format!("service   {name:<24} {:<11} {kind} {version} {message}", marked_service(service))
    }));
    lines.extend(view.problems.iter().filter(|problem| !before.problems.contains(problem)).map(problem_line));
    // The same command is still the same when the message counts on; without one, the message is all there is.
    let told = |next: &&Next| {
        let same = |old: &Next| old.command == next.command && (old.command.is_some() || old.message == next.message);
        before.next.iter().any(same)
    };
    let next = view.next.iter().filter(|next| !told(next));
    // The command below it can be pasted.
    lines.extend(next.map(|next| {
        let command = next.command.iter().map(|command| format!("\n{command}"));
        std::iter::once(format!("next      {}", plain(&next.message))).chain(command).collect()
    }));
    if view.state != before.state || view.deployed_version != before.deployed_version {
        lines.push(format!("cloud     {}", title(view)));
    }
    paint(&lines.iter().map(|line| line.trim_end().to_owned()).collect::<Vec<_>>())
}

/// One line for each cloud.
pub fn summary(views: &[View], now: Timestamp) -> Vec<String> {
    let text = |version: &Option<String>| version.clone().unwrap_or_else(|| "-".to_owned());
    let rows = views.iter().map(|view| {
        let frontier = view.update.as_ref().and_then(|update| update.frontier());
        vec![
            view.namespace.clone(),
            view.name.clone(),
            format!("{} {}", state_glyph(view.state), view.state),
            text(&view.deployed_version),
            text(&view.target_version),
            text(&view.available_version),
            frontier.map(|step| step.name.clone()).unwrap_or_default(),
            frontier.map(|step| step_time(step, now)).unwrap_or_default(),
            view.next.first().map(|next| next.message.clone()).unwrap_or_default(),
        ]
    });
    let header = ["NAMESPACE", "NAME", "STATE", "DEPLOYED", "TARGET", "AVAILABLE", "STEP", "TIME", "NEXT"];
    paint(&table(&header, rows))
}

/// The same for a screen of that size.
pub fn fitted_summary(views: &[View], now: Timestamp, rows: usize, columns: usize) -> Vec<String> {
    let mut lines = summary(views, now);
    let shown = rows.saturating_sub(1);
    let more = lines.len().saturating_sub(shown);
    if lines.len() > rows {
        lines.truncate(shown);
        lines.push(format!("… {more} more"));
    }
    lines.iter().map(|line| cut(line, columns)).collect()
}

/// What is over.
pub fn history(all: &[History]) -> Vec<String> {
    let update = |past: &PastUpdate| {
        let (from, time) =
            (if past.from.is_empty() { "-" } else { &past.from }, span(past.started_at, past.finished_at));
        let started = past.started_at.map(|at| at.to_string()).unwrap_or_default();
        vec![from.to_owned(), past.to.clone(), past.result.clone(), started, time]
    };
    let prefixed = |prefix: &[&str], rest: Vec<String>| -> Vec<String> {
        prefix.iter().map(|cell| (*cell).to_owned()).chain(rest).collect()
    };
    let updates = all.iter().flat_map(|history| {
        history.updates.iter().map(|past| prefixed(&[&history.namespace, &history.name], update(past)))
    });
    let mut lines = table(&["NAMESPACE", "CLOUD", "FROM", "TO", "RESULT", "STARTED", "TIME"], updates);
    let upgrades = all.iter().flat_map(|history| {
        history.keystone.iter().map(|past| {
            let mut cells = prefixed(&[&history.namespace, &past.keystone], update(&past.upgrade));
            cells.push(past.backup.clone().unwrap_or_default());
            cells
        })
    });
    let header = ["NAMESPACE", "KEYSTONE", "FROM", "TO", "RESULT", "STARTED", "TIME", "BACKUP"];
    lines.extend(section(table(&header, upgrades)));
    lines
}

/// Where a cloud is, in one line.
pub fn title(view: &View) -> String {
    let text = |version: &Option<String>| version.clone().unwrap_or_else(|| "-".to_owned());
    format!(
        "{}/{}: {} {} (deployed {}, target {}, available {})",
        view.namespace,
        view.name,
        state_glyph(view.state),
        view.state,
        text(&view.deployed_version),
        text(&view.target_version),
        text(&view.available_version)
    )
}

/// What to do, with the commands as they can be pasted.
pub fn next(view: &View) -> Vec<String> {
    to_do(view).flat_map(|part| part.all_lines()).collect()
}

fn to_do(view: &View) -> impl Iterator<Item = Part> {
    view.next.iter().flat_map(|next| {
        let message = Part::Line(format!("  # {}", plain(&next.message)));
        std::iter::once(message).chain(next.command.clone().map(Part::Command))
    })
}

/// A table without borders, as kubectl prints it; nothing when it has no rows.
pub fn table<S: AsRef<str>>(header: &[S], rows: impl Iterator<Item = Vec<String>>) -> Vec<String> {
    let mut table = Table::new();
    let rows = rows.map(|cells| cells.iter().map(|cell| plain(cell)).collect::<Vec<_>>());
    table.load_style(presets::NOTHING).set_header(header.iter().map(AsRef::as_ref)).add_rows(rows);
    if table.row_count() == 0 {
        return Vec::new();
    }
    // One space of comfy-table's is in front of the first column.
    table.lines().map(|line| line.strip_prefix(' ').unwrap_or(&line).trim_end().to_owned()).collect()
}

fn head(view: &View, now: Timestamp, is_shown: impl Fn(&Step) -> bool) -> Vec<String> {
    let mut lines = vec![title(view)];
    if let Some(update) = &view.update {
        let over = update.frontier().is_none();
        let time = if over { String::new() } else { format!(", for {}", span(update.started_at, Some(now))) };
        let revertible = if update.revertible && !over { ", can be taken back" } else { "" };
        lines.push(format!("  update from {} to {}{time}{revertible}", update.from, update.to));
        let cells =
            |step: &Step| vec![step.name.clone(), marked_step(step), step_time(step, now), step.message.clone()];
        let steps = update.steps.iter().filter(|step| is_shown(step)).map(cells);
        lines.extend(section(table(&["STEP", "STATE", "TIME", "MESSAGE"], steps)));
    }
    let keystones = view.keystone.iter().map(|keystone| {
        let time = keystone.step_started_at.map(|at| span(Some(at), Some(now))).unwrap_or_default();
        let message = keystone.failure.as_ref().unwrap_or(&keystone.message).clone();
        let keys: Vec<String> = keystone.keys.iter().map(keys).collect();
        vec![keystone.name.clone(), keystone.releases(), place(keystone), time, keys.join(", "), message]
    });
    lines.extend(section(table(&["KEYSTONE", "RELEASE", "STEP", "TIME", "KEYS", "MESSAGE"], keystones)));
    lines
}

fn tail(view: &View) -> Vec<Part> {
    let mut lines = section(view.problems.iter().map(problem_line).collect());
    if !view.next.is_empty() {
        lines.extend([String::new(), "NEXT".to_owned()]);
    }
    lines.into_iter().map(Part::Line).chain(to_do(view)).collect()
}

/// Lines with an empty one before them; nothing stays nothing.
fn section(mut lines: Vec<String>) -> Vec<String> {
    if !lines.is_empty() {
        lines.insert(0, String::new());
    }
    lines
}

fn shown(view: &View) -> impl Iterator<Item = &Service> {
    view.services.iter().filter(|service| service.known() != Some(ServiceState::Disabled))
}

fn problem_line(problem: &Problem) -> String {
    let Problem { object, condition, reason, message } = problem;
    let said = if condition.is_empty() { "cannot be read".to_owned() } else { format!("{condition} {reason}") };
    plain(&format!("✖ {object}: {said}: {message}"))
}

/// What others wrote, in one line and without orders to the terminal: a second line would stand among commands that are
/// there to be pasted.
pub fn plain(text: &str) -> String {
    text.replace(char::is_control, " ")
}

/// `Migrating: Migrating` would say the same twice.
fn place(keystone: &Keystone) -> String {
    match (&keystone.phase, &keystone.step) {
        (Some(phase), Some(step)) if phase != step => format!("{phase}: {step}"),
        (phase, step) => step.clone().or_else(|| phase.clone()).unwrap_or_else(|| "-".to_owned()),
    }
}

fn keys(set: &super::view::KeySet) -> String {
    let lag = if set.everywhere { String::new() } else { format!(" (not on {})", set.lagging.join(", ")) };
    format!("{} {}{lag}", set.count, set.name)
}

fn step_time(step: &Step, now: Timestamp) -> String {
    span(step.started_at, step.finished_at.or(Some(now).filter(|_| !is_over(step))))
}

fn is_over(step: &Step) -> bool {
    step.known().is_some_and(StepState::is_finished)
}

/// How long it was, in whole seconds.
fn span(from: Option<Timestamp>, to: Option<Timestamp>) -> String {
    let seconds = from.zip(to).map(|(from, to)| to.duration_since(from).as_secs().max(0));
    seconds.map(|seconds| format!("{:#}", SignedDuration::from_secs(seconds))).unwrap_or_default()
}

fn marked_step(step: &Step) -> String {
    let glyph = match step.known() {
        Some(StepState::Pending) => '○',
        Some(StepState::Running) => '●',
        Some(StepState::Waiting | StepState::Held) => '◆',
        Some(StepState::Done) => '✔',
        Some(StepState::NotNeeded) => '–',
        Some(StepState::Stalled) => '✖',
        None => '?',
    };
    format!("{glyph} {}", step.state)
}

fn marked_service(service: &Service) -> String {
    let glyph = match service.known() {
        Some(ServiceState::Ready) => '✔',
        Some(ServiceState::NotReady) => '●',
        Some(ServiceState::Pending) => '○',
        Some(ServiceState::Blocked) => '✖',
        Some(ServiceState::Disabled) => '–',
        None => '?',
    };
    format!("{glyph} {}", service.state)
}

/// A service whose step has not come lacks the new images: that is all its message says.
fn waits_for(service: &Service) -> String {
    let row = service::find(&service.name).filter(|_| service.known() == Some(ServiceState::Pending));
    row.map_or_else(|| service.message.clone(), |row| format!("its step is {}", row.step))
}

fn state_glyph(state: State) -> char {
    match state {
        State::Ready => '✔',
        State::Installing | State::NotReady | State::Updating => '●',
        State::Waiting | State::Paused | State::Held => '◆',
        State::Stalled | State::Blocked => '✖',
        State::Unreported | State::Empty => '○',
    }
}

/// Colours the glyphs, on a terminal: only they are certain not to be part of a message.
fn paint(lines: &[String]) -> Vec<String> {
    lines.iter().map(|line| line.chars().map(painted).collect()).collect()
}

fn painted(glyph: char) -> String {
    match glyph {
        '✔' => style(glyph).green().to_string(),
        '●' => style(glyph).yellow().to_string(),
        '◆' => style(glyph).cyan().bold().to_string(),
        '✖' => style(glyph).red().bold().to_string(),
        _ => glyph.to_string(),
    }
}
