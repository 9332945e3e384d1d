//! Parity as a test: [`assert_parity!`](crate::assert_parity) in `cargo test`.

use crate::baseline::{Baseline, gate};
use crate::compare::{Options, compare};
use crate::report::v1::Report;
use crate::report::{Render, Screen};
use crate::trace::Trace;
use std::path::Path;

/// Compares two traces; the error is the report as text.
///
/// # Errors
///
/// When a trace cannot be read, the traces are not comparable, or they diverge.
pub fn agreement(
    reference: impl AsRef<Path>,
    candidate: impl AsRef<Path>,
    options: &Options,
) -> Result<Report, String> {
    let report = measured(reference.as_ref(), candidate.as_ref(), options)?;
    if report.exit_code == crate::exit_code::AGREES {
        Ok(report)
    } else {
        Err(text(&report))
    }
}

/// Compares two traces and holds the result against a baseline; the error is the reason as text.
///
/// # Errors
///
/// When a file cannot be read, the traces are not comparable, or a checkpoint got worse.
pub fn no_worse(
    reference: impl AsRef<Path>,
    candidate: impl AsRef<Path>,
    baseline: impl AsRef<Path>,
    options: &Options,
) -> Result<Report, String> {
    let path = baseline.as_ref();
    let named = |error: &dyn std::fmt::Display| format!("baseline `{}`: {error}", path.display());
    let file = std::fs::read_to_string(path).map_err(|error| named(&error))?;
    let baseline = Baseline::parse(&file).map_err(|error| named(&error))?;
    let report = measured(reference.as_ref(), candidate.as_ref(), options)?;
    let gate = gate(&baseline, &report);
    if gate.exit_code == crate::exit_code::AGREES {
        Ok(report)
    } else {
        Err(format!("{}\n{}", gate.to_text(), text(&report)))
    }
}

fn measured(reference: &Path, candidate: &Path, options: &Options) -> Result<Report, String> {
    let open = |path: &Path| Trace::open(path).map_err(|error| error.to_string());
    let (reference, candidate) = (open(reference)?, open(candidate)?);
    compare(&reference, &candidate, options, &mut |_| {}).map_err(|error| error.to_string())
}

fn text(report: &Report) -> String {
    let mut text = Vec::new();
    let screen = Screen {
        color: false,
        unicode: true,
    };
    // Writing to memory does not fail.
    let _ = screen.render(report, &mut text);
    String::from_utf8_lossy(&text).into_owned()
}

/// Fails the test unless two traces agree, and shows where they first do not.
///
/// With `baseline = FILE` it fails unless the comparison is as good as the baseline that `parity baseline save` wrote. The
/// report is given back.
///
/// # Panics
///
/// When the traces diverge, are not comparable, cannot be read, or got worse than the baseline.
///
/// # Example
///
/// ```
/// let folder = tempfile::tempdir().unwrap();
/// let [reference, candidate] = ["ref.jsonl", "cand.jsonl"].map(|name| folder.path().join(name));
/// let line = r#"{"checkpoint":"logits","team":"t","token_idx":0,"dtype":"f32","shape":"[2]","values":[1.0,2.0]}"#;
/// std::fs::write(&reference, line).unwrap();
/// std::fs::write(&candidate, line).unwrap();
///
/// let report = parity::assert_parity!(&reference, &candidate);
/// assert_eq!(report.verdict, "match");
/// ```
#[macro_export]
macro_rules! assert_parity {
    ($reference:expr, $candidate:expr $(,)?) => {
        match $crate::testing::agreement($reference, $candidate, &$crate::Options::default()) {
            Ok(report) => report,
            Err(text) => panic!("the traces do not agree\n\n{text}"),
        }
    };
    ($reference:expr, $candidate:expr, baseline = $baseline:expr $(,)?) => {
        match $crate::testing::no_worse(
            $reference,
            $candidate,
            $baseline,
            &$crate::Options::default(),
        ) {
            Ok(report) => report,
            Err(text) => panic!("the comparison got worse\n\n{text}"),
        }
    };
    ($reference:expr, $candidate:expr, $options:expr $(,)?) => {
        match $crate::testing::agreement($reference, $candidate, &$options) {
            Ok(report) => report,
            Err(text) => panic!("the traces do not agree\n\n{text}"),
        }
    };
}
