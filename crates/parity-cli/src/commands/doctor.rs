//! `parity doctor`.

use crate::args::{ColorWhen, Doctor, Format};
use crate::failure::Failure;
use crate::terminal;
use parity::check::doctor::{self, DoctorReport};
use parity::exit_code;
use std::io::Write;

/// Looks for what keeps a trace from being of use, and gives the exit code.
pub(crate) fn run(args: &Doctor, color: ColorWhen) -> Result<u8, Failure> {
    let mut findings = Vec::new();
    if args.env {
        findings.extend(doctor::diagnose_environment(|name| std::env::var_os(name)));
    }
    if let Some(engine) = &args.engine {
        findings.extend(doctor::diagnose_engine(engine)?);
    }
    if let Some(trace) = &args.trace {
        findings.extend(doctor::diagnose_trace(trace)?);
        if let Some(other) = &args.against {
            findings.extend(doctor::diagnose_alignment(trace, other)?);
        }
    }
    let report = DoctorReport::new(findings);
    let text = match args.format {
        Format::Text => report.to_text(),
        Format::Json => report.to_json(),
    };
    let mut out = terminal::stdout(color);
    out.write_all(text.as_bytes())?;
    out.flush()?;
    Ok(if report.healthy {
        exit_code::AGREES
    } else {
        exit_code::DIVERGED
    })
}
