//! The report for other programs.

use super::render::{Render, RenderMany};
use super::v1::{Explanation, Many, Report, Rule};
use std::io::{self, Write};

/// One JSON object, indented, with a line end.
#[derive(Clone, Copy, Debug, Default)]
pub struct Json;

impl Render for Json {
    fn render(&self, report: &Report, out: &mut dyn Write) -> io::Result<()> {
        serde_json::to_writer_pretty(&mut *out, report)?;
        out.write_all(b"\n")
    }
}

impl RenderMany for Json {
    fn render_many(&self, many: &Many, out: &mut dyn Write) -> io::Result<()> {
        serde_json::to_writer_pretty(&mut *out, many)?;
        out.write_all(b"\n")
    }
}

/// The JSON Schema (draft 2020-12) of what [`Json`] writes, indented, with a line end.
pub fn schema() -> String {
    let schema = schemars::schema_for!(Report);
    // A schema is JSON already: nothing in it can fail to be written.
    format!("{:#}\n", schema.as_value())
}

impl Json {
    /// Everything that was tried, one entry for each place, likewise.
    ///
    /// # Errors
    ///
    /// When `out` cannot be written to.
    pub fn explanations(&self, found: &[Explanation], out: &mut dyn Write) -> io::Result<()> {
        serde_json::to_writer_pretty(&mut *out, found)?;
        out.write_all(b"\n")
    }
    /// The pages of rules, likewise.
    ///
    /// # Errors
    ///
    /// When `out` cannot be written to.
    pub fn rules(&self, rules: &[Rule], out: &mut dyn Write) -> io::Result<()> {
        serde_json::to_writer_pretty(&mut *out, rules)?;
        out.write_all(b"\n")
    }
}
