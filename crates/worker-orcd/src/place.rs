//! Where a model computes, and in which type.

use std::fmt;
use std::str::FromStr;

use candle_core::{DType, Device, Tensor};

use crate::error::{Error, Result};

/// A device as it is asked for: `cpu`, `cuda`, `cuda:1`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DeviceName {
    /// The processor.
    #[default]
    Cpu,
    /// The CUDA device of this number.
    Cuda(usize),
}

impl FromStr for DeviceName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let number = match text {
            "cpu" => return Ok(Self::Cpu),
            "cuda" => Some(0),
            _ => text
                .strip_prefix("cuda:")
                .and_then(|number| number.parse().ok()),
        };
        number
            .map(Self::Cuda)
            .ok_or_else(|| "expected `cpu`, `cuda` or `cuda:N`".to_owned())
    }
}

impl fmt::Display for DeviceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cpu => f.write_str("cpu"),
            Self::Cuda(number) => write!(f, "cuda:{number}"),
        }
    }
}

/// Where and in which type a model computes.
#[derive(Clone, Debug)]
pub struct Place {
    /// Where weights, cache and activations are.
    pub device: Device,
    /// Type of dequantised weights, cache and activations: f32, f16 or bf16.
    pub dtype: DType,
}

impl Default for Place {
    /// On the processor, in f32.
    fn default() -> Self {
        Self {
            device: Device::Cpu,
            dtype: DType::F32,
        }
    }
}

impl Place {
    /// The device of this name.
    ///
    /// # Errors
    ///
    /// When this build has no CUDA, or this machine no such device.
    pub fn open(name: DeviceName, dtype: DType) -> Result<Self> {
        let device = match name {
            DeviceName::Cpu => Device::Cpu,
            DeviceName::Cuda(number) => cuda(number)?,
        };
        Ok(Self { device, dtype })
    }

    /// Where a tensor is, and its type.
    pub fn of(tensor: &Tensor) -> Self {
        Self {
            device: tensor.device().clone(),
            dtype: tensor.dtype(),
        }
    }

    /// The tensor here; without a copy if it already is.
    ///
    /// # Errors
    ///
    /// When the memory cannot be had.
    pub fn bring(&self, tensor: &Tensor) -> candle_core::Result<Tensor> {
        tensor.to_device(&self.device)?.to_dtype(self.dtype)
    }
}

/// The CUDA device `number`, with a stream of its own that can be captured.
#[cfg(feature = "cuda")]
fn cuda(number: usize) -> Result<Device> {
    let open = || {
        let device = Device::new_cuda_with_stream(number)?;
        // SAFETY: everything of ours is enqueued in the device's one stream, so that no event has to order anything. Events
        // would end a capture.
        unsafe { device.as_cuda_device()?.disable_event_tracking() };
        Ok(device)
    };
    open().map_err(|error: candle_core::Error| {
        Error::Setting(format!(
            "CUDA device {number} cannot be used: {}; is there an NVIDIA GPU with its driver (`nvidia-smi` lists them)? \
             `--device cpu` needs none",
            crate::error::plain(&error)
        ))
    })
}

#[cfg(not(feature = "cuda"))]
fn cuda(_number: usize) -> Result<Device> {
    Err(Error::Setting(
        "this worker-orcd was built without CUDA: build it with `scripts/with-cuda cargo build --release -p worker-orcd \
         --features cuda,orch_logging`, or use `--device cpu`"
            .to_owned(),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_devices() {
        for (text, name) in [
            ("cpu", DeviceName::Cpu),
            ("cuda", DeviceName::Cuda(0)),
            ("cuda:3", DeviceName::Cuda(3)),
        ] {
            assert_eq!(text.parse(), Ok(name));
        }
        for wrong in ["", "gpu", "cuda:", "cuda:x", "cuda:-1"] {
            assert!(wrong.parse::<DeviceName>().is_err(), "{wrong}");
        }
        assert_eq!(DeviceName::Cuda(1).to_string(), "cuda:1");
    }
}
