//! What every renderer does.

use super::v1::{Many, Report};
use std::io::{self, Write};

/// Writes a report in some form.
pub trait Render {
    /// Writes `report` to `out`.
    ///
    /// # Errors
    ///
    /// When `out` cannot be written.
    fn render(&self, report: &Report, out: &mut dyn Write) -> io::Result<()>;
}

/// Writes the comparisons of several candidates with one reference in some form.
pub trait RenderMany {
    /// Writes `many` to `out`.
    ///
    /// # Errors
    ///
    /// When `out` cannot be written.
    fn render_many(&self, many: &Many, out: &mut dyn Write) -> io::Result<()>;
}
