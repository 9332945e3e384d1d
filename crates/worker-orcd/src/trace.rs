//! Hands candle tensors to `orch_log!`.

#[cfg(feature = "cuda")]
use std::cell::RefCell;

use candle_core::{CpuStorage, Layout, Storage, Tensor};
#[cfg(feature = "cuda")]
use candle_core::{CudaStorage, cuda_backend::CudaStorageSlice};
use orch_log::{Element, TensorView, orch_log};
#[cfg(feature = "cuda")]
use orch_log::{cuda::Position, orch_log_cuda, orch_log_cuda_step};

use crate::model::labels::Label;
use crate::place::Place;

/// The place of one forward pass in the trace.
#[derive(Debug)]
pub(crate) struct Pass {
    /// Absolute position of the first token.
    pub(crate) first: usize,
    /// Tokens in the pass.
    pub(crate) rows: usize,
    /// Forward pass, 0 = prefill.
    pub(crate) step: u64,
    /// Nothing is logged: the pass is a rehearsal.
    #[cfg(feature = "cuda")]
    pub(crate) is_silent: bool,
    /// Of a captured pass: where its replays find their position.
    #[cfg(feature = "cuda")]
    pub(crate) counter: Option<Position>,
    /// Tensors that are read when the pass ends; else their memory would go to later ones.
    #[cfg(feature = "cuda")]
    kept: RefCell<Vec<Tensor>>,
}

impl Pass {
    /// A pass over `rows` tokens from the position `first` on.
    pub(crate) fn new(first: usize, rows: usize, step: u64) -> Self {
        // Whoever makes a pass ends it: what it logs says its step, in the first one too.
        #[cfg(feature = "cuda")]
        orch_log::cuda::count_steps();
        Self {
            first,
            rows,
            step,
            #[cfg(feature = "cuda")]
            is_silent: false,
            #[cfg(feature = "cuda")]
            counter: None,
            #[cfg(feature = "cuda")]
            kept: RefCell::default(),
        }
    }

    /// Logs the ids of the pass, its first record.
    pub(crate) fn log_tokens(&self, ids: &[u32]) {
        if self.wants("tokens") {
            // Vocabularies are far smaller than 2^31, and i32 is what `tokens` records hold.
            let ids: Vec<i32> = ids.iter().map(|id| *id as i32).collect();
            orch_log!("tokens", &ids, self.first as i64; n_tokens = self.rows, step = self.step);
        }
    }

    /// Logs a checkpoint whose outermost axis is the token.
    pub(crate) fn log(&self, label: &Label, tensor: &Tensor) {
        if self.wants(&label.name) {
            self.write(label, tensor);
        }
    }

    /// Logs `[heads, tokens, kv]` as `[tokens, heads, kv]`.
    pub(crate) fn log_heads_first(&self, label: &Label, tensor: &Tensor) {
        // A captured pass attends over the whole cache, most of which is no position yet.
        #[cfg(feature = "cuda")]
        if self.counter.is_some() {
            return;
        }
        if self.wants(&label.name)
            && let Ok(tokens_first) = tensor.transpose(0, 1)
        {
            self.write(label, &tokens_first);
        }
    }

    /// Whether a record would be kept: a test without a copy. Without the feature `orch_logging` this
    /// is a constant, and nothing remains of the calls above.
    fn wants(&self, name: &str) -> bool {
        #[cfg(feature = "cuda")]
        if self.is_silent || self.counter.is_some() {
            // Which positions are wanted is asked when a replay has logged.
            let passes = |log: &orch_log::Recorder| log.settings().filter.passes(name);
            return !self.is_silent && orch_log::ENABLED && orch_log::global().is_some_and(passes);
        }
        orch_log::ENABLED
            && orch_log::global().is_some_and(|log| log.wants(name, self.first as i64, self.rows))
    }

    /// Lends the tensor's own memory to the logger, in whatever layout it is.
    fn write(&self, label: &Label, tensor: &Tensor) {
        let (storage, layout) = tensor.storage_and_layout();
        match &*storage {
            Storage::Cpu(CpuStorage::F32(data)) => self.write_from_host(label, data, layout),
            Storage::Cpu(CpuStorage::F16(data)) => self.write_from_host(label, data, layout),
            Storage::Cpu(CpuStorage::BF16(data)) => self.write_from_host(label, data, layout),
            #[cfg(feature = "cuda")]
            Storage::Cuda(storage) => {
                self.write_from_device(label, storage, layout);
                if orch_log::cuda::reads_at_the_end() {
                    self.kept.borrow_mut().push(tensor.clone());
                }
            }
            _ => {
                // Another type: the numbers have to be copied to be read.
                if let Ok(copy) = Place::default().bring(tensor) {
                    self.write(label, &copy);
                }
            }
        }
    }

    fn write_from_host<T: Element>(&self, label: &Label, data: &[T], layout: &Layout) {
        let strides = strides(layout);
        let (src, inputs) = label.src();
        if let Some(view) =
            TensorView::strided(data, layout.dims(), &strides, layout.start_offset())
        {
            orch_log!(
                &label.name, view, self.first as i64, layout.dims();
                n_tokens = self.rows, step = self.step, op = label.op, src = &src[..inputs]
            );
        }
    }

    /// Enqueues the reading on the device, which waits for nothing.
    #[cfg(feature = "cuda")]
    fn write_from_device(&self, label: &Label, storage: &CudaStorage, layout: &Layout) {
        let (src, inputs) = label.src();
        let (stream, strides) = (storage.device.cuda_stream(), strides(layout));
        let position = self.counter.unwrap_or(Position::from(self.first));
        macro_rules! log {
            ($data:expr, $dtype:literal) => {
                orch_log_cuda!(
                    &label.name, $data.slice(layout.start_offset()..), layout.shape().elem_count(), $dtype, layout.dims(),
                    position, stream; n_tokens = self.rows, op = label.op, src = &src[..inputs], strides = &strides
                )
            };
        }
        match &storage.slice {
            CudaStorageSlice::F32(data) => log!(data, "f32"),
            CudaStorageSlice::F16(data) => log!(data, "f16"),
            CudaStorageSlice::BF16(data) => log!(data, "bf16"),
            // Nothing else comes out of an operation.
            _ => {}
        }
    }

    /// Ends the pass: on a device, what comes next belongs to the next step.
    pub(crate) fn end(&self, _last: &Tensor) {
        #[cfg(feature = "cuda")]
        if let (false, candle_core::Device::Cuda(device)) = (self.is_silent, _last.device()) {
            orch_log_cuda_step!(device.cuda_stream());
        }
        #[cfg(feature = "cuda")]
        self.kept.borrow_mut().clear();
    }
}

/// In elements.
fn strides(layout: &Layout) -> Vec<isize> {
    let strides = layout.stride().iter();
    strides.map(|stride| *stride as isize).collect()
}
