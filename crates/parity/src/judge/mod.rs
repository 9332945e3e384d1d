//! Rounding or divergence, and where it begins.

mod bands;
mod criterion;
mod detail;
mod first;
mod noise;
mod tally;
mod verdict;

pub use bands::{Band, BandCounts};
pub use criterion::{Criterion, Limit};
pub use detail::{Compared, Detail};
pub use first::{First, InputError};
pub use noise::{NoiseRow, NoiseSource, WeightClass, limit_of, noise_row};
pub use tally::{BasisCounts, CheckpointTally, Tally};
pub use verdict::{Verdict, exit_code};
