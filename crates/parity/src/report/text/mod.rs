//! The report for a terminal: the short answer first, then what it rests on.

mod alignment;
mod cause;
mod compared;
mod detail;
mod heat;
mod lists;
mod logits;
mod page;
mod screen;
mod tables;

use super::render::Render;
use super::v1::Report;
use page::Page;
pub use screen::Screen;
use std::io::{self, Write};

/// Plain text of 80 columns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Text {
    /// ANSI colours.
    pub color: bool,
    /// Block characters for the error map; without it digits.
    pub unicode: bool,
    /// Everything: all lists in full, every checkpoint, the values of all worst offenders.
    pub verbose: bool,
}

impl Render for Text {
    fn render(&self, report: &Report, out: &mut dyn Write) -> io::Result<()> {
        let mut page = Page::new(self.color, self.unicode);
        tables::headline(&mut page, report);
        compared::what_was_compared(&mut page, report);
        tables::bands(&mut page, report);
        heat::map(&mut page, report);
        tables::worst(&mut page, report);
        if self.verbose {
            tables::checkpoints(&mut page, report);
        }
        if let Some(divergence) = &report.first_divergence {
            detail::pair(&mut page, "First divergence", &divergence.pair);
        }
        cause::causes(&mut page, &report.causes);
        if self.verbose {
            let shown = report
                .first_divergence
                .as_ref()
                .map(|divergence| &divergence.pair);
            for pair in report.worst.iter().filter(|pair| Some(*pair) != shown) {
                detail::pair(&mut page, "Detail", pair);
            }
        }
        lists::left_out(&mut page, report, self.verbose);
        lists::findings(&mut page, report, self.verbose);
        tables::last_line(&mut page, report);
        out.write_all(page.finish().as_bytes())
    }
}

impl Text {
    /// Everything that was tried at one checkpoint.
    ///
    /// # Errors
    ///
    /// When `out` cannot be written to.
    pub fn explanation(
        &self,
        found: &super::v1::Explanation,
        out: &mut dyn Write,
    ) -> io::Result<()> {
        let mut page = Page::new(self.color, self.unicode);
        cause::explanation(&mut page, found, self.verbose);
        out.write_all(page.finish().as_bytes())
    }
}
