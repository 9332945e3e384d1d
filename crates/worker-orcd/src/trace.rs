//! Hands candle tensors to `orch_log!`.

use candle_core::{CpuStorage, DType, Device, Storage, Tensor};
use orch_log::{TensorView, orch_log};

use crate::model::labels::Label;

/// The place of one forward pass in the trace.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pass {
    /// Absolute position of the first token.
    pub(crate) first: usize,
    /// Tokens in the pass.
    pub(crate) rows: usize,
    /// Forward pass, 0 = prefill.
    pub(crate) step: u64,
}

impl Pass {
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
        if self.wants(&label.name)
            && let Ok(tokens_first) = tensor.transpose(0, 1)
        {
            self.write(label, &tokens_first);
        }
    }

    /// Whether a record would be kept: a test without a copy. Without the feature `orch_logging` this
    /// is a constant, and nothing remains of the calls above.
    fn wants(&self, name: &str) -> bool {
        orch_log::ENABLED
            && orch_log::global().is_some_and(|log| log.wants(name, self.first as i64, self.rows))
    }

    /// Lends the tensor's own memory to the logger, in whatever layout it is.
    fn write(&self, label: &Label, tensor: &Tensor) {
        let (storage, layout) = tensor.storage_and_layout();
        let Storage::Cpu(CpuStorage::F32(data)) = &*storage else {
            // Another device or type: the numbers have to be copied to be read.
            let copy = tensor
                .to_device(&Device::Cpu)
                .and_then(|copy| copy.to_dtype(DType::F32));
            if let Ok(copy) = copy {
                self.write(label, &copy);
            }
            return;
        };
        let strides: Vec<isize> = layout
            .stride()
            .iter()
            .map(|stride| *stride as isize)
            .collect();
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
}
