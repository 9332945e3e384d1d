//! Text with styles, kept to 80 columns and safe from what names may contain.

use crate::report::words::is_harmless;
use anstyle::{AnsiColor, Style};
use std::fmt::Write;

/// Columns of a page.
pub(super) const WIDTH: usize = 80;

/// The colours of the report.
pub(super) mod style {
    use super::{AnsiColor, Style};

    pub(in super::super) const PLAIN: Style = Style::new();
    pub(in super::super) const BOLD: Style = Style::new().bold();
    pub(in super::super) const FAINT: Style = Style::new().dimmed();
    pub(in super::super) const GOOD: Style = AnsiColor::Green.on_default();
    pub(in super::super) const BAD: Style = AnsiColor::Red.on_default();
    pub(in super::super) const DOUBTFUL: Style = AnsiColor::Yellow.on_default();

    /// The colour of a verdict.
    pub(in super::super) fn of_verdict(verdict: &str) -> Style {
        match verdict {
            "match" | "rounding" => GOOD,
            "diverged" => BAD,
            _ => DOUBTFUL,
        }
    }
}

/// A page under construction.
pub(super) struct Page {
    out: String,
    color: bool,
    unicode: bool,
}

impl Page {
    pub(super) fn new(color: bool, unicode: bool) -> Self {
        Self {
            out: String::new(),
            color,
            unicode,
        }
    }

    pub(super) fn unicode(&self) -> bool {
        self.unicode
    }

    /// Text in a style, made safe.
    pub(super) fn put(&mut self, style: Style, text: &str) {
        let text = self.safe(text);
        if self.color && style != style::PLAIN && !text.trim().is_empty() {
            let _ = write!(self.out, "{}{text}{}", style.render(), style.render_reset());
        } else {
            self.out.push_str(&text);
        }
    }

    /// A line in one style.
    pub(super) fn line(&mut self, style: Style, text: &str) {
        self.put(style, text);
        self.end_line();
    }

    /// Ends the line, without blanks at its end.
    pub(super) fn end_line(&mut self) {
        while self.out.ends_with(' ') {
            self.out.pop();
        }
        self.out.push('\n');
    }

    /// A blank line and a heading.
    pub(super) fn heading(&mut self, title: &str) {
        self.end_line();
        self.line(style::BOLD, title);
    }

    /// Words filled into lines: the first after `lead`, the others indented by its width.
    pub(super) fn fill(&mut self, lead: &str, text: &str) {
        for (index, line) in self.filled(lead, text).iter().enumerate() {
            if index == 0 {
                self.put(style::FAINT, lead);
                self.out
                    .push_str(line.get(lead.len()..).unwrap_or_default());
            } else {
                self.out.push_str(line);
            }
            self.end_line();
        }
    }

    /// The same as lines, made safe.
    pub(super) fn filled(&self, lead: &str, text: &str) -> Vec<String> {
        let indent = lead.chars().count();
        let text = self.safe(text);
        let mut lines = Vec::new();
        let (mut line, mut column) = (lead.to_owned(), indent);
        for (index, word) in text.split_whitespace().enumerate() {
            let word = shorten(word, MAX_WORD, self.unicode);
            let length = word.chars().count();
            if index > 0 && column + 1 + length > WIDTH {
                lines.push(std::mem::replace(&mut line, " ".repeat(indent)));
                column = indent;
            } else if index > 0 {
                line.push(' ');
                column += 1;
            }
            line.push_str(&word);
            column += length;
        }
        lines.push(line);
        lines
    }

    /// Text made safe and brought to exactly `width` columns.
    pub(super) fn cell(&self, text: &str, width: usize) -> String {
        let text = shorten(&self.safe(text), width, self.unicode);
        format!("{text:<width$}")
    }

    /// Control characters, which could repaint the terminal, and those that reverse the writing direction are
    /// shown as escapes; without Unicode so is everything beyond ASCII.
    fn safe(&self, text: &str) -> String {
        let harmless = |c: char| is_harmless(c) && (self.unicode || c.is_ascii());
        if text.chars().all(harmless) {
            return text.to_owned();
        }
        text.chars()
            .flat_map(|c| {
                if harmless(c) {
                    c.to_string().chars().collect::<Vec<_>>()
                } else {
                    c.escape_default().collect()
                }
            })
            .collect()
    }

    pub(super) fn finish(self) -> String {
        self.out
    }
}

/// A word longer than this is a hostile name, not a word.
const MAX_WORD: usize = 72;

/// The text, cut to `width` columns with a mark where something is left out.
fn shorten(text: &str, width: usize, unicode: bool) -> String {
    if text.chars().count() <= width {
        return text.to_owned();
    }
    let mark = if unicode { "…" } else { "~" };
    let kept: String = text.chars().take(width.saturating_sub(1)).collect();
    kept + mark
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hostile_names_can_do_nothing() {
        let page = Page::new(true, true);
        assert_eq!(page.safe("a\u{1b}[31mb\nc"), "a\\u{1b}[31mb\\nc");
        assert_eq!(page.safe("\u{202e}abc"), "\\u{202e}abc");
        assert_eq!(page.safe("größe"), "größe");
        assert_eq!(Page::new(false, false).safe("größe"), "gr\\u{f6}\\u{df}e");
        assert_eq!(page.cell("layer_0_q", 6), "layer…");
        assert_eq!(page.cell("q", 3), "q  ");
    }

    #[test]
    fn lines_stay_within_the_page() {
        let mut page = Page::new(false, true);
        page.fill(
            "  note  ",
            &format!("{} {}", "word ".repeat(60), "x".repeat(10_000)),
        );
        let text = page.finish();
        assert!(
            text.lines().all(|line| line.chars().count() <= WIDTH),
            "{text}"
        );
        assert!(
            text.lines()
                .skip(1)
                .all(|line| line.starts_with("        "))
        );
        assert_eq!(text.matches("word").count(), 60);
    }
}
