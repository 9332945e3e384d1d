//! A stand-in for an engine.

use std::error::Error;
use std::sync::Arc;

use cudarc::driver::{
    CudaContext, CudaFunction, CudaModule, CudaSlice, CudaStream, LaunchConfig, PushKernelArg,
};
use cudarc::nvrtc::compile_ptx;

/// `fill` makes contents that follow from step and layer alone, which the checks rely on; `mix` is arithmetic whose result
/// depends on all that came before, for comparing runs bit for bit.
const KERNELS: &str = r#"
extern "C" __global__ void fill(float* buffer, int n, const int* position, int layer) {
    const int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < n) buffer[i] = (float)(*position % 8 * 1024 + layer) + (float)i * 0.0009765625f;
}
extern "C" __global__ void advance(int* position) { *position += 1; }
extern "C" __global__ void mix(const float* in, float* out, int n, int layer) {
    const int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= n) return;
    float sum = 0.0f;
    for (int j = 0; j < 32; ++j) sum += in[(i * 31 + j * 17 + layer) % n] * __sinf((float)(j + layer));
    out[i] = sum / (1.0f + fabsf(sum));
}
extern "C" __global__ void fill_with(float* data, int n, float value) {
    const int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < n) data[i] = value;
}
extern "C" __global__ void modulo(unsigned char* data, unsigned long long n) {
    for (unsigned long long i = blockIdx.x * (unsigned long long)blockDim.x + threadIdx.x; i < n; i += gridDim.x * (unsigned long long)blockDim.x) data[i] = i % 7;
}
extern "C" __global__ void crash() { asm("trap;"); }
"#;

pub(crate) struct Engine {
    pub(crate) context: Arc<CudaContext>,
    pub(crate) stream: Arc<CudaStream>,
    module: Arc<CudaModule>,
}

impl Engine {
    pub(crate) fn new() -> Result<Self, Box<dyn Error>> {
        Self::on(0)
    }

    pub(crate) fn on(device: usize) -> Result<Self, Box<dyn Error>> {
        let context = CudaContext::new(device)?;
        // SAFETY: each buffer is used in one stream only. With it, cudarc records events that end a capture.
        unsafe { context.disable_event_tracking() };
        let module = context.load_module(compile_ptx(KERNELS)?)?;
        let stream = context.new_stream()?;
        Ok(Self {
            context,
            stream,
            module,
        })
    }

    pub(crate) fn kernel(&self, name: &str) -> Result<CudaFunction, Box<dyn Error>> {
        Ok(self.module.load_function(name)?)
    }
}

pub(crate) fn grid(n: usize) -> LaunchConfig {
    LaunchConfig {
        grid_dim: (n.div_ceil(256) as u32, 1, 1),
        block_dim: (256, 1, 1),
        shared_mem_bytes: 0,
    }
}

/// `mix` from `a` to `b`.
pub(crate) fn mix(
    stream: &CudaStream,
    kernel: &CudaFunction,
    a: &CudaSlice<f32>,
    b: &mut CudaSlice<f32>,
    layer: usize,
) -> Result<(), Box<dyn Error>> {
    let (n, layer) = (a.len() as i32, layer as i32);
    let mut launch = stream.launch_builder(kernel);
    launch.arg(a).arg(b).arg(&n).arg(&layer);
    // SAFETY: the kernel's arguments, of its types; both buffers have `n` elements.
    unsafe { launch.launch(grid(a.len()))? };
    Ok(())
}
