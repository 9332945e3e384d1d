//! Why a tensor in device memory cannot be logged.

use super::driver::DriverError;

/// Why a tensor in device memory cannot be logged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Error {
    /// A function of CUDA's failed, or memory cannot be had.
    Driver(DriverError),
    /// No CUDA, no compiler, or a device that the kernels do not run on.
    Unavailable(String),
    /// An address of the host's, where the device's should be.
    HostMemory,
    /// More streams and captures, or more logging calls, than there is room for.
    TooMany,
}

impl From<DriverError> for Error {
    fn from(error: DriverError) -> Self {
        Self::Driver(error)
    }
}
