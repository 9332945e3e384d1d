//! Logging from the device: tensors in GPU memory, without copying them to the host, without synchronising, inside
//! CUDA graphs too (feature `cuda`).
//!
//! ```no_run
//! # use std::sync::Arc;
//! # use orch_log::{cuda, orch_log_cuda, orch_log_cuda_step};
//! # use cudarc::driver::{CudaSlice, CudaStream};
//! # fn start() {
//! cuda::count_steps(); // once, at the start: the engine ends its passes
//! # }
//! # fn pass(output: &CudaSlice<f32>, position: usize, stream: &Arc<CudaStream>) {
//! orch_log_cuda!("layer_0_output", output, 896, "f32", [1, 896], position, stream);
//! // … at the end of each forward pass:
//! orch_log_cuda_step!(stream);
//! # }
//! ```
//!
//! The device computes statistics, sketch and first values in one pass and writes a record into a ring in mapped host
//! memory, at a place that it counts itself, so that a graph's replays do not overwrite each other's; a thread writes
//! them to the trace. The kernels are those of `cpp/orch_log_cuda.cuh`, compiled by NVRTC when first needed. Neither
//! CUDA nor its headers are needed to build, and a program without CUDA goes on without a record.
//!
//! Settings: those of the recorder, and `ORCH_LOG_CUDA_MODE`, `_SNAPSHOTS`, `_SLOTS`, `_BUFFERS` and `_WAIT`, see
//! `docs/cuda.md`.

mod argument;
mod buffers;
mod cache;
mod capture;
mod device;
mod driver;
mod dynamic;
mod enqueue;
mod error;
mod lane;
mod launch;
mod log;
mod macros;
mod nvrtc;
mod payloads;
mod poller;
mod program;
mod put_off;
mod reader;
mod settings;
mod sites;
mod slot;
mod snapshot;
mod state;
mod step;
mod tensor;
#[cfg(test)]
mod tests;

pub use argument::{DeviceData, DeviceStream, Position};
pub use log::{count_steps, flush, reads_at_the_end, waited};
#[doc(hidden)]
pub use macros::__private;
