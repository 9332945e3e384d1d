//! Rounding or divergence, and where it begins.

mod activations;
mod bands;
mod blame;
mod calibration;
mod criterion;
mod detail;
mod first;
mod noise;
mod own;
mod summary;
mod tally;
mod tolerance;
mod verdict;
mod weights;

pub use bands::{Band, BandCounts};
pub use blame::{Floor, Gap, Graph, InputError, Judgement, Kind, LocalError, Origin, Origins};
pub use calibration::Calibration;
pub use criterion::{Criterion, Limit};
pub use detail::{Compared, Detail};
pub use first::First;
pub use noise::{Noise, OperationLimit};
pub use summary::{Evidence, PairSummary};
pub use tally::{BasisCounts, CheckpointTally, Tally};
pub use tolerance::{Tolerance, ToleranceUse, Tolerances};
pub use verdict::{Verdict, exit_code};
pub use weights::WeightClass;
