//! What the `OpenStackVersion` says about steps and services, as a board and as a list of changes.

use api::{
    condition::{self, Reason},
    step::MINOR_UPDATE,
    version::{OpenStackVersionStatus, ServiceState, StepState},
};
use comfy_table::{Table, presets};
use console::style;

/// One line of either list.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Line {
    name: String,
    kind: String,
    version: String,
    glyph: char,
    state: String,
    message: String,
}

/// Everything that is shown.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Board {
    title: String,
    steps: Vec<Line>,
    services: Vec<Line>,
}

impl Board {
    /// Reads a status. `updating` keeps the steps on the board when the update is over and its memory gone.
    pub(super) fn read(status: &OpenStackVersionStatus, updating: bool) -> Self {
        let text = |version: &Option<String>| version.clone().unwrap_or_else(|| "-".to_owned());
        let title =
            format!("available {}, deployed {}", text(&status.available_version), text(&status.deployed_version));
        let steps = match &status.update {
            Some(update) => update.steps.iter().map(step_line).collect(),
            None if updating => finished_steps(status),
            None => Vec::new(),
        };
        let services = status.services.iter().filter(|service| service.state != ServiceState::Disabled);
        Self { title, steps, services: services.map(service_line).collect() }
    }

    /// The lines that differ from another board, for a screen on which lines cannot be drawn again.
    pub(super) fn changes(&self, before: &Self) -> Vec<String> {
        let steps = self
            .steps
            .iter()
            .filter(|line| !before.steps.contains(line))
            .map(|line| format!("step     {:<18} {} {:<9} {}", line.name, line.glyph, line.state, line.message));
        let services = self.services.iter().filter(|line| !before.services.contains(line)).map(|line| {
            let Line { name, kind, version, glyph, state, message } = line;
            format!("service  {name:<18} {glyph} {state:<9} {kind} {version} {message}")
        });
        steps.chain(services).map(|line| paint(line.trim_end())).collect()
    }

    /// The board, for a screen of that size. Services stand side by side where there is room.
    pub(super) fn render(&self, rows: usize, columns: usize) -> Vec<String> {
        const SERVICE_WIDTH: usize = 58;
        let mut lines = vec![String::new(), style(&self.title).dim().to_string()];
        if !self.steps.is_empty() {
            let cells = |line: &Line| vec![line.name.clone(), line.marked(), line.message.clone()];
            lines.extend(table(&["STEP", "STATE", "MESSAGE"], self.steps.iter().map(cells)));
            lines.push(String::new());
        }
        let abreast = (columns / SERVICE_WIDTH).clamp(1, 3);
        let header = ["SERVICE", "KIND", "VERSION", "STATE"].repeat(abreast);
        let cells = |line: &Line| vec![line.name.clone(), line.kind.clone(), line.version.clone(), line.marked()];
        let height = self.services.len().div_ceil(abreast).max(1);
        let columns: Vec<&[Line]> = self.services.chunks(height).collect();
        let row = |index| columns.iter().filter_map(|column| column.get(index)).flat_map(cells).collect();
        lines.extend(table(&header, (0..height).map(row)));
        if lines.len() > rows {
            lines.truncate(rows.saturating_sub(1));
            lines.push(style("  … (make the window larger to see the rest)").dim().to_string());
        }
        lines.iter().map(|line| paint(line)).collect()
    }
}

impl Line {
    fn marked(&self) -> String {
        format!("{} {}", self.glyph, self.state)
    }
}

fn step_line(step: &api::version::StepStatus) -> Line {
    Line {
        name: step.name.to_string(),
        kind: String::new(),
        version: String::new(),
        glyph: step_glyph(step.state),
        state: step.state.to_string(),
        message: step.message.clone(),
    }
}

/// After an update only the conditions tell how each step ended.
fn finished_steps(status: &OpenStackVersionStatus) -> Vec<Line> {
    let line = |step: &api::step::Step| {
        let condition = condition::find(&status.conditions, step.condition)?;
        let state = match (condition.status, condition.reason) {
            (condition::Status::True, Reason::NotNeeded) => StepState::NotNeeded,
            (condition::Status::True, _) => StepState::Done,
            _ => StepState::Pending,
        };
        Some(Line {
            name: step.name.to_string(),
            kind: String::new(),
            version: String::new(),
            glyph: step_glyph(state),
            state: state.to_string(),
            message: condition.message.clone(),
        })
    };
    MINOR_UPDATE.iter().filter_map(line).collect()
}

fn service_line(service: &api::version::ServiceStatus) -> Line {
    let glyph = match service.state {
        ServiceState::Ready => '✔',
        ServiceState::NotReady => '●',
        ServiceState::Pending => '○',
        ServiceState::Blocked => '✖',
        ServiceState::Disabled => '–',
    };
    Line {
        name: service.name.clone(),
        kind: service.kind.clone(),
        version: service.version.clone().unwrap_or_else(|| "-".to_owned()),
        glyph,
        state: service.state.to_string(),
        message: service.message.clone(),
    }
}

fn step_glyph(state: StepState) -> char {
    match state {
        StepState::Pending => '○',
        StepState::Running => '●',
        StepState::Waiting | StepState::Held => '◆',
        StepState::Done => '✔',
        StepState::NotNeeded => '–',
        StepState::Stalled => '✖',
    }
}

/// A table without borders, as kubectl prints it.
pub(super) fn table(header: &[&str], rows: impl Iterator<Item = Vec<String>>) -> Vec<String> {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_header(header).add_rows(rows);
    table.lines().map(|line| line.trim_end().to_owned()).collect()
}

/// Colours the glyphs: only they are certain not to be part of a message.
fn paint(line: &str) -> String {
    let mut painted = String::with_capacity(line.len());
    for glyph in line.chars() {
        match glyph {
            '✔' => painted.push_str(&style(glyph).green().to_string()),
            '●' => painted.push_str(&style(glyph).yellow().to_string()),
            '◆' => painted.push_str(&style(glyph).cyan().bold().to_string()),
            '✖' => painted.push_str(&style(glyph).red().bold().to_string()),
            _ => painted.push(glyph),
        }
    }
    painted
}
