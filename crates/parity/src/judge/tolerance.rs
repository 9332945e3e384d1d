//! Limits that a user sets for single checkpoints, each with a reason.

use super::own::storage_unit;
use orch_log::Filter;
use orch_log::format::Dtype;
use serde::Deserialize;

/// One entry of a tolerance file.
#[derive(Clone, Debug)]
pub struct Tolerance {
    /// Which checkpoints, as a glob: `layer_*_ffn_act`.
    pub checkpoint: String,
    /// Only pairs whose coarser storage type is this one.
    pub dtype: Option<Dtype>,
    /// Largest relative RMSE that is not a divergence.
    pub max_relative_rmse: f64,
    /// Why.
    pub reason: String,
    filter: Filter,
}

/// All entries of a tolerance file; of several that fit a pair, the first counts.
///
/// # Example
///
/// ```
/// use parity::judge::Tolerances;
/// let text = r#"
/// [[tolerance]]
/// checkpoint = "layer_*_ffn_act"
/// dtype = "bf16"
/// max_relative_rmse = 0.02
/// reason = "the engine's GELU is a table of bf16"
/// "#;
/// let tolerances = Tolerances::parse(text)?;
/// assert_eq!(tolerances.entries[0].max_relative_rmse, 0.02);
/// // An entry without a reason is refused.
/// assert!(Tolerances::parse("[[tolerance]]\ncheckpoint = \"logits\"\nmax_relative_rmse = 1").is_err());
/// # Ok::<(), String>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct Tolerances {
    /// In the order of the file.
    pub entries: Vec<Tolerance>,
}

/// What became of an entry in a comparison.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ToleranceUse {
    /// Pairs that it was applied to.
    pub pairs: u64,
    /// Of them those that it excused: without it they would have counted as more than rounding.
    pub excused: u64,
    /// Of them those that it holds to less than the noise allows.
    pub tightened: u64,
}

impl ToleranceUse {
    /// It neither excuses anything nor asks for more than the noise does.
    pub fn is_needless(&self) -> bool {
        self.excused == 0 && self.tightened == 0
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    tolerance: Vec<Entry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    checkpoint: String,
    dtype: Option<String>,
    max_relative_rmse: f64,
    reason: String,
}

impl Tolerances {
    /// Reads the TOML form.
    ///
    /// # Errors
    ///
    /// A sentence: the syntax, an unknown key, a limit that is no number from 0 on, an unknown type, an empty reason.
    pub fn parse(text: &str) -> Result<Self, String> {
        let file: File = toml::from_str(text).map_err(|error| error.to_string())?;
        let entries = file.tolerance.into_iter().map(|entry| {
            let of = |what: String| format!("tolerance of `{}`: {what}", entry.checkpoint);
            let limit = entry.max_relative_rmse;
            if !limit.is_finite() || limit < 0.0 {
                return Err(of(format!("{limit} is not a relative error from 0 on")));
            }
            if entry.reason.trim().is_empty() {
                return Err(of("the reason is empty".to_owned()));
            }
            let dtype = match &entry.dtype {
                Some(name) => Some(
                    Dtype::parse(name)
                        .ok_or_else(|| of(format!("`{name}` is not a storage type")))?,
                ),
                None => None,
            };
            Ok(Tolerance {
                filter: Filter::new(&entry.checkpoint),
                checkpoint: entry.checkpoint,
                dtype,
                max_relative_rmse: limit,
                reason: entry.reason,
            })
        });
        Ok(Self {
            entries: entries.collect::<Result<_, _>>()?,
        })
    }

    /// The entry for a checkpoint whose coarser storage type rounds by `unit`.
    pub(super) fn find(&self, checkpoint: &str, unit: f64) -> Option<(usize, &Tolerance)> {
        self.entries.iter().enumerate().find(|(_, entry)| {
            let fits = |dtype| (storage_unit(dtype) - unit).abs() <= 1e-6 * unit;
            entry.filter.passes(checkpoint) && entry.dtype.is_none_or(fits)
        })
    }
}
