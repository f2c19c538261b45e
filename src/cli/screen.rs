//! The part of a terminal that is drawn again in place.

use std::io;

use console::{Term, truncate_str};

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
        let drawn = std::mem::take(&mut self.drawn);
        self.term.clear_last_lines(drawn.len())?;
        self.term.write_line(text)?;
        self.draw(drawn)
    }

    /// Draws over the lines before.
    pub fn draw(&mut self, lines: Vec<String>) -> io::Result<()> {
        let (rows, columns) = self.size();
        self.term.clear_last_lines(self.drawn.len())?;
        self.drawn = lines.into_iter().take(rows).collect();
        for line in &self.drawn {
            self.term.write_line(&truncate_str(line, columns, "…"))?;
        }
        Ok(())
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
