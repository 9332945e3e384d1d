//! Running a script.

use candle_core::{D, IndexOp, Tensor};

use orch_log::forced::Batch;

use super::Script;
use crate::error::{Error, Result};
use crate::model::{Cache, KvType, Model};
use crate::place::Place;

/// What came after the prompt.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Continuation {
    /// The tokens that were given, one for each pick as far as they reach.
    pub forced: Vec<u32>,
    /// What the model picked at each step.
    pub own: Vec<u32>,
}

impl Continuation {
    /// The sequence after the prompt: forced tokens, then own ones.
    pub fn tokens(&self) -> Vec<u32> {
        let rest = self.own.iter().skip(self.forced.len());
        self.forced.iter().chain(rest).copied().collect()
    }

    /// The first step at which the model picked something else than it was forced to take.
    pub fn first_difference(&self) -> Option<usize> {
        self.forced
            .iter()
            .zip(&self.own)
            .position(|(forced, own)| forced != own)
    }
}

/// Feeds the script's passes, then the model's own greedy picks until there are `script.picks`.
///
/// An end-of-sequence token ends nothing: what follows is as good a function to compare.
///
/// With `graph` single tokens are fed through a captured CUDA graph, which needs a model on a CUDA device.
///
/// `progress` is called after each pass with the positions fed so far and the pass's logits, `[tokens, vocabulary]`.
///
/// # Errors
///
/// When `progress` does. When a token is not in the vocabulary, the positions are more than the model has, or an operation fails.
pub fn generate(
    model: &Model,
    script: &Script,
    kv_type: KvType,
    graph: bool,
    progress: &mut dyn FnMut(usize, &Tensor) -> Result<()>,
) -> Result<Continuation> {
    let positions = script.positions();
    let context = model.config().context;
    if positions > context {
        return Err(Error::Setting(format!(
            "the prompt and {} picks need {positions} positions, the model has {context}; lower -n",
            script.picks
        )));
    }
    check_vocabulary(model, script)?;
    let mut cache = Cache::new(model.config(), positions, kv_type, model.place())
        .map_err(Error::compute("making the key-value cache"))?;
    let mut continuation = Continuation {
        forced: script.tokens().split_off(script.prompt),
        own: Vec::new(),
    };
    let mut decoder = Decoder::new(model);
    let mut position = 0;
    let mut given = script.batches.iter().cloned();
    let mut step = 0;
    while position < positions {
        let batch = match (given.next(), continuation.own.last()) {
            (Some(batch), _) => batch,
            (None, Some(own)) => Batch {
                tokens: vec![*own],
                step,
            },
            // The prompt is never empty, so there is either a given pass or a pick.
            (None, None) => break,
        };
        let pass = format!("forward pass {} (positions from {position} on)", batch.step);
        let logits = match batch.tokens[..] {
            [token] if graph => decoder.decode(token, position, batch.step, &mut cache),
            _ => model.forward(&batch.tokens, position, batch.step, &mut cache),
        }
        .map_err(Error::compute(&pass))?;
        position += batch.tokens.len();
        step = batch.step + 1;
        // Row r predicts the token after it; rows before the prompt's last predict the prompt.
        let rows = batch.tokens.len();
        for row in 0..rows {
            let predicts = position - rows + row + 1;
            if predicts >= script.prompt && continuation.own.len() < script.picks {
                continuation
                    .own
                    .push(greedy(&logits, row).map_err(Error::compute(&pass))?);
            }
        }
        progress(position, &logits)?;
    }
    Ok(continuation)
}

fn check_vocabulary(model: &Model, script: &Script) -> Result<()> {
    let vocabulary = model.vocabulary();
    match script
        .tokens()
        .into_iter()
        .find(|id| *id as usize >= vocabulary)
    {
        None => Ok(()),
        Some(id) => Err(Error::ForcedTokens(format!(
            "token {id} is not in the model's vocabulary of {vocabulary}: are these another model's tokens?"
        ))),
    }
}

/// The token with the largest logit; of equals the first, as llama.cpp's greedy sampler takes it. Found on the host, since a
/// device takes any of them.
fn greedy(logits: &Tensor, row: usize) -> candle_core::Result<u32> {
    let row = Place::default().bring(&logits.i(row)?)?;
    row.argmax(D::Minus1)?.to_scalar()
}

/// Feeds single tokens through a graph that the first of them captures.
#[cfg(feature = "cuda")]
struct Decoder<'a> {
    model: &'a Model,
    graph: Option<crate::model::DecodeGraph<'a>>,
}

#[cfg(feature = "cuda")]
impl<'a> Decoder<'a> {
    fn new(model: &'a Model) -> Self {
        Self { model, graph: None }
    }

    fn decode(
        &mut self,
        token: u32,
        position: usize,
        step: u64,
        cache: &mut Cache,
    ) -> candle_core::Result<Tensor> {
        let graph = match self.graph.take() {
            Some(graph) => graph,
            None => crate::model::DecodeGraph::capture(self.model, cache, position)?,
        };
        self.graph.insert(graph).run(token, position, step)
    }
}

#[cfg(not(feature = "cuda"))]
struct Decoder;

#[cfg(not(feature = "cuda"))]
impl Decoder {
    fn new(_model: &Model) -> Self {
        Self
    }

    fn decode(
        &mut self,
        _token: u32,
        _position: usize,
        _step: u64,
        _cache: &mut Cache,
    ) -> candle_core::Result<Tensor> {
        candle_core::bail!("a graph needs a build with the feature `cuda`")
    }
}
