//! Which tokens are fed.

use std::collections::VecDeque;

use orch_log::forced::Forced;

use super::Config;
use crate::Error;
use crate::llama::Model;

/// Tokens picked when nothing else is said.
const DEFAULT_PICKS: usize = 16;

/// What is fed.
pub(super) struct Plan {
    /// Ids of the prompt, at least one.
    pub(super) prompt: Vec<i32>,
    /// What is fed after it, whatever is picked.
    pub(super) forced: VecDeque<i32>,
    /// Ids of further prompts, none empty.
    pub(super) beside: Vec<Vec<i32>>,
    /// Tokens to pick for each prompt.
    pub(super) picks: usize,
    /// Tokens that one graph computes.
    pub(super) n_ubatch: usize,
}

impl Plan {
    pub(super) fn new(model: &Model, config: &Config) -> Result<Self, Error> {
        let ids = |tokens: &[u32]| {
            tokens
                .iter()
                .map(|id| i32::try_from(*id).unwrap_or(i32::MAX))
                .collect()
        };
        let (prompt, forced): (Vec<i32>, VecDeque<i32>) = match (&config.forced, &config.prompt) {
            (Some(trace @ Forced::Trace { prompt, .. }), text) => {
                let tokens = trace.tokens();
                let (prompt, rest) = tokens.split_at(*prompt);
                let prompt: Vec<i32> = ids(prompt);
                if let Some(text) = text
                    && model.tokenize(text)? != prompt
                {
                    return Err(Error::Argument(format!(
                        "the forced trace starts with `{}`, not with the prompt `{text}`: leave the prompt out",
                        model.text(&prompt)
                    )));
                }
                (prompt, Vec::from_iter(ids(rest)).into())
            }
            (Some(Forced::List(list)), Some(prompt)) => {
                let list: Vec<i32> = ids(list);
                (model.tokenize(prompt)?, list.into())
            }
            (None, Some(prompt)) => (model.tokenize(prompt)?, VecDeque::new()),
            (Some(Forced::List(_)), None) => {
                return Err(Error::Argument(
                    "a list of forced tokens continues a prompt: give one, or force a trace, which has its own".to_owned(),
                ));
            }
            (None, None) => return Err(Error::Argument("there is no prompt".to_owned())),
        };
        let beside: Vec<Vec<i32>> = config
            .beside
            .iter()
            .map(|prompt| model.tokenize(prompt))
            .collect::<Result<_, _>>()?;
        if prompt.is_empty() || beside.iter().any(Vec::is_empty) {
            return Err(Error::Argument(
                "the prompt has no tokens; give at least one".to_owned(),
            ));
        }
        let default = if config.forced.is_some() {
            forced.len() + 1
        } else {
            DEFAULT_PICKS
        };
        let longest = prompt.len() + beside.iter().map(Vec::len).sum::<usize>();
        if config.n_ubatch == Some(0) {
            return Err(Error::Argument(
                "a batch of 0 tokens computes nothing; give at least 1".to_owned(),
            ));
        }
        Ok(Self {
            prompt,
            forced,
            beside,
            picks: config.n_predict.unwrap_or(default).max(1),
            n_ubatch: config.n_ubatch.unwrap_or(longest).min(longest),
        })
    }

    /// Tokens that are fed in all.
    pub(super) fn fed(&self) -> usize {
        let prompts = std::iter::once(&self.prompt).chain(&self.beside);
        prompts
            .map(|prompt| prompt.len() + self.picks.saturating_sub(1))
            .sum()
    }
}
