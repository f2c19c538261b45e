//! The part of a terminal that is drawn again in place.

use std::io;

use console::{Term, measure_text_width};

/// The rows that a line takes on a screen of that width.
pub fn height(line: &str, columns: usize) -> usize {
    measure_text_width(line).div_ceil(columns.max(1)).max(1)
}

/// Lines that are drawn over the ones before. Without a terminal every line stays.
#[derive(Debug)]
pub struct Screen {
    term: Term,
    drawn: Vec<String>,
}

impl Default for Screen {
    fn default() -> Self {
        Self { term: Term::stdout(), drawn: Vec::new() }
    }
}

impl Screen {
    /// Whether lines can be drawn again.
    pub fn is_live(&self) -> bool {
        self.term.is_term()
    }

    /// A line that stays, above what is drawn.
    pub fn line(&mut self, text: &str) -> io::Result<()> {
        self.clear()?;
        let drawn = std::mem::take(&mut self.drawn);
        self.term.write_line(text)?;
        self.draw(drawn)
    }

    /// Draws over the lines before. What is wider than the screen is wrapped; what is beyond its end is left out, because it
    /// could not be drawn over.
    pub fn draw(&mut self, lines: Vec<String>) -> io::Result<()> {
        let (rows, columns) = self.size();
        self.clear()?;
        let mut room = rows;
        let fits = |line: &String| {
            let left = room.checked_sub(height(line, columns));
            room = left.unwrap_or_default();
            left.is_some()
        };
        self.drawn = lines.into_iter().take_while(fits).collect();
        self.drawn.iter().try_for_each(|line| self.term.write_line(line))
    }

    /// Clears what is drawn: a window of another width has wrapped it anew.
    fn clear(&self) -> io::Result<()> {
        let (_, columns) = self.size();
        self.term.clear_last_lines(self.drawn.iter().map(|line| height(line, columns)).sum())
    }

    /// Leaves what is drawn where it is.
    pub fn keep(&mut self) {
        self.drawn.clear();
    }

    /// The lines and columns that may be drawn.
    pub fn size(&self) -> (usize, usize) {
        let (rows, columns) = self.term.size();
        (usize::from(rows).saturating_sub(2), usize::from(columns))
    }
}
