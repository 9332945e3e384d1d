//! Logging a tensor that lies in device memory.

use std::io;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::argument::{DeviceData, DeviceStream, Position};
use super::enqueue::enqueue;
use super::poller::{self, Poller};
use super::settings::{DeviceSettings, Mode};
use super::step::end_step;
use super::tensor::{Tensor, axes_of, element_type, strides_of};
use crate::format::Event;
use crate::recorder::Recorder;

/// What a call of `orch_log_cuda!` says besides the event.
#[derive(Debug)]
pub(super) struct Call<'a, D> {
    /// Where the tensor lies.
    pub(super) data: D,
    /// Elements.
    pub(super) count: u64,
    /// Where in the sequence.
    pub(super) position: Position,
    /// In elements, one for each axis of the shape; none without gaps.
    pub(super) strides: Option<&'a [isize]>,
}

/// Logs a tensor; what `orch_log_cuda!` expands to. The outcome is kept in the recorder's status.
pub(super) fn log<D: DeviceData>(
    recorder: &'static Recorder,
    event: &Event<'_>,
    call: &Call<'_, D>,
    stream: &impl DeviceStream,
) {
    if !recorder.wants(
        event.checkpoint,
        call.position.value,
        event.n_tokens.unwrap_or(1),
    ) && call.position.bits == 0
    {
        return;
    }
    let dtype = event.dtype.or(D::ELEMENT);
    let (Some(of), Some(strides)) = (
        dtype.and_then(|dtype| element_type(D::ELEMENT, dtype)),
        strides_of(call.strides, event.shape, call.count),
    ) else {
        let _ = recorder.refuse();
        return;
    };
    let (shape, axes) = axes_of(event.shape, call.count);
    let outcome = Poller::instance()
        .device(recorder, stream.raw())
        .and_then(|device| {
            call.data.with_address(stream.cudarc(), |address| {
                let tensor = Tensor {
                    address,
                    is_known: D::IS_KNOWN,
                    of,
                    count: call.count,
                    shape,
                    axes,
                    strides,
                };
                enqueue(
                    device,
                    recorder.settings().detail,
                    event,
                    &tensor,
                    call.position,
                    stream.raw(),
                )
            })
        });
    if let Err(error) = outcome {
        poller::tell(recorder, &error);
    }
}

/// Ends a forward pass; what `orch_log_cuda_step!` expands to.
pub fn step(recorder: &'static Recorder, stream: &impl DeviceStream) {
    let outcome = Poller::instance()
        .device(recorder, stream.raw())
        .and_then(|device| end_step(device, recorder.settings().detail, stream.raw()));
    if let Err(error) = outcome {
        poller::tell(recorder, &error);
    }
}

pub(super) static COUNTS_STEPS: AtomicBool = AtomicBool::new(false);

/// Says that the engine ends each of its passes with `orch_log_cuda_step!`: every tensor that is logged from now on says which
/// pass it belongs to, the first as step 0. Costs a store, and may be called as often as one likes, before there is a device too.
///
/// Without it a record cannot know whether its pass will be ended: those of the first pass say no step, all later ones do.
pub fn count_steps() {
    COUNTS_STEPS.store(true, Ordering::Relaxed);
}

/// Waits for the devices and returns when everything that they logged is on the disk; the only call here that
/// waits. Without a trace, at once.
///
/// # Errors
///
/// The operating system could not write it.
pub fn flush() -> io::Result<()> {
    let Some(recorder) = crate::global::started() else {
        return Ok(());
    };
    Poller::instance().finish();
    recorder.flush()
}

/// How long passes have waited at their ends for the host to catch up, which they do with `ORCH_LOG_CUDA_WAIT` alone.
pub fn waited() -> Duration {
    match crate::global::started() {
        Some(_) => Duration::from_nanos(Poller::instance().waited_ns()),
        None => Duration::ZERO,
    }
}

/// Whether logged tensors have to stay as they are until `orch_log_cuda_step!`, as they have with
/// `ORCH_LOG_CUDA_MODE=side`. An engine whose allocator gives their memory to later tensors keeps them for that long.
pub fn reads_at_the_end() -> bool {
    static ANSWER: OnceLock<bool> = OnceLock::new();
    *ANSWER.get_or_init(|| {
        let (settings, _) = DeviceSettings::from_lookup(|name| std::env::var_os(name));
        settings.mode == Mode::Side
    })
}
