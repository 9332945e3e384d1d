//! The same weights in another storage type, by llama.cpp's own quantiser.

use std::path::Path;

use llama_cpp_sys_2 as sys;

use super::write_whole;
use crate::Error;
use crate::llama::{self, c_string};

/// Storage type of the weights of a converted model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Weights {
    /// 32-bit floats: no rounding but what the source already had.
    F32,
    /// Half precision.
    F16,
    /// bfloat16.
    Bf16,
    /// Blocks of 32 in 8 bits.
    Q8_0,
    /// Blocks of 32 in 4 bits, symmetric.
    Q4_0,
    /// Blocks of 32 in 4 bits with a minimum.
    Q4_1,
    /// K-quants of about 4.8 bits.
    Q4KM,
}

impl Weights {
    /// All of them, with the names that the command line takes.
    pub const ALL: [(&'static str, Self); 7] = [
        ("f32", Self::F32),
        ("f16", Self::F16),
        ("bf16", Self::Bf16),
        ("q8_0", Self::Q8_0),
        ("q4_0", Self::Q4_0),
        ("q4_1", Self::Q4_1),
        ("q4_k_m", Self::Q4KM),
    ];

    fn ftype(self) -> sys::llama_ftype {
        match self {
            Self::F32 => sys::LLAMA_FTYPE_ALL_F32,
            Self::F16 => sys::LLAMA_FTYPE_MOSTLY_F16,
            Self::Bf16 => sys::LLAMA_FTYPE_MOSTLY_BF16,
            Self::Q8_0 => sys::LLAMA_FTYPE_MOSTLY_Q8_0,
            Self::Q4_0 => sys::LLAMA_FTYPE_MOSTLY_Q4_0,
            Self::Q4_1 => sys::LLAMA_FTYPE_MOSTLY_Q4_1,
            Self::Q4KM => sys::LLAMA_FTYPE_MOSTLY_Q4_K_M,
        }
    }
}

/// Writes `input` with other weights to `output`. A quantised source is dequantised first, so that its
/// rounding stays.
///
/// # Errors
///
/// The source is no model, or the output cannot be written; then nothing is left behind.
pub fn convert(input: &Path, output: &Path, weights: Weights) -> Result<(), Error> {
    llama::check_magic(input)?;
    llama::start();
    let source = c_string(input.as_os_str().as_encoded_bytes(), "model path")?;
    write_whole(output, |partial| {
        let target = c_string(partial.as_os_str().as_encoded_bytes(), "output path")?;
        llama::forget_log();
        // SAFETY: both names outlive the call; the parameters are plain data.
        let code = unsafe {
            let mut params = sys::llama_model_quantize_default_params();
            params.allow_requantize = true;
            params.ftype = weights.ftype();
            sys::llama_model_quantize(source.as_ptr(), target.as_ptr(), &params)
        };
        if code == 0 {
            return Ok(());
        }
        let action = format!("convert `{}` to `{}`", input.display(), output.display());
        Err(Error::Llama {
            action,
            log: llama::error_log(),
        })
    })
}
