//! How the records of two traces were brought together.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Names, positions and layouts: what was undone before anything was compared.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Alignment {
    /// Name maps that were used.
    pub maps: Vec<NameMapUse>,
    /// Added to the candidate's positions.
    pub token_offset: i64,
    /// How much of the reference was compared.
    #[serde(default)]
    pub reference: Covered,
    /// How much of the candidate was compared.
    #[serde(default)]
    pub candidate: Covered,
    /// Differences of layout that were undone: they are no divergences.
    pub undone: Vec<UndoneDifference>,
}

/// How much of one trace was compared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Covered {
    /// Records of the checkpoints that were asked for, without token ids.
    pub records: u64,
    /// Of them such of which something was compared.
    pub compared: u64,
    /// Stretches of positions of batches of which other positions were compared, and these were not.
    pub rests: u64,
}

/// A name map that was used.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct NameMapUse {
    /// `reference` or `candidate`.
    pub side: String,
    /// The name of a shipped map, or the file.
    pub map: String,
    /// True where it was chosen by the trace's names, and not asked for.
    pub automatic: bool,
    /// Names among the trace's first records that are not canonical.
    pub foreign_names: u64,
    /// Of them known to the map.
    pub known_names: u64,
    /// Records that the map passes over: no checkpoint, or one that another record is already.
    pub ignored_records: u64,
}

/// A difference of layout that was undone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct UndoneDifference {
    /// Stable name, such as `heads-merged`.
    pub name: String,
    /// What it is, in words.
    pub what: String,
    /// Pairs.
    pub pairs: u64,
    /// Checkpoints, `*` for the layer.
    pub checkpoints: Vec<String>,
}
