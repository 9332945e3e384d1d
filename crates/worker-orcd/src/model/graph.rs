//! Decoding as a CUDA graph: one token's pass is captured once and replayed for each token.
//!
//! A graph repeats the same work on the same addresses. So whatever differs from token to token lies in tensors that are written
//! between replays (id, angles, mask, place in the cache), and attention goes over the whole cache, its empty places masked.

use candle_core::cuda_backend::CudaStorageSlice;
use candle_core::cuda_backend::cudarc::driver::{CudaGraph, sys};
use candle_core::{CudaDevice, Device, Result, Storage, Tensor, bail};
use orch_log::cuda::Position;

use super::cache::Cache;
use super::forward::{Given, Model};
use crate::ops::{Rotation, causal_mask};
use crate::trace::Pass;

/// A captured pass over one token.
pub struct DecodeGraph<'a> {
    model: &'a Model,
    capacity: usize,
    inputs: Inputs,
    /// Written by each replay.
    logits: Tensor,
    graph: CudaGraph,
}

/// What a replay reads.
struct Inputs {
    id: Tensor,
    /// `[1]`, u32.
    position: Tensor,
    /// The same, `[1, kv_heads, head_dim]`.
    place: Tensor,
    mask: Tensor,
    rotation: Rotation,
}

impl Inputs {
    fn new(model: &Model, capacity: usize, token: u32, at: usize) -> Result<Self> {
        let Some(rope) = &model.config.rope else {
            bail!("a model with learned positions cannot decode in a graph; leave out --graph");
        };
        let (config, place) = (&model.config, &model.place);
        let device = &place.device;
        Ok(Self {
            id: Tensor::new(&[token], device)?,
            position: Tensor::new(&[at as u32], device)?,
            place: Tensor::full(at as u32, (1, config.kv_heads, config.head_dim), device)?,
            mask: place.bring(&causal_mask(at, 1, capacity)?)?,
            rotation: Rotation::new(rope, &[at], place)?,
        })
    }

    /// Copies another token's inputs over these.
    fn replace(&self, new: &Self) -> Result<()> {
        self.id.slice_set(&new.id, 0, 0)?;
        self.position.slice_set(&new.position, 0, 0)?;
        self.place.slice_set(&new.place, 0, 0)?;
        self.mask.slice_set(&new.mask, 0, 0)?;
        self.rotation.cos.slice_set(&new.rotation.cos, 0, 0)?;
        self.rotation.sin.slice_set(&new.rotation.sin, 0, 0)
    }

    fn given(&self) -> Given<'_> {
        Given {
            ids: &self.id,
            rotation: Some(&self.rotation),
            mask: Some(&self.mask),
        }
    }

    /// Where the device finds the position.
    fn counter(&self) -> Result<Position> {
        let (storage, _) = self.position.storage_and_layout();
        match &*storage {
            Storage::Cuda(storage) => match &storage.slice {
                CudaStorageSlice::U32(slice) => Ok(Position::from(slice)),
                _ => bail!("the position is no u32"),
            },
            _ => bail!("a graph needs a CUDA device"),
        }
    }
}

impl<'a> DecodeGraph<'a> {
    /// Captures the pass that follows a prompt of `first` tokens; `cache` is the one that replays use.
    ///
    /// # Errors
    ///
    /// When the model is not on a CUDA device, has learned positions, or an operation cannot be captured.
    pub fn capture(model: &'a Model, cache: &mut Cache, first: usize) -> Result<Self> {
        let Device::Cuda(device) = &model.place.device else {
            bail!("a graph needs a CUDA device");
        };
        let capacity = cache.capacity();
        let inputs = Inputs::new(model, capacity, 0, first)?;
        let mut pass = Pass::new(first, 1, 1);
        for layer in &mut cache.layers {
            layer.write_where(Some(inputs.place.clone()));
        }
        let captured = record(device, || {
            // What candle sends to the device (shapes, strides) is kept by the first pass and found there by the second, which
            // must send nothing. The first writes into the cache what the first replay writes over.
            pass.is_silent = pass.counter.is_none();
            let logits = model.pass(&inputs.given(), &pass, cache);
            pass.counter = Some(inputs.counter()?);
            logits
        });
        for layer in &mut cache.layers {
            layer.write_where(None);
        }
        let (graph, logits) = captured?;
        Ok(Self {
            model,
            capacity,
            inputs,
            logits,
            graph,
        })
    }

    /// Feeds `token` at the position `at` and returns its logits, `[1, vocabulary]`, which the next call overwrites.
    ///
    /// # Errors
    ///
    /// When the cache is full or the graph cannot be launched.
    pub fn run(&self, token: u32, at: usize, step: u64) -> Result<Tensor> {
        if at >= self.capacity {
            bail!(
                "position {at} does not fit into a cache of {}",
                self.capacity
            );
        }
        let inputs = Inputs::new(self.model, self.capacity, token, at)?;
        self.inputs.replace(&inputs)?;
        Pass::new(at, 1, step).log_tokens(&[token]);
        self.graph.launch().map_err(candle_core::Error::wrap)?;
        Ok(self.logits.clone())
    }
}

/// Runs `pass` twice, the second time into a graph.
fn record(
    device: &CudaDevice,
    mut pass: impl FnMut() -> Result<Tensor>,
) -> Result<(CudaGraph, Tensor)> {
    let stream = device.cuda_stream();
    let _kept = device.enable_cuda_graph_htod_cache();
    drop(pass()?);
    stream.synchronize().map_err(candle_core::Error::wrap)?;
    stream
        .begin_capture(sys::CUstreamCaptureMode::CU_STREAM_CAPTURE_MODE_THREAD_LOCAL)
        .map_err(candle_core::Error::wrap)?;
    let logits = pass();
    // Also after an error: the stream is of no use while it is being captured.
    let graph = stream
        .end_capture(sys::CUgraphInstantiate_flags::CUDA_GRAPH_INSTANTIATE_FLAG_AUTO_FREE_ON_LAUNCH)
        .map_err(candle_core::Error::wrap);
    let logits = logits?;
    match graph? {
        Some(graph) => Ok((graph, logits)),
        None => bail!("nothing was captured"),
    }
}
