//! The GPU that llama.cpp may compute on, and how exact its arithmetic is there.

use std::ffi::CStr;
use std::ffi::c_char;

use llama_cpp_sys_2 as sys;

use super::backend;
use crate::Error;

/// Makes llama.cpp's CUDA backend as exact as it can be, as far as the user's environment does not say otherwise.
///
/// * `GGML_CUDA_DISABLE_FUSION=1`: reading a node takes fused kernels apart, and the numbers become others than those
///   of a run that nobody watches.
/// * `NVIDIA_TF32_OVERRIDE=0`: cuBLAS rounds the inputs of products of 32-bit floats to 11 bits otherwise.
/// * `GGML_CUDA_CUBLAS_COMPUTE_TYPE=f32`: products with 16-bit weights are summed in 16 bits otherwise.
///
/// # Safety
///
/// It changes the environment: no other thread may read or write it meanwhile. Only effective before the first model.
pub unsafe fn prefer_exact_gpu() {
    for (name, value) in [(FUSION, "1"), (TF32, "0"), (COMPUTE, "f32")] {
        if std::env::var_os(name).is_none() {
            // SAFETY: promised by the caller.
            unsafe { std::env::set_var(name, value) };
        }
    }
}

const FUSION: &str = "GGML_CUDA_DISABLE_FUSION";
const TF32: &str = "NVIDIA_TF32_OVERRIDE";
const COMPUTE: &str = "GGML_CUDA_CUBLAS_COMPUTE_TYPE";

/// Whether the CUDA backend may fuse kernels.
///
/// # Source
///
/// `ggml_cuda_try_fuse` of ggml: off where the variable is a number that is not 0, in the sense of `atoi`.
pub(crate) fn fusion_is_on() -> bool {
    let digits = |text: &str| {
        let text = text.trim_start().trim_start_matches(['-', '+']);
        text.chars()
            .take_while(char::is_ascii_digit)
            .any(|digit| digit != '0')
    };
    !std::env::var(FUSION).is_ok_and(|value| digits(&value))
}

/// What the inputs of products of 32-bit floats are rounded to for batches of these sizes: `f32`, or `tf32`.
///
/// # Source
///
/// `ggml_cuda_mul_mat` of ggml 0.26 on GPUs from Ampere on: a kernel of its own in 32-bit floats for up to 3 columns, one on
/// tensor cores (TF32) for up to 16, cuBLAS for more, which computes in TF32 unless the environment forbids it.
pub(crate) fn products(batches: impl IntoIterator<Item = usize>) -> &'static str {
    let cublas_is_exact = std::env::var(TF32).is_ok_and(|value| value == "0");
    products_where(cublas_is_exact, batches)
}

fn products_where(cublas_is_exact: bool, batches: impl IntoIterator<Item = usize>) -> &'static str {
    let rounds = |size| match size {
        0..=3 => false,
        4..=16 => true,
        _ => !cublas_is_exact,
    };
    if batches.into_iter().any(rounds) {
        "tf32"
    } else {
        "f32"
    }
}

/// A GPU that this build of llama.cpp can compute on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gpu {
    /// `CUDA0`.
    pub name: String,
    /// `NVIDIA H100 80GB HBM3`.
    pub description: String,
    pub(super) device: sys::ggml_backend_dev_t,
}

impl Gpu {
    /// As run files name it: `cuda:0 NVIDIA H100 80GB HBM3`.
    pub fn label(&self) -> String {
        let name = self.name.to_ascii_lowercase();
        let number = name.trim_start_matches(|c: char| !c.is_ascii_digit());
        let backend = &name[..name.len() - number.len()];
        format!("{backend}:{number} {}", self.description)
    }
}

/// The GPU that layers go to: the first one.
///
/// # Errors
///
/// This build has no backend for GPUs, or there is no GPU, or no cuBLAS.
pub fn gpu() -> Result<Gpu, Error> {
    backend::start();
    // SAFETY: devices are listed once at start and stay; the indices are below their count.
    let devices =
        unsafe { (0..sys::ggml_backend_dev_count()).map(|index| sys::ggml_backend_dev_get(index)) };
    for device in devices {
        // SAFETY: a device of ggml's list.
        let (kind, name, description) = unsafe {
            (
                sys::ggml_backend_dev_type(device),
                text(sys::ggml_backend_dev_name(device)),
                text(sys::ggml_backend_dev_description(device)),
            )
        };
        if kind == sys::GGML_BACKEND_DEVICE_TYPE_GPU || kind == sys::GGML_BACKEND_DEVICE_TYPE_IGPU {
            if !has_cublas() {
                return Err(Error::Argument(
                    "there is a GPU, but no cuBLAS: this program looks for libcublas.so.13 or .12 when it runs; install it, \
                     or name its folder in LD_LIBRARY_PATH; --gpu-layers 0 computes on the CPU"
                        .to_owned(),
                ));
            }
            return Ok(Gpu {
                name,
                description,
                device,
            });
        }
    }
    // SAFETY: no arguments. The CPU is one of them.
    let has_backend = unsafe { sys::ggml_backend_reg_count() } > 1;
    Err(Error::Argument(if has_backend {
        "no GPU was found: `nvidia-smi` says what the driver sees; --gpu-layers 0 computes on the CPU".to_owned()
    } else {
        "this build of llama.cpp computes on the CPU only: build with `scripts/with-cuda cargo build --release -p parity-cli \
         --features cuda`; --gpu-layers 0 computes on the CPU"
            .to_owned()
    }))
}

/// Whether cuBLAS is there. A program that `scripts/with-cuda` has linked looks for it when it runs, and ggml ends the process where
/// it is missing.
#[cfg(all(feature = "cuda", not(feature = "shared")))]
fn has_cublas() -> bool {
    use std::ffi::c_int;
    /// `MAJOR_VERSION` of `libraryPropertyType`.
    const MAJOR_VERSION: c_int = 0;
    unsafe extern "C" {
        fn cublasGetProperty(property: c_int, value: *mut c_int) -> c_int;
    }
    let mut major = 0;
    // SAFETY: room for the number.
    unsafe { cublasGetProperty(MAJOR_VERSION, &mut major) == 0 }
}

/// llama.cpp in shared libraries brings its own.
#[cfg(not(all(feature = "cuda", not(feature = "shared"))))]
fn has_cublas() -> bool {
    true
}

/// # Safety
///
/// `pointer` must be a NUL-terminated string.
unsafe fn text(pointer: *const c_char) -> String {
    // SAFETY: promised by the caller.
    unsafe { CStr::from_ptr(pointer) }
        .to_string_lossy()
        .into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn products_by_size_of_batch() {
        for (exact, batches, expected) in [
            (true, &[3, 1, 1][..], "f32"),
            (true, &[7, 1], "tf32"),
            (true, &[16], "tf32"),
            (true, &[17, 1], "f32"),
            (false, &[17, 1], "tf32"),
            (false, &[1, 2, 3], "f32"),
        ] {
            let found = products_where(exact, batches.iter().copied());
            assert_eq!(found, expected, "{exact} {batches:?}");
        }
    }

    #[test]
    fn labels_are_those_of_run_files() {
        let gpu = Gpu {
            name: "CUDA1".to_owned(),
            description: "NVIDIA H100".to_owned(),
            device: std::ptr::null_mut(),
        };
        assert_eq!(gpu.label(), "cuda:1 NVIDIA H100");
    }
}
