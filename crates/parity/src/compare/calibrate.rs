//! Noise measured between runs that differ only benignly.

use super::options::Options;
use super::pairing::Pairing;
use super::setup::Setup;
use crate::align::Progress;
use crate::error::Error;
use crate::judge::{Calibration, Limit, Noise, Tally};
use crate::trace::Trace;

/// Adds to `calibration` the noise between two runs that are both right.
///
/// Positions past the point where their inputs part are left aside. Gives the number of pairs that were measured: 0
/// where the two have nothing in common.
///
/// # Errors
///
/// When a trace cannot be read.
pub fn calibrate(
    calibration: &mut Calibration,
    reference: &Trace,
    other: &Trace,
    options: &Options,
    progress: &mut dyn FnMut(Progress),
) -> Result<u64, Error> {
    let setup = Setup::of(reference, other, options)?;
    let context = setup.context(reference, other);
    let runs = [reference, other].map(|trace| trace.run().info());
    let limit = Limit::Noise(Noise::of_runs(runs[0], runs[1]));
    let (mut pairing, mut tally) = (Pairing::default(), Tally::new(limit, 1));
    let mut lockstep = context.lockstep(&options.filter)?;
    while let Some(pair) = lockstep.next_pair()? {
        if pairing.pairs.is_multiple_of(256) {
            progress(lockstep.progress());
        }
        let outcome = context.examine(&pair)?;
        if let Some(measured) = pairing.note(&pair, outcome) {
            tally.add(&pair, measured);
        }
    }
    tally.judge();
    calibration.add(&tally);
    Ok(tally.compared)
}
