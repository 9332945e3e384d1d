//! What is logged for `cpp/tests/cuda/check_cuda.py` to look at.

use std::thread;
use std::time::Duration;

use cudarc::driver::sys::{CUgraphInstantiate_flags, CUstreamCaptureMode};
use cudarc::driver::{CudaSlice, DevicePtr, PushKernelArg};
use orch_log::{
    Element, F8E4m3, F8E5m2, TensorView, cuda, orch_log, orch_log_cuda, orch_log_cuda_step,
};

use crate::Outcome;
use crate::engine::{Engine, grid, mix};

/// xorshift64*, so that every machine tests the same bytes.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }
}

const SIZES: [usize; 15] = [
    0, 1, 15, 16, 17, 255, 256, 257, 896, 4096, 5000, 65536, 70001, 151936, MOST,
];
const MOST: usize = 1_500_000;

struct Types {
    engine: Engine,
    room: CudaSlice<u8>,
    cases: usize,
}

impl Types {
    /// The same elements by the device, `shift` bytes off, and by the host.
    fn log<T: Element>(&mut self, data: &[T], shift: usize) -> Outcome {
        // SAFETY: elements are plain numbers.
        let bytes =
            unsafe { std::slice::from_raw_parts(data.as_ptr().cast::<u8>(), size_of_val(data)) };
        let stream = &self.engine.stream;
        if !bytes.is_empty() {
            stream.memcpy_htod(bytes, &mut self.room.slice_mut(shift..shift + bytes.len()))?;
        }
        let address = self.room.device_ptr(stream).0 + shift as u64;
        orch_log!("host", TensorView::new(data), self.cases);
        orch_log_cuda!(
            "device",
            address,
            data.len(),
            T::DTYPE.name(),
            [data.len()],
            self.cases,
            stream
        );
        stream.synchronize()?;
        self.cases += 1;
        Ok(())
    }

    fn each<T: Element>(&mut self, random: &mut Random, make: impl Fn(u64) -> T) -> Outcome {
        for count in SIZES {
            for shift in [0, 1, 6] {
                if shift == 0 || count <= 5000 {
                    let data: Vec<T> = (0..count).map(|_| make(random.next() >> 11)).collect();
                    self.log(&data, shift)?;
                }
            }
        }
        Ok(())
    }
}

/// Every element type at many sizes and addresses.
pub(crate) fn types() -> Outcome {
    let engine = Engine::new()?;
    let room = engine.stream.alloc_zeros(MOST * 8 + 64)?;
    let mut types = Types {
        engine,
        room,
        cases: 0,
    };
    let random = &mut Random(7);
    types.each(random, |bits| bits as f32 / (1u64 << 52) as f32 - 1.0)?;
    types.each(random, |bits| f32::from_bits(bits as u32))?;
    types.each(random, |bits| f64::from_bits(bits << 11))?;
    types.each(random, |bits| half::f16::from_bits(bits as u16))?;
    types.each(random, |bits| half::bf16::from_bits(bits as u16))?;
    types.each(random, |bits| F8E4m3(bits as u8))?;
    types.each(random, |bits| F8E5m2(bits as u8))?;
    types.each(random, |bits| (bits << 11) as i64)?;
    types.each(random, |bits| bits as i32)?;
    types.each(random, |bits| bits as i16)?;
    types.each(random, |bits| bits as i8)?;
    types.each(random, |bits| bits << 11)?;
    types.each(random, |bits| bits as u32)?;
    types.each(random, |bits| bits as u16)?;
    types.each(random, |bits| bits as u8)?;
    types.each(random, |bits| bits.is_multiple_of(2))?;
    cuda::flush()?;
    println!("{} cases", types.cases);
    Ok(())
}

/// Transposed, reversed, broadcast and gapped views.
pub(crate) fn strides() -> Outcome {
    let engine = Engine::new()?;
    const ROWS: usize = 37;
    const COLUMNS: usize = 53;
    let mut random = Random(11);
    let host: Vec<f32> = (0..ROWS * COLUMNS * 4)
        .map(|_| (random.next() >> 40) as f32 / 1000.0)
        .collect();
    let device = engine.stream.clone_htod(&host)?;
    let c = COLUMNS as isize;
    let cases: [(usize, &[usize], &[isize]); 7] = [
        (0, &[ROWS, COLUMNS], &[c, 1]),
        (0, &[COLUMNS, ROWS], &[1, c]),
        ((ROWS - 1) * COLUMNS, &[ROWS, COLUMNS], &[-c, 1]),
        (0, &[ROWS, COLUMNS], &[0, 1]),
        (0, &[ROWS, COLUMNS], &[2 * c, 2]),
        (5, &[2, 3, 4, 5], &[400, 90, 7, 2]),
        (
            0,
            &[4, ROWS, COLUMNS],
            &[ROWS as isize * c, 1, ROWS as isize],
        ),
    ];
    for (number, (offset, shape, strides)) in cases.into_iter().enumerate() {
        let view = TensorView::strided(&host, shape, strides, offset).ok_or("outside the data")?;
        orch_log!("host", view, number);
        let n: usize = shape.iter().product();
        let address = device.device_ptr(&engine.stream).0 + 4 * offset as u64;
        orch_log_cuda!("device", address, n, "f32", shape, number, engine.stream; strides = strides);
    }
    orch_log_cuda_step!(engine.stream);
    cuda::flush()?;
    println!("{} views", cases.len());
    Ok(())
}

/// Elements without gaps at any address, whose shape, as the engine says it, does not fit them.
pub(crate) fn odd_shapes() -> Outcome {
    const COUNT: usize = 5000;
    let engine = Engine::new()?;
    let mut random = Random(13);
    let host: Vec<i32> = (0..COUNT).map(|_| (random.next() >> 35) as i32).collect();
    let bytes: Vec<u8> = host.iter().flat_map(|x| x.to_ne_bytes()).collect();
    let mut cases = 0;
    for shift in [0, 1] {
        let device = engine
            .stream
            .clone_htod(&[&bytes[..shift], &bytes].concat())?;
        let address = device.device_ptr(&engine.stream).0 + shift as u64;
        for shape in [&[7][..], &[3, 11], &[], &[COUNT, 2]] {
            orch_log!("host", &host, cases, shape);
            orch_log_cuda!("device", address, COUNT, "i32", shape, cases, engine.stream);
            cases += 1;
        }
        engine.stream.synchronize()?;
    }
    cuda::flush()?;
    println!("{cases} shapes");
    Ok(())
}

/// A captured step of 289 checkpoints that reuses one buffer, replayed `replays` times, `pause_ms` after each.
pub(crate) fn replay(replays: usize, pause_ms: u64) -> Outcome {
    const CHECKPOINTS: usize = 289;
    const N: usize = 896;
    let engine = Engine::new()?;
    let (fill, advance) = (engine.kernel("fill")?, engine.kernel("advance")?);
    // One buffer for all, as engines do; `side` is for those that do not.
    let is_side = std::env::var("ORCH_LOG_CUDA_MODE").is_ok_and(|mode| mode == "side");
    let count = if is_side { CHECKPOINTS } else { 1 };
    let stream = &engine.stream;
    let mut buffers: Vec<CudaSlice<f32>> = (0..count)
        .map(|_| stream.alloc_zeros(N))
        .collect::<Result<_, _>>()?;
    let mut position: CudaSlice<i32> = stream.alloc_zeros(1)?;
    stream.synchronize()?;
    stream.begin_capture(CUstreamCaptureMode::CU_STREAM_CAPTURE_MODE_GLOBAL)?;
    for layer in 0..CHECKPOINTS {
        let buffer = &mut buffers[layer % count];
        let (n, number) = (N as i32, layer as i32);
        let mut launch = stream.launch_builder(&fill);
        launch.arg(&mut *buffer).arg(&n).arg(&position).arg(&number);
        // SAFETY: the kernel's arguments, of its types and sizes.
        unsafe { launch.launch(grid(N))? };
        orch_log_cuda!(
            format!("checkpoint_{layer}"),
            buffer,
            N,
            "f32",
            "[896]",
            &position,
            stream
        );
    }
    orch_log_cuda_step!(stream);
    let mut launch = stream.launch_builder(&advance);
    launch.arg(&mut position);
    // SAFETY: as above.
    unsafe { launch.launch(grid(1))? };
    let graph = stream
        .end_capture(CUgraphInstantiate_flags::CUDA_GRAPH_INSTANTIATE_FLAG_AUTO_FREE_ON_LAUNCH)?
        .ok_or("no graph")?;
    for _ in 0..replays {
        graph.launch()?;
        if pause_ms > 0 {
            thread::sleep(Duration::from_millis(pause_ms));
        }
    }
    cuda::flush()?;
    report(CHECKPOINTS * replays);
    Ok(())
}

fn report(expected: usize) {
    let Some(recorder) = orch_log::global() else {
        return;
    };
    let status = recorder.status();
    println!(
        "{expected} records expected, {} written, {} dropped, {} payloads dropped",
        status.written, status.dropped, status.payloads_dropped
    );
}

/// A step whose output is printed as a hash: with and without logging, eager and captured, it must be the same.
pub(crate) fn engine(in_graph: bool, steps: usize) -> Outcome {
    const LAYERS: usize = 40;
    const N: usize = 4864;
    let engine = Engine::new()?;
    let (stream, kernel) = (&engine.stream, engine.kernel("mix")?);
    let start: Vec<f32> = (0..N).map(|i| ((i * 37) % 101) as f32 / 101.0).collect();
    let mut a = stream.clone_htod(&start)?;
    let mut b: CudaSlice<f32> = stream.alloc_zeros(N)?;
    stream.synchronize()?;
    let mut step = |at: usize| -> Outcome {
        for layer in 0..LAYERS {
            mix(stream, &kernel, &a, &mut b, layer)?;
            orch_log_cuda!(
                format!("layer_{layer}_output"),
                b,
                N,
                "f32",
                "[4864]",
                at,
                stream
            );
            std::mem::swap(&mut a, &mut b);
        }
        orch_log_cuda_step!(stream);
        Ok(())
    };
    if in_graph {
        stream.begin_capture(CUstreamCaptureMode::CU_STREAM_CAPTURE_MODE_GLOBAL)?;
        step(0)?;
        let graph = stream
            .end_capture(CUgraphInstantiate_flags::CUDA_GRAPH_INSTANTIATE_FLAG_AUTO_FREE_ON_LAUNCH)?
            .ok_or("no graph")?;
        for _ in 0..steps {
            graph.launch()?;
        }
    } else {
        for at in 0..steps {
            step(at)?;
        }
    }
    stream.synchronize()?;
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    for x in stream.clone_dtoh(&a)? {
        hash = (hash ^ u64::from(x.to_bits())).wrapping_mul(0x100_0000_01b3);
    }
    println!("{hash:016x}");
    Ok(())
}

/// Four streams at once, each with a thread; `per_thread`: the streams have one handle.
pub(crate) fn streams(per_thread: bool) -> Outcome {
    const N: usize = 20000;
    let engine = &Engine::new()?;
    thread::scope(|scope| {
        let threads: Vec<_> = (0..4)
            .map(|t| {
                scope.spawn(move || -> Result<(), cudarc::driver::DriverError> {
                    engine.context.bind_to_thread()?;
                    let stream = if per_thread {
                        engine.context.per_thread_stream()
                    } else {
                        engine.context.new_stream()?
                    };
                    let buffer = stream.clone_htod(&vec![t as f32 + 1.0; N])?;
                    for i in 0..500 {
                        orch_log_cuda!(format!("stream_{t}"), buffer, N, "f32", [N], i, stream);
                    }
                    stream.synchronize()
                })
            })
            .collect();
        threads
            .into_iter()
            .try_for_each(|thread| thread.join().expect("a thread that does not panic"))
    })?;
    cuda::flush()?;
    Ok(())
}

/// More elements than 32 bits count.
pub(crate) fn huge() -> Outcome {
    let engine = Engine::new()?;
    let (stream, kernel) = (&engine.stream, engine.kernel("modulo")?);
    let n = (1usize << 32) + 12345;
    // SAFETY: written by the kernel before anything reads it.
    let mut data: CudaSlice<u8> = unsafe { stream.alloc(n)? };
    let count = n as u64;
    let mut launch = stream.launch_builder(&kernel);
    launch.arg(&mut data).arg(&count);
    // SAFETY: the kernel's arguments, of its types and sizes.
    unsafe { launch.launch(grid(1024 * 256))? };
    orch_log_cuda!("huge", data, n, "u8", [n], 0, stream);
    // From the end, by the kernel for any strides.
    let last = data.device_ptr(stream).0 + n as u64 - 1;
    orch_log_cuda!("huge", last, n, "u8", [n], 1, stream; strides = &[-1]);
    cuda::flush()?;
    Ok(())
}
