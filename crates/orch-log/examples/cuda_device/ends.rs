//! Programs that end, and devices that are reset, crash or are captured over and over, while something is logged.

use std::error::Error;
use std::ffi::{CString, c_int, c_uint};
use std::mem::forget;
use std::ptr;
use std::thread;
use std::time::Duration;

use cudarc::driver::sys::{
    CUcontext, CUdevice_attribute, CUgraphInstantiate_flags, CUresult, CUstream,
    CUstreamCaptureMode, cuCtxDestroy_v2, cuCtxSetCurrent, cuCtxSynchronize,
    cuDevicePrimaryCtxReset_v2, cuMemAlloc_v2, cuMemsetD8_v2, cuStreamCreate,
};
use cudarc::driver::{CudaSlice, CudaStream, DriverError, PushKernelArg};
use orch_log::cuda::Position;
use orch_log::{cuda, orch_log_cuda, orch_log_cuda_step};

use crate::Outcome;
use crate::engine::{Engine, grid};

const N: usize = 1024;

fn zeros(engine: &Engine) -> Result<CudaSlice<f32>, DriverError> {
    let buffer = engine.stream.alloc_zeros(N)?;
    engine.stream.synchronize()?;
    Ok(buffer)
}

/// Logs positions, each a tensor full of its position; a hundred are a pass.
fn log_positions(
    name: &str,
    engine: &Engine,
    buffer: &mut CudaSlice<f32>,
    positions: std::ops::Range<usize>,
) -> Outcome {
    let kernel = engine.kernel("fill_with")?;
    let stream = &engine.stream;
    for position in positions {
        let (n, value) = (N as i32, position as f32);
        let mut launch = stream.launch_builder(&kernel);
        launch.arg(&mut *buffer).arg(&n).arg(&value);
        // SAFETY: the kernel's arguments, of its types and sizes.
        unsafe { launch.launch(grid(N))? };
        orch_log_cuda!(name, buffer, N, "f32", [N], position, stream);
        if position % 100 == 99 {
            orch_log_cuda_step!(stream);
        }
    }
    Ok(())
}

fn log_zeros(name: &str, buffer: &CudaSlice<f32>, count: usize, stream: &CudaStream) {
    for position in 0..count {
        orch_log_cuda!(name, buffer, N, "f32", [N], position, stream);
    }
}

fn crash(engine: &Engine) -> Outcome {
    let kernel = engine.kernel("crash")?;
    // SAFETY: it has no arguments.
    unsafe { engine.stream.launch_builder(&kernel).launch(grid(1))? };
    Ok(())
}

/// What was logged before a kernel crashed must be in the trace, although nothing flushes it.
pub(crate) fn crashed() -> Outcome {
    let engine = Engine::new()?;
    let buffer = zeros(&engine)?;
    log_zeros("before_the_crash", &buffer, 100, &engine.stream);
    engine.stream.synchronize()?;
    crash(&engine)?;
    log_zeros("after_the_crash", &buffer, 1, &engine.stream);
    println!("{:?}", engine.stream.synchronize());
    // Freeing what is left of a crashed context would be an error of its own.
    forget((buffer, engine));
    Ok(())
}

/// Resets the device after the crash and goes on, where CUDA lets a process do that.
pub(crate) fn crashed_and_reset() -> Outcome {
    let engine = Engine::new()?;
    let buffer = zeros(&engine)?;
    log_zeros("before_the_crash", &buffer, 100, &engine.stream);
    engine.stream.synchronize()?;
    crash(&engine)?;
    let _ = engine.stream.synchronize();
    log_zeros("after_the_crash", &buffer, 3, &engine.stream);
    forget((buffer, engine));
    reset_device();
    let Ok(engine) = Engine::new() else {
        println!("no reset ends a crash here");
        return Ok(());
    };
    match zeros(&engine) {
        Ok(buffer) => {
            log_zeros("after_the_reset", &buffer, 100, &engine.stream);
            engine.stream.synchronize()?;
            forget((buffer, engine));
        }
        Err(_) => {
            println!("no reset ends a crash here");
            forget(engine);
        }
    }
    Ok(())
}

/// The same after replays of a graph.
pub(crate) fn crashed_after_replays(replays: usize) -> Outcome {
    let engine = Engine::new()?;
    let buffer = zeros(&engine)?;
    let mut position: CudaSlice<i32> = engine.stream.alloc_zeros(1)?;
    let (stream, advance) = (&engine.stream, engine.kernel("advance")?);
    stream.synchronize()?;
    stream.begin_capture(CUstreamCaptureMode::CU_STREAM_CAPTURE_MODE_GLOBAL)?;
    orch_log_cuda!("before_the_crash", buffer, N, "f32", [N], &position, stream);
    orch_log_cuda_step!(stream);
    let mut launch = stream.launch_builder(&advance);
    launch.arg(&mut position);
    // SAFETY: the kernel's arguments, of its types and sizes.
    unsafe { launch.launch(grid(1))? };
    let graph = stream
        .end_capture(CUgraphInstantiate_flags::CUDA_GRAPH_INSTANTIATE_FLAG_AUTO_FREE_ON_LAUNCH)?
        .ok_or("no graph")?;
    for _ in 0..replays {
        graph.launch()?;
    }
    stream.synchronize()?;
    crash(&engine)?;
    println!("{:?}", stream.synchronize());
    let _ = graph.launch();
    forget((graph, buffer, position, advance, engine));
    Ok(())
}

/// Exits without a flush while the device has long finished.
pub(crate) fn no_flush() -> Outcome {
    let engine = Engine::new()?;
    let buffer = zeros(&engine)?;
    log_zeros("unflushed", &buffer, 1000, &engine.stream);
    engine.stream.synchronize()?;
    Ok(())
}

/// Ends in the middle of its work: what has not come by then is counted.
pub(crate) fn exit_in_flight(count: usize) -> Outcome {
    let engine = Engine::new()?;
    let mut buffer = zeros(&engine)?;
    log_positions("in_flight", &engine, &mut buffer, 0..count)?;
    std::process::exit(0);
}

fn reset_device() {
    // SAFETY: everything of the device's was given up before.
    let _ = unsafe { cuDevicePrimaryCtxReset_v2(0) };
}

/// Resets the device again and again while the logger's thread reads: when all has arrived, or in the middle of its work.
pub(crate) fn reset(count: usize, is_finished: bool) -> Outcome {
    let name = if is_finished { "reset" } else { "in_flight" };
    for round in 0..4 {
        let engine = Engine::new()?;
        let mut buffer = zeros(&engine)?;
        let positions = count / 4 * round..count / 4 * (round + 1);
        log_positions(name, &engine, &mut buffer, positions)?;
        if is_finished {
            engine.stream.synchronize()?;
        }
        forget((buffer, engine));
        reset_device();
    }
    if is_finished {
        cuda::flush()?;
    }
    Ok(())
}

/// An engine that captures a graph for each pass and throws it away.
pub(crate) fn recapture(count: usize) -> Outcome {
    let engine = Engine::new()?;
    let mut buffer = zeros(&engine)?;
    let stream = &engine.stream;
    for position in 0..count {
        stream.begin_capture(CUstreamCaptureMode::CU_STREAM_CAPTURE_MODE_GLOBAL)?;
        log_positions("recaptured", &engine, &mut buffer, position..position + 1)?;
        orch_log_cuda_step!(stream);
        let graph = stream
            .end_capture(CUgraphInstantiate_flags::CUDA_GRAPH_INSTANTIATE_FLAG_AUTO_FREE_ON_LAUNCH)?
            .ok_or("no graph")?;
        graph.launch()?;
        stream.synchronize()?;
    }
    cuda::flush()?;
    Ok(())
}

/// What failed, as an error.
fn done(code: CUresult) -> Result<(), DriverError> {
    code.result()
}

/// A context that the engine made itself; current afterwards.
struct OwnContext {
    context: CUcontext,
    stream: CUstream,
    buffer: u64,
}

impl OwnContext {
    fn new() -> Result<Self, Box<dyn Error>> {
        type Create = unsafe extern "C" fn(*mut CUcontext, c_uint, c_int) -> CUresult;
        let name = CString::new("cuCtxCreate_v2")?;
        let mut own = Self {
            context: ptr::null_mut(),
            stream: ptr::null_mut(),
            buffer: 0,
        };
        // SAFETY: the driver is loaded, exports this function under every version, and its type is as documented; room for
        // what it and the others make.
        unsafe {
            let driver = libc::dlopen(c"libcuda.so.1".as_ptr(), libc::RTLD_NOW);
            let create = libc::dlsym(driver, name.as_ptr());
            if create.is_null() {
                return Err("the driver makes no contexts".into());
            }
            let create = std::mem::transmute::<*mut std::ffi::c_void, Create>(create);
            done(create(&mut own.context, 0, 0))?;
            done(cuMemAlloc_v2(&mut own.buffer, 4 * N))?;
            done(cuMemsetD8_v2(own.buffer, 0, 4 * N))?;
            done(cuStreamCreate(&mut own.stream, 0))?;
            done(cuCtxSynchronize())?;
        }
        Ok(own)
    }

    fn make_current(&self) -> Outcome {
        // SAFETY: a context that is not destroyed yet.
        Ok(done(unsafe { cuCtxSetCurrent(self.context) })?)
    }
}

/// Contexts of the engine's own, none of which is current where it logs; one is destroyed and made again.
pub(crate) fn contexts(count: usize) -> Outcome {
    let _engine = Engine::new()?;
    let mut all = [OwnContext::new()?, OwnContext::new()?];
    for round in 0..2 {
        for which in 0..2 {
            all[1 - which].make_current()?;
            let name = ["first", "second"][which];
            for i in 0..count / 2 {
                let position = count / 2 * round + i;
                orch_log_cuda!(
                    name,
                    all[which].buffer,
                    N,
                    "f32",
                    [N],
                    position,
                    all[which].stream
                );
            }
        }
        cuda::flush()?;
        all[0].make_current()?;
        // SAFETY: nothing of it is used after this.
        done(unsafe { cuCtxDestroy_v2(all[1].context) })?;
        if round == 0 {
            all[1] = OwnContext::new()?;
        }
    }
    Ok(())
}

/// Streams of two devices, where the other one is current.
pub(crate) fn devices(count: usize) -> Outcome {
    let engines = [Engine::on(0)?, Engine::on(1)?];
    let buffers = [zeros(&engines[0])?, zeros(&engines[1])?];
    for position in 0..count {
        for which in 0..2 {
            engines[1 - which].context.bind_to_thread()?;
            let name = ["first", "second"][which];
            let stream = &engines[which].stream;
            orch_log_cuda!(name, buffers[which], N, "f32", [N], position, stream);
        }
    }
    cuda::flush()?;
    Ok(())
}

/// Host memory where device memory should be: refused, and the engine's context lives on.
pub(crate) fn host_memory() -> Outcome {
    let engine = Engine::new()?;
    let (buffer, stream) = (zeros(&engine)?, &engine.stream);
    let (on_host, position) = (vec![0f32; N], 3i32);
    orch_log_cuda!("host", on_host.as_ptr(), N, "f32", [N], 0, stream);
    let counter = Position::counter_i32((&raw const position).addr() as u64, 0);
    orch_log_cuda!("host", buffer, N, "f32", [N], counter, stream);
    log_zeros("device", &buffer, 10, stream);
    stream.synchronize()?;
    // What the logger's thread has to do it does in microseconds.
    thread::sleep(Duration::from_millis(10));
    let reads_host = engine
        .context
        .attribute(CUdevice_attribute::CU_DEVICE_ATTRIBUTE_PAGEABLE_MEMORY_ACCESS)?;
    let dropped = orch_log::global().map(|recorder| recorder.status().dropped);
    let expected = if reads_host == 0 { 2 } else { 0 };
    if dropped != Some(expected) {
        return Err(format!("{dropped:?} dropped, expected {expected}").into());
    }
    Ok(())
}
