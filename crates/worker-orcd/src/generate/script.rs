//! What is fed to the model, pass by pass.

use orch_log::forced::{Batch, Forced};

use crate::error::{Error, Result};

/// The passes whose tokens are known beforehand, and how many tokens to pick in all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Script {
    /// Given passes: the prompt, then forced tokens.
    pub batches: Vec<Batch>,
    /// Tokens of the prompt.
    pub prompt: usize,
    /// Tokens to pick after the prompt.
    pub picks: usize,
}

impl Script {
    /// The passes of `prompt` and `forced`.
    ///
    /// A trace brings its own prompt and its own cut into passes; a plain list of tokens continues
    /// `prompt` one by one. `picks` defaults to one more than there are forced tokens (the last pass
    /// picks, too), and to `default_picks` when nothing is forced.
    ///
    /// # Errors
    ///
    /// When there is no prompt at all.
    pub fn new(
        prompt: Option<Vec<u32>>,
        forced: Option<Forced>,
        picks: Option<usize>,
        default_picks: usize,
    ) -> Result<Self> {
        let (mut batches, prompt, default_picks) = match (forced, prompt) {
            (Some(Forced::Trace { batches, prompt }), _) => {
                let fed: usize = batches.iter().map(|batch| batch.tokens.len()).sum();
                (batches, prompt, fed - prompt + 1)
            }
            (forced, Some(tokens)) => {
                let prompt = tokens.len();
                let mut batches = vec![Batch { tokens, step: 0 }];
                let mut default = default_picks;
                if let Some(Forced::List(ids)) = forced {
                    default = ids.len() + 1;
                    batches.extend((1..).zip(ids).map(|(step, id)| Batch {
                        tokens: vec![id],
                        step,
                    }));
                }
                (batches, prompt, default)
            }
            (_, None) => {
                return Err(Error::ForcedTokens(
                    "a list of forced tokens continues a prompt: give one with --prompt or --prompt-tokens, \
                     or force a trace, which has its own"
                        .to_owned(),
                ));
            }
        };
        if prompt == 0 {
            return Err(Error::Setting(
                "the prompt has no tokens; give at least one".to_owned(),
            ));
        }
        let picks = picks.unwrap_or(default_picks);
        cut(&mut batches, prompt, picks);
        Ok(Self {
            batches,
            prompt,
            picks,
        })
    }

    /// All tokens that are known beforehand.
    pub fn tokens(&self) -> Vec<u32> {
        self.batches
            .iter()
            .flat_map(|batch| batch.tokens.iter().copied())
            .collect()
    }

    /// Positions that the whole generation needs; the last pick is not fed.
    pub fn positions(&self) -> usize {
        self.prompt + self.picks.saturating_sub(1)
    }
}

/// Drops the forced tokens beyond what `picks` picks feed.
fn cut(batches: &mut Vec<Batch>, prompt: usize, picks: usize) {
    let mut left = prompt + picks.saturating_sub(1);
    for batch in batches.iter_mut() {
        batch.tokens.truncate(left);
        left -= batch.tokens.len();
    }
    batches.retain(|batch| !batch.tokens.is_empty());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trace_is_fed_as_it_was_cut() {
        let batch = |tokens: &[u32], step| Batch {
            tokens: tokens.to_vec(),
            step,
        };
        let batches = vec![batch(&[1, 2, 3], 0), batch(&[4], 1), batch(&[5], 2)];
        let forced = || {
            Some(Forced::Trace {
                batches: batches.clone(),
                prompt: 3,
            })
        };
        let all = Script::new(None, forced(), None, 16).unwrap();
        assert_eq!((all.prompt, all.picks, all.positions()), (3, 3, 5));
        assert_eq!(all.tokens(), [1, 2, 3, 4, 5]);
        let shorter = Script::new(None, forced(), Some(2), 16).unwrap();
        assert_eq!(shorter.tokens(), [1, 2, 3, 4]);
        let longer = Script::new(None, forced(), Some(9), 16).unwrap();
        assert_eq!((longer.tokens().len(), longer.positions()), (5, 11));
    }

    #[test]
    fn a_list_continues_the_prompt() {
        let script =
            Script::new(Some(vec![7, 8]), Some(Forced::List(vec![9, 10])), None, 16).unwrap();
        assert_eq!(script.picks, 3);
        assert_eq!(script.batches.len(), 3);
        assert_eq!(
            script.batches[2],
            Batch {
                tokens: vec![10],
                step: 2
            }
        );
        let free = Script::new(Some(vec![7, 8]), None, None, 16).unwrap();
        assert_eq!((free.batches.len(), free.picks), (1, 16));
        assert!(Script::new(None, Some(Forced::List(vec![9])), None, 16).is_err());
        assert!(Script::new(Some(vec![]), None, None, 16).is_err());
    }
}
