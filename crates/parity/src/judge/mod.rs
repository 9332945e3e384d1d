//! Rounding or divergence, and where it begins.

mod bands;
mod criterion;
mod noise;
mod tally;
mod verdict;

pub use bands::{Band, BandCounts};
pub use criterion::{Criterion, Limit};
pub use noise::{NoiseRow, NoiseSource, WeightClass, limit_of, noise_row};
pub use tally::{CheckpointTally, Compared, Detail, InputError, Tally};
pub use verdict::{Verdict, exit_code};
