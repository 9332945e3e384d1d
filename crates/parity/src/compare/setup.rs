//! What every comparison reads before it reads pairs: token ids, and whose names the traces have.

use super::options::Options;
use super::pairing::Context;
use crate::align::maps::{Chosen, Sample, choose};
use crate::check::{Inputs, SameInput, read_tokens};
use crate::error::Error;
use crate::trace::Trace;

/// Token ids and name maps of both traces.
pub(super) struct Setup {
    pub(super) tokens: [Inputs; 2],
    pub(super) inputs: SameInput,
    pub(super) maps: [Chosen; 2],
    token_offset: i64,
}

impl Setup {
    /// Reads both traces for it.
    pub(super) fn of(
        reference: &Trace,
        candidate: &Trace,
        options: &Options,
    ) -> Result<Self, Error> {
        let token_offset = options.token_offset.unwrap_or(0);
        let [reference_tokens, candidate_tokens] = std::thread::scope(|scope| {
            let other = scope.spawn(|| read_tokens(candidate));
            let one = read_tokens(reference);
            let other = other
                .join()
                .unwrap_or_else(|panic| std::panic::resume_unwind(panic));
            [one, other]
        });
        let tokens = [reference_tokens?, candidate_tokens?.shifted(token_offset)];
        Ok(Self {
            inputs: SameInput::of(&tokens[0], &tokens[1]),
            tokens,
            maps: [
                choose(&Sample::of(reference)?, &options.reference_map),
                choose(&Sample::of(candidate)?, &options.candidate_map),
            ],
            token_offset,
        })
    }

    pub(super) fn context<'a>(&'a self, reference: &'a Trace, candidate: &'a Trace) -> Context<'a> {
        Context {
            reference,
            candidate,
            maps: [&self.maps[0], &self.maps[1]],
            token_offset: self.token_offset,
            inputs: &self.inputs,
            spread: None,
        }
    }
}
