//! What logging from the device costs: a step of 289 checkpoints in a graph and eagerly, beside the copy that everybody
//! writes first, and the speed of the one-pass summary beside that of a copy.

use std::time::Instant;

use cudarc::driver::sys::{CUevent_flags, CUgraphInstantiate_flags, CUstreamCaptureMode};
use cudarc::driver::{CudaFunction, CudaSlice, DevicePtr};
use orch_log::{cuda, orch_log_cuda, orch_log_cuda_step};

use crate::Outcome;
use crate::engine::{Engine, mix};

const CHECKPOINTS: usize = 289;
const N: usize = 4864;
const STEPS: usize = 60;

/// What happens after each kernel of the engine.
#[derive(Clone, Copy, PartialEq)]
enum After {
    Nothing,
    Log,
    CopyAndSynchronise,
}

struct Steps {
    engine: Engine,
    kernel: CudaFunction,
    a: CudaSlice<f32>,
    b: CudaSlice<f32>,
    host: Vec<f32>,
    names: Vec<String>,
}

impl Steps {
    fn new() -> Result<Self, Box<dyn std::error::Error>> {
        let engine = Engine::new()?;
        let (a, b) = (engine.stream.alloc_zeros(N)?, engine.stream.alloc_zeros(N)?);
        engine.stream.synchronize()?;
        Ok(Self {
            kernel: engine.kernel("mix")?,
            engine,
            a,
            b,
            host: vec![0.0; N],
            names: (0..CHECKPOINTS)
                .map(|i| format!("checkpoint_{i}"))
                .collect(),
        })
    }

    fn step(&mut self, after: After, at: usize) -> Outcome {
        let stream = &self.engine.stream;
        for (layer, name) in self.names.iter().enumerate() {
            mix(stream, &self.kernel, &self.a, &mut self.b, layer)?;
            std::mem::swap(&mut self.a, &mut self.b);
            match after {
                After::Nothing => {}
                After::Log => orch_log_cuda!(name, self.a, N, "f32", [N], at, stream),
                After::CopyAndSynchronise => {
                    stream.memcpy_dtoh(&self.a, &mut self.host)?;
                    stream.synchronize()?;
                }
            }
        }
        if after == After::Log {
            orch_log_cuda_step!(stream);
        }
        Ok(())
    }
}

/// Median microseconds of a step from its launch to its end.
fn time(mut step: impl FnMut(usize) -> Outcome) -> Result<f64, Box<dyn std::error::Error>> {
    let mut samples = Vec::new();
    for i in 0..STEPS {
        let start = Instant::now();
        step(i)?;
        if i >= 10 {
            samples.push(start.elapsed().as_secs_f64() * 1e6);
        }
    }
    Ok(median(samples))
}

fn median(mut samples: Vec<f64>) -> f64 {
    samples.sort_by(f64::total_cmp);
    samples[samples.len() / 2]
}

fn eager(after: After) -> Result<f64, Box<dyn std::error::Error>> {
    let mut steps = Steps::new()?;
    time(|at| {
        steps.step(after, at)?;
        Ok(steps.engine.stream.synchronize()?)
    })
}

fn in_graph(after: After) -> Result<f64, Box<dyn std::error::Error>> {
    let mut steps = Steps::new()?;
    let stream = steps.engine.stream.clone();
    stream.begin_capture(CUstreamCaptureMode::CU_STREAM_CAPTURE_MODE_GLOBAL)?;
    steps.step(after, 0)?;
    let graph = stream
        .end_capture(CUgraphInstantiate_flags::CUDA_GRAPH_INSTANTIATE_FLAG_AUTO_FREE_ON_LAUNCH)?
        .ok_or("no graph")?;
    time(|_| {
        graph.launch()?;
        Ok(stream.synchronize()?)
    })
}

pub(crate) fn logged(is_graph: bool) -> Outcome {
    let run = if is_graph { in_graph } else { eager };
    let (base, logged) = (run(After::Nothing)?, run(After::Log)?);
    println!(
        "step {base:8.0} us, with logging {logged:8.0} us: {:+6.2} us a checkpoint",
        (logged - base) / CHECKPOINTS as f64
    );
    cuda::flush()?;
    if let Some(recorder) = orch_log::global() {
        let status = recorder.status();
        let waited = cuda::waited();
        if !status.is_complete() || !waited.is_zero() {
            println!(
                "    lost {} records, {} payloads; waited {:.0} us a step",
                status.dropped,
                status.payloads_dropped,
                waited.as_secs_f64() * 1e6 / STEPS as f64
            );
        }
    }
    Ok(())
}

pub(crate) fn naive() -> Outcome {
    let (base, copied) = (eager(After::Nothing)?, eager(After::CopyAndSynchronise)?);
    println!(
        "step {base:8.0} us, copy and synchronise {copied:5.0} us: {:+6.2} us a checkpoint",
        (copied - base) / CHECKPOINTS as f64
    );
    Ok(())
}

pub(crate) fn bandwidth() -> Outcome {
    let engine = Engine::new()?;
    let stream = &engine.stream;
    const BYTES: usize = 1 << 30;
    let from = stream.clone_htod(&vec![0x3cu8; BYTES])?;
    let mut to: CudaSlice<u8> = stream.alloc_zeros(BYTES)?;
    let event = || {
        engine
            .context
            .new_event(Some(CUevent_flags::CU_EVENT_DEFAULT))
    };
    for (dtype, size) in [("f32", 4), ("f16", 2), ("bf16", 2), ("f8_e4m3", 1)] {
        let (mut copies, mut logs) = (Vec::new(), Vec::new());
        for i in 0..12 {
            let (start, middle, end) = (event()?, event()?, event()?);
            start.record(stream)?;
            stream.memcpy_dtod(&from, &mut to)?;
            middle.record(stream)?;
            orch_log_cuda!(
                "bandwidth",
                from.device_ptr(stream).0,
                BYTES / size,
                dtype,
                "[]",
                i,
                stream
            );
            end.record(stream)?;
            stream.synchronize()?;
            if i >= 2 {
                copies.push(f64::from(start.elapsed_ms(&middle)?));
                logs.push(f64::from(middle.elapsed_ms(&end)?));
            }
        }
        let gigabytes = BYTES as f64 / 1e9;
        let (copy, log) = (median(copies), median(logs));
        println!(
            "{dtype:8} summary {:7.0} GB/s   copy (read and write) {:7.0} GB/s   {:3.0} %",
            gigabytes / log * 1e3,
            2.0 * gigabytes / copy * 1e3,
            100.0 * copy / 2.0 / log
        );
    }
    Ok(())
}
