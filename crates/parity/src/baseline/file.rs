//! The baseline as a file: TOML, a line for each checkpoint, so that a change of one is a change of one line.

use crate::report::v1::Report;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// The version of the file's shape.
const VERSION: u32 = 1;

/// The errors that a known-good comparison had.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Baseline {
    /// Version of this shape.
    pub version: u32,
    /// The verdict that was known and accepted.
    pub verdict: String,
    /// Storage type of most weights, where it is known.
    #[serde(default)]
    pub weights: Option<String>,
    /// Number of blocks, where it is known.
    #[serde(default)]
    pub layers: Option<u64>,
    /// The largest relative RMSE of each checkpoint.
    #[serde(default)]
    pub checkpoints: BTreeMap<String, f64>,
}

impl Baseline {
    /// What several comparisons of one kind had at most; their spread is the noise that runs have.
    ///
    /// Errors are rounded up to two significant digits, so that a renewal changes only the lines that changed.
    ///
    /// # Errors
    ///
    /// When a comparison was of nothing, or an error is not a number: there is nothing good to keep.
    pub fn of(reports: &[Report]) -> Result<Self, String> {
        let mut baseline = Self {
            version: VERSION,
            verdict: String::new(),
            weights: None,
            layers: None,
            checkpoints: BTreeMap::new(),
        };
        let mut worst_code = None;
        for report in reports {
            if report.exit_code == crate::exit_code::NOT_COMPARABLE {
                let reason = report.reasons.first().map_or("", String::as_str);
                return Err(format!(
                    "`{}` and `{}` are not comparable: {reason}",
                    report.reference.path.escape_debug(),
                    report.candidate.path.escape_debug()
                ));
            }
            let rank = (report.exit_code, report.verdict != "match");
            if worst_code.is_none_or(|worst| rank > worst) {
                worst_code = Some(rank);
                baseline.verdict.clone_from(&report.verdict);
            }
            let model = report.reference.model.as_ref();
            baseline.weights = baseline
                .weights
                .or_else(|| model.and_then(|model| model.weights.clone()));
            baseline.layers = baseline.layers.or(model.and_then(|model| model.layers));
            for row in &report.checkpoints {
                let error = row.worst_relative_rmse.0;
                if !error.is_finite() {
                    return Err(format!(
                        "`{}` has the relative error {error}: nothing to hold later runs against",
                        row.checkpoint.escape_debug()
                    ));
                }
                let kept = baseline
                    .checkpoints
                    .entry(row.checkpoint.clone())
                    .or_default();
                *kept = kept.max(rounded_up(error));
            }
        }
        if baseline.checkpoints.is_empty() {
            return Err("nothing was compared: there is nothing to keep".to_owned());
        }
        Ok(baseline)
    }

    /// Reads what [`to_toml`](Self::to_toml) wrote.
    ///
    /// # Errors
    ///
    /// When the text is something else, with line and reason.
    pub fn parse(text: &str) -> Result<Self, String> {
        let baseline: Self = toml::from_str(text).map_err(|error| error.to_string())?;
        if baseline.version != VERSION {
            return Err(format!(
                "version {} of a baseline, this program reads version {VERSION}: save it anew",
                baseline.version
            ));
        }
        let bad = |error: &f64| !(error.is_finite() && *error >= 0.0);
        match baseline.checkpoints.iter().find(|(_, error)| bad(error)) {
            Some((name, error)) => Err(format!(
                "`{}` has the error {error}, expected a number from 0 on",
                name.escape_debug()
            )),
            None => Ok(baseline),
        }
    }

    /// The text of the file.
    pub fn to_toml(&self) -> String {
        let mut text = String::from(
            "# Written by `parity baseline save`: the largest relative RMSE of each checkpoint of a known-good\n\
             # comparison. `parity gate` fails when a later one is worse than this by more than noise.\n",
        );
        let _ = writeln!(text, "version = {}", self.version);
        let _ = writeln!(text, "verdict = {}", quoted(&self.verdict));
        if let Some(weights) = &self.weights {
            let _ = writeln!(text, "weights = {}", quoted(weights));
        }
        if let Some(layers) = self.layers {
            let _ = writeln!(text, "layers = {layers}");
        }
        text.push_str("\n[checkpoints]\n");
        let mut rows: Vec<(&String, &f64)> = self.checkpoints.iter().collect();
        // In dataflow order: what belongs together changes together.
        rows.sort_by_key(|(name, _)| (crate::align::Place::of(name), name.as_str()));
        for (name, error) in rows {
            let _ = writeln!(text, "{} = {}", quoted(name), written(*error));
        }
        text
    }
}

/// The next number of two significant digits that is not smaller.
fn rounded_up(error: f64) -> f64 {
    let near: f64 = format!("{error:.1e}").parse().unwrap_or(error);
    if near >= error {
        return near;
    }
    let step = 10_f64.powf(error.log10().floor() - 1.0);
    format!("{:.1e}", near + step).parse().unwrap_or(error)
}

/// TOML tells floats from integers by their point or exponent.
fn written(error: f64) -> String {
    if error == 0.0 {
        "0.0".to_owned()
    } else {
        format!("{error:.1e}")
    }
}

/// A basic string of TOML: JSON's escapes are among its own.
fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            c if c.is_control() => {
                let _ = write!(out, "\\u{:04x}", c as u32);
            }
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failing test may panic")]
    use super::*;

    #[test]
    fn written_and_read() {
        let checkpoints = [
            ("layer_10_q", 1.3e-6),
            ("layer_2_q", 0.0),
            ("a \"b\" \\ \n\u{7f} ä", 12.0),
        ];
        let baseline = Baseline {
            version: VERSION,
            verdict: "rounding".to_owned(),
            weights: Some("f32".to_owned()),
            layers: Some(30),
            checkpoints: checkpoints
                .map(|(name, error)| (name.to_owned(), error))
                .into(),
        };
        let text = baseline.to_toml();
        assert_eq!(Baseline::parse(&text).unwrap(), baseline);
        let at = |name: &str| text.find(name).unwrap();
        assert!(at("layer_2_q") < at("layer_10_q"), "{text}");
    }

    #[test]
    fn rounding_never_makes_a_baseline_stricter() {
        for (error, expected) in [
            (1.21e-7, 1.3e-7),
            (1.2e-7, 1.2e-7),
            (9.95e-4, 1e-3),
            (0.0, 0.0),
            (1.04, 1.1),
        ] {
            assert_eq!(rounded_up(error), expected, "{error}");
        }
    }

    #[test]
    fn other_files_are_refused() {
        for (text, reason) in [
            (
                "version = 2\nverdict = \"match\"",
                "version 2 of a baseline",
            ),
            ("version = 1", "verdict"),
            (
                "version = 1\nverdict = \"match\"\n[checkpoints]\nq = -1.0",
                "expected a number from 0 on",
            ),
            (
                "version = 1\nverdict = \"match\"\n[checkpoints]\nq = nan",
                "expected a number from 0 on",
            ),
            ("{}", ""),
        ] {
            let error = Baseline::parse(text).unwrap_err();
            assert!(error.contains(reason), "{error}");
        }
    }
}
