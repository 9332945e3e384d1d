//! ggml's own kernels on tensors of ours.

use std::ffi::c_void;

use llama_cpp_sys_2 as sys;

use crate::Error;

/// The numbers that blocks of a type hold; `None` for a type that ggml does not widen.
pub(super) fn widen(kind: sys::ggml_type, bytes: &[u8], count: usize) -> Option<Vec<f32>> {
    if kind == sys::GGML_TYPE_F32 {
        let (numbers, _) = bytes.as_chunks::<4>();
        return Some(numbers.iter().map(|b| f32::from_le_bytes(*b)).collect());
    }
    let elements = i64::try_from(count).ok()?;
    let mut out = vec![0.0; count];
    // SAFETY: ggml's table has an entry for each type. `bytes` holds as many whole blocks as `count` elements have,
    // which `ggml_row_size` counted; `out` has room for them.
    unsafe {
        let widen = (*sys::ggml_get_type_traits(kind)).to_float?;
        widen(bytes.as_ptr().cast::<c_void>(), out.as_mut_ptr(), elements);
    }
    Some(out)
}

/// A product of activations and rows of a weight.
pub(super) struct Product<'x> {
    pub(super) kind: sys::ggml_type,
    pub(super) inputs: usize,
    pub(super) outputs: usize,
    /// Rows of `inputs` elements.
    pub(super) x: &'x [f32],
    pub(super) threads: usize,
}

/// A context that is freed.
struct Scratch(*mut sys::ggml_context);

impl Drop for Scratch {
    fn drop(&mut self) {
        // SAFETY: owned, and not null.
        unsafe { sys::ggml_free(self.0) }
    }
}

impl Product<'_> {
    /// `[rows of x, outputs]`, with the weight's bytes written by `fill`; `None` where ggml does not compute it.
    pub(super) fn compute(
        &self,
        fill: impl FnOnce(&mut [u8]) -> Result<(), Error>,
    ) -> Result<Option<Vec<f32>>, Error> {
        let tokens = self.x.len() / self.inputs;
        let dims = [self.inputs, self.outputs, tokens].map(i64::try_from);
        let [Ok(inputs), Ok(outputs), Ok(columns)] = dims else {
            return Ok(None);
        };
        // SAFETY: the context is as large as its three tensors with their headers and the graph, so that ggml gives
        // pointers that are not null; each buffer is written and read within the size that ggml gives it.
        unsafe {
            let weight_bytes = sys::ggml_row_size(self.kind, inputs) * self.outputs;
            let data_bytes = weight_bytes + 4 * (self.x.len() + self.outputs * tokens);
            let slack = 8 * sys::ggml_tensor_overhead() + sys::ggml_graph_overhead() + 4096;
            let scratch = sys::ggml_init(sys::ggml_init_params {
                mem_size: data_bytes + slack,
                mem_buffer: std::ptr::null_mut(),
                no_alloc: false,
            });
            if scratch.is_null() {
                return Ok(None);
            }
            let scratch = Scratch(scratch);
            let weight = sys::ggml_new_tensor_2d(scratch.0, self.kind, inputs, outputs);
            let x = sys::ggml_new_tensor_2d(scratch.0, sys::GGML_TYPE_F32, inputs, columns);
            fill(std::slice::from_raw_parts_mut(
                (*weight).data.cast::<u8>(),
                weight_bytes,
            ))?;
            std::slice::from_raw_parts_mut((*x).data.cast::<f32>(), self.x.len())
                .copy_from_slice(self.x);
            let product = sys::ggml_mul_mat(scratch.0, weight, x);
            let graph = sys::ggml_new_graph(scratch.0);
            sys::ggml_build_forward_expand(graph, product);
            let threads = std::ffi::c_int::try_from(self.threads.max(1)).unwrap_or(1);
            let mut plan = sys::ggml_graph_plan(graph, threads, std::ptr::null_mut());
            let mut work = vec![0_u8; plan.work_size];
            plan.work_data = work.as_mut_ptr();
            if sys::ggml_graph_compute(graph, &mut plan) != sys::GGML_STATUS_SUCCESS {
                return Ok(None);
            }
            let found = (*product).data.cast::<f32>();
            Ok(Some(
                std::slice::from_raw_parts(found, self.outputs * tokens).to_vec(),
            ))
        }
    }
}
