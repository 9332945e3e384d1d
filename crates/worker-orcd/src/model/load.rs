//! Loading a model's weights from a GGUF.

use candle_core::{Device, Tensor};

use super::attention::{Attention, Projections};
use super::feed_forward::FeedForward;
use super::forward::{Block, Model};
use super::labels::{ModelLabels, Names, Steps};
use crate::arch::{NormKind, Positions};
use crate::config::Config;
use crate::error::{Error, Result};
use crate::gguf::GgufFile;
use crate::ops::{Engine, Heads, Linear, Norm, Operations, Slot};
use crate::place::Place;

/// How a model is loaded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MatMul {
    /// Weights widened once to the type of the activations, in which products are taken.
    #[default]
    Dequantized,
    /// Weights kept in their storage type; candle quantises the activations to match.
    Quantized,
}

impl MatMul {
    /// `dequantized` or `quantized`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Dequantized => "dequantized",
            Self::Quantized => "quantized",
        }
    }
}

impl Model {
    /// Loads all weights of `file`; `progress` is called with the number of blocks done and of all blocks.
    ///
    /// # Errors
    ///
    /// When the architecture is not supported, a tensor is missing or has an impossible shape.
    pub fn load(
        file: &mut GgufFile,
        matmul: MatMul,
        place: Place,
        ops: Engine,
        progress: &mut dyn FnMut(usize, usize),
    ) -> Result<Self> {
        let config = Config::read(file)?;
        let mut loader = Loader {
            file,
            config: &config,
            ops: &ops,
            matmul,
            place: &place,
        };
        let embedding = loader.dense("token_embd.weight")?;
        let positions = match config.architecture.positions {
            Positions::Learned => Some(loader.dense("position_embd.weight")?),
            Positions::Rotary(_) => None,
        };
        // Models that save the output matrix multiply with the embedding table instead.
        let vocabulary = embedding.dims()[0];
        let logits = if loader.file.has("output.weight") {
            loader.linear(None, "output", vocabulary, config.embedding)?
        } else if matmul == MatMul::Quantized {
            loader.linear(None, "token_embd", vocabulary, config.embedding)?
        } else {
            Linear::shared(embedding.clone())
        };
        let final_norm = loader.norm(None, "output_norm", config.embedding)?;
        let mut blocks = Vec::with_capacity(config.layers);
        for layer in 0..config.layers {
            progress(layer, config.layers);
            blocks.push(loader.block(layer)?);
        }
        progress(config.layers, config.layers);
        let labels = ModelLabels::new(config.layers, config.architecture.norm);
        Ok(Self {
            config,
            ops,
            place,
            embedding,
            positions,
            blocks,
            final_norm,
            logits,
            labels,
        })
    }
}

/// Reads tensors and hands each to the operations' loading hooks.
struct Loader<'a> {
    file: &'a mut GgufFile,
    config: &'a Config,
    ops: &'a Engine,
    matmul: MatMul,
    place: &'a Place,
}

impl Loader<'_> {
    fn block(&mut self, layer: usize) -> Result<Block> {
        let config = self.config;
        let attention = self.attention(layer)?;
        let feed_forward = self.feed_forward(layer)?;
        Ok(Block {
            attn_norm: self.norm(Some(layer), "attn_norm", config.embedding)?,
            attention,
            ffn_norm: self.norm(Some(layer), "ffn_norm", config.embedding)?,
            feed_forward,
            labels: Names::new(layer).block(config.architecture.norm),
        })
    }

    fn attention(&mut self, layer: usize) -> Result<Attention> {
        let Config {
            embedding,
            heads,
            kv_heads,
            head_dim,
            ..
        } = *self.config;
        let at = Some(layer);
        let (query, key) = (heads * head_dim, kv_heads * head_dim);
        let fused = Slot {
            layer: at,
            name: "attn_qkv.weight",
        };
        let projections = if self.file.has(&fused.full_name()) {
            Projections::Fused(self.linear(at, "attn_qkv", query + 2 * key, embedding)?)
        } else {
            Projections::Separate {
                q: self.linear(at, "attn_q", query, embedding)?,
                k: self.linear(at, "attn_k", key, embedding)?,
                v: self.linear(at, "attn_v", key, embedding)?,
            }
        };
        let out = self.linear(at, "attn_output", embedding, query)?;
        let q_norm = self.optional_norm(at, "attn_q_norm", head_dim)?;
        let k_norm = self.optional_norm(at, "attn_k_norm", head_dim)?;
        let labels = Names::new(layer).attention(Steps {
            q_norm: q_norm.is_some(),
            k_norm: k_norm.is_some(),
            rope: self.config.rope.is_some(),
        });
        Ok(Attention {
            projections,
            out,
            q_norm,
            k_norm,
            heads: Heads {
                query: heads,
                key: kv_heads,
                dim: head_dim,
            },
            labels,
        })
    }

    fn feed_forward(&mut self, layer: usize) -> Result<FeedForward> {
        let (at, embedding) = (Some(layer), self.config.embedding);
        let slot = |name| Slot { layer: at, name };
        let width = self.rows(slot("ffn_up.weight"))?;
        let gate = if self.file.has(&slot("ffn_gate.weight").full_name()) {
            Some(self.linear(at, "ffn_gate", width, embedding)?)
        } else {
            None
        };
        let up = self.linear(at, "ffn_up", width, embedding)?;
        let down = self.linear(at, "ffn_down", embedding, width)?;
        let activation = self.config.architecture.activation;
        let labels = Names::new(layer).feed_forward(activation, gate.is_some());
        Ok(FeedForward {
            gate,
            up,
            down,
            activation,
            labels,
        })
    }

    /// `NAME.weight`, `[rows, columns]`, with `NAME.bias` if the file has it.
    fn linear(
        &mut self,
        layer: Option<usize>,
        name: &str,
        rows: usize,
        columns: usize,
    ) -> Result<Linear> {
        let (weight, bias) = (format!("{name}.weight"), format!("{name}.bias"));
        let slot = Slot {
            layer,
            name: &weight,
        };
        let stored = self.file.tensor(&self.ops.source(slot))?;
        self.expect_shape(slot, stored.shape().dims(), &[rows, columns])?;
        let bias = self.vector(Slot { layer, name: &bias }, rows)?;
        let quantised = self.matmul == MatMul::Quantized;
        self.ops
            .matrix(slot, stored)
            .and_then(|matrix| Linear::new(matrix, bias, quantised, self.place))
            .map_err(Error::compute(format_args!(
                "loading `{}`",
                slot.full_name()
            )))
    }

    fn norm(&mut self, layer: Option<usize>, name: &str, width: usize) -> Result<Norm> {
        let weight = format!("{name}.weight");
        let norm = self.optional_norm(layer, name, width)?;
        norm.ok_or_else(|| {
            self.missing(Slot {
                layer,
                name: &weight,
            })
        })
    }

    fn optional_norm(
        &mut self,
        layer: Option<usize>,
        name: &str,
        width: usize,
    ) -> Result<Option<Norm>> {
        let (weight, bias) = (format!("{name}.weight"), format!("{name}.bias"));
        let slot = |name| Slot { layer, name };
        let Some(weight) = self.vector(slot(&weight), width)? else {
            return Ok(None);
        };
        let kind = self.config.architecture.norm;
        let bias = match kind {
            NormKind::Layer => self.vector(slot(&bias), width)?,
            NormKind::RootMeanSquare => None,
        };
        Ok(Some(Norm {
            kind,
            weight,
            bias,
            eps: self.config.norm_eps,
        }))
    }

    /// A one-dimensional tensor in f32, if the file has it.
    fn vector(&mut self, slot: Slot<'_>, width: usize) -> Result<Option<Tensor>> {
        let name = slot.full_name();
        if !self.file.has(&name) {
            return Ok(None);
        }
        let stored = self.file.tensor(&self.ops.source(slot))?;
        self.expect_shape(slot, stored.shape().dims(), &[width])?;
        stored
            .dequantize(&Device::Cpu)
            .and_then(|vector| self.ops.vector(slot, vector))
            .and_then(|vector| vector.map(|vector| self.place.bring(&vector)).transpose())
            .map_err(Error::compute(format_args!("loading `{name}`")))
    }

    /// A dequantised matrix whatever the mode: a table of which single rows are read.
    fn dense(&mut self, name: &str) -> Result<Tensor> {
        let slot = Slot { layer: None, name };
        let stored = self.file.tensor(&self.ops.source(slot))?;
        self.expect_shape(slot, &stored.shape().dims()[1..], &[self.config.embedding])?;
        self.ops
            .matrix(slot, stored)
            .and_then(|matrix| self.place.bring(&matrix.into_dense()?))
            .map_err(Error::compute(format_args!("loading `{name}`")))
    }

    fn rows(&mut self, slot: Slot<'_>) -> Result<usize> {
        match self.file.shape(&slot.full_name()) {
            Some([rows, _]) => Ok(*rows),
            _ => Err(self.missing(slot)),
        }
    }

    fn expect_shape(&self, slot: Slot<'_>, found: &[usize], expected: &[usize]) -> Result<()> {
        if found == expected {
            return Ok(());
        }
        let name = slot.full_name();
        let problem = format!("tensor `{name}` has shape {found:?}, the metadata say {expected:?}");
        Err(Error::gguf(self.file.path(), problem))
    }

    fn missing(&self, slot: Slot<'_>) -> Error {
        let name = slot.full_name();
        Error::gguf(self.file.path(), format_args!("has no tensor `{name}`"))
    }
}
