//! What a screen has room for. What is cut still says what it is about; a command that lacks its end does something else.

use console::truncate_str;

use crate::cli::screen::height;

/// A part of a board.
pub(super) enum Part {
    /// A line for a person, which may be cut at the edge of the screen.
    Line(String),
    /// A command, which is there with every line to its end, or not at all.
    Command(String),
}

/// Stands for what there is no room for. It does no harm where it is pasted.
const MORE: &str = "  # … make the window larger to see the rest";

impl Part {
    /// The rows that it takes: the terminal wraps what is not cut.
    fn height(&self, columns: usize) -> usize {
        match self {
            Self::Line(_) => 1,
            Self::Command(command) => command.lines().map(|line| height(line, columns)).sum(),
        }
    }

    /// Its lines for a screen of that width.
    fn lines(&self, columns: usize) -> Vec<String> {
        match self {
            Self::Line(line) => vec![cut(line, columns)],
            Self::Command(command) => command.lines().map(str::to_owned).collect(),
        }
    }

    /// Its lines where there is no edge.
    pub(super) fn all_lines(&self) -> Vec<String> {
        self.lines(usize::MAX)
    }
}

/// The rows of several parts.
pub(super) fn total(parts: &[Part], columns: usize) -> usize {
    parts.iter().map(|part| part.height(columns)).sum()
}

/// The first parts, as many as there is room for.
pub(super) fn fit(parts: &[Part], rows: usize, columns: usize) -> Vec<String> {
    if total(parts, columns) <= rows {
        return parts.iter().flat_map(|part| part.lines(columns)).collect();
    }
    let mut room = rows.saturating_sub(1);
    let mut lines = Vec::new();
    for part in parts {
        let Some(left) = room.checked_sub(part.height(columns)) else { break };
        room = left;
        lines.extend(part.lines(columns));
    }
    lines.push(cut(MORE, columns));
    lines
}

/// A line that takes one row.
pub fn cut(line: &str, columns: usize) -> String {
    truncate_str(line, columns, "…").into_owned()
}
