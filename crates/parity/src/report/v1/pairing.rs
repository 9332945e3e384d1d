//! Which record of one trace is which record of the other.

use super::NameMapUse;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What would be compared with what.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Pairing {
    /// [`SCHEMA_VERSION`](super::SCHEMA_VERSION).
    pub schema_version: u32,
    /// 0 where at least one checkpoint has a pair, otherwise 3.
    pub exit_code: u8,
    /// Name maps that were used.
    pub maps: Vec<NameMapUse>,
    /// Checkpoints with pairs, in the order in which they were first paired.
    pub paired: Vec<PairedName>,
    /// Checkpoints, or stretches of their positions, of the reference without a partner.
    pub only_in_reference: Vec<UnpairedName>,
    /// The same of the candidate.
    pub only_in_candidate: Vec<UnpairedName>,
}

/// One checkpoint that both traces have.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PairedName {
    /// Canonical name.
    pub checkpoint: String,
    /// Its names in reference and candidate.
    pub names: [String; 2],
    /// Shapes of the first records that were paired.
    pub shapes: [Vec<usize>; 2],
    /// Pairs.
    pub pairs: u64,
    /// First position, and the one behind the last.
    pub positions: [i64; 2],
}

/// Records of one checkpoint without a partner.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct UnpairedName {
    /// Canonical name, or the trace's own where no map knows it.
    pub checkpoint: String,
    /// Records none of whose positions has a partner.
    pub records: u64,
    /// True where the other trace has the checkpoint at other positions.
    pub elsewhere: bool,
}
