//! `worker-orcd faults`.

use super::Failure;

/// What to say when the mistakes are not compiled in.
#[cfg(not(feature = "faults"))]
pub(crate) const NOT_BUILT: &str = "this worker-orcd was built without planted faults; \
    build one that has them: cargo build --release -p worker-orcd --features orch_logging,faults";

#[cfg(not(feature = "faults"))]
pub(crate) fn run() -> Result<(), Failure> {
    Err(NOT_BUILT.into())
}

#[cfg(feature = "faults")]
pub(crate) fn run() -> Result<(), Failure> {
    use std::io::Write;

    let mut out = std::io::stdout().lock();
    let mut family = "";
    for fault in worker_orcd::faults::all() {
        if fault.family != family {
            family = fault.family;
            writeln!(out, "{family}")?;
        }
        let phase = if fault.phase == "decode" {
            ", in decode"
        } else {
            ""
        };
        writeln!(
            out,
            "  {}: {}; first shows at {}{phase}",
            fault.name, fault.summary, fault.first
        )?;
        for param in fault.params {
            writeln!(out, "      {}=… (default: {})", param.name, param.default)?;
        }
    }
    Ok(())
}
