//! Why it begins where it does.

use super::pairing::Context;
use crate::error::Error;
use crate::explain::{Source, explain_at};
use crate::judge::Tally;
use crate::recompute::Weights;
use crate::report;
use crate::report::v1::Cause;

/// How many origins are explained.
const EXPLAINED: usize = 4;

/// The causes of the first origins, as far as the traces, and the model file where it is at hand, show them.
pub(super) fn causes(
    context: &Context<'_>,
    tally: &Tally,
    weights: Option<&dyn Weights>,
) -> Result<Vec<Cause>, Error> {
    if tally.origins().is_empty() {
        return Ok(Vec::new());
    }
    let [reference, candidate] = context.indices()?;
    let mut causes = Vec::new();
    for origin in tally.origins().iter().take(EXPLAINED) {
        let pair = tally.pairs()[origin.first];
        let seq = u64::from(pair.seq);
        let found = explain_at(
            &Source::new(&reference, seq, 0).shaped_like(&candidate),
            &Source::new(&candidate, seq, context.token_offset).shaped_like(&reference),
            weights,
            tally.name(pair.name),
            pair.token_idx,
        );
        causes.extend(found.iter().flat_map(report::causes));
    }
    Ok(causes)
}
