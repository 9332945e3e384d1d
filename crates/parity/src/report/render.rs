//! What every renderer does.

use super::v1::Report;
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
