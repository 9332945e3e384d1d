//! candle tensors as data of `orch_log!` (feature `candle`).

use candle_core::{CpuStorage, Device, Storage, Tensor};

use crate::format::Event;
use crate::recorder::{Logged, Recorder};
use crate::tensor::{Element, F8E4m3, Loggable, TensorView};

/// Tensors in host memory are read where they are, in any layout. One on a device is copied to the host
/// first, which waits for the device; the record says its own type all the same.
///
/// Elements of less than eight bits cannot be logged; such a record counts as dropped.
impl Loggable for Tensor {
    fn log_to(&self, recorder: &Recorder, event: &Event<'_>) -> Logged {
        let n_tokens = event.n_tokens.unwrap_or(1);
        if !recorder.wants(event.checkpoint, event.token_idx, n_tokens) {
            return Logged::Filtered;
        }
        log_where_it_is(self, recorder, event)
            .or_else(|| log_where_it_is(&self.to_device(&Device::Cpu).ok()?, recorder, event))
            .unwrap_or_else(|| recorder.refuse())
    }
}

/// `None` for a tensor that is not in host memory.
fn log_where_it_is(tensor: &Tensor, recorder: &Recorder, event: &Event<'_>) -> Option<Logged> {
    let (storage, layout) = tensor.storage_and_layout();
    let Storage::Cpu(storage) = &*storage else {
        return None;
    };
    Some(match storage {
        CpuStorage::U8(data) => log(recorder, event, data, layout),
        CpuStorage::U32(data) => log(recorder, event, data, layout),
        CpuStorage::I16(data) => log(recorder, event, data, layout),
        CpuStorage::I32(data) => log(recorder, event, data, layout),
        CpuStorage::I64(data) => log(recorder, event, data, layout),
        CpuStorage::BF16(data) => log(recorder, event, data, layout),
        CpuStorage::F16(data) => log(recorder, event, data, layout),
        CpuStorage::F32(data) => log(recorder, event, data, layout),
        CpuStorage::F64(data) => log(recorder, event, data, layout),
        CpuStorage::F8E4M3(data) => {
            let bits: Vec<F8E4m3> = data
                .iter()
                .map(|element| F8E4m3(element.to_bits()))
                .collect();
            log(recorder, event, &bits, layout)
        }
        CpuStorage::F6E2M3(_)
        | CpuStorage::F6E3M2(_)
        | CpuStorage::F4(_)
        | CpuStorage::F8E8M0(_) => recorder.refuse(),
    })
}

fn log<T: Element>(
    recorder: &Recorder,
    event: &Event<'_>,
    data: &[T],
    layout: &candle_core::Layout,
) -> Logged {
    // candle's strides count elements, and are never negative.
    let strides: Option<Vec<isize>> = layout
        .stride()
        .iter()
        .map(|stride| isize::try_from(*stride).ok())
        .collect();
    strides
        .and_then(|strides| {
            TensorView::strided(data, layout.dims(), &strides, layout.start_offset())
        })
        .map_or_else(|| recorder.refuse(), |view| recorder.log(event, view))
}
