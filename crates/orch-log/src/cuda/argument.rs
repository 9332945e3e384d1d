//! What `orch_log_cuda!` takes: addresses, streams, positions.

use std::ffi::c_void;
use std::sync::Arc;

use cudarc::driver::{
    CudaSlice, CudaStream, CudaView, CudaViewMut, DevicePtr, DeviceSlice, SyncOnDrop, sys,
};

use super::driver::Handle;
use crate::format::Dtype;
use crate::tensor::Element;

/// A CUDA stream that the logger enqueues its work into.
pub trait DeviceStream {
    /// The stream as the driver knows it.
    fn raw(&self) -> *mut c_void;

    /// The stream as cudarc knows it, if it does.
    fn cudarc(&self) -> Option<&CudaStream> {
        None
    }
}

impl DeviceStream for sys::CUstream {
    fn raw(&self) -> Handle {
        self.cast()
    }
}

impl DeviceStream for CudaStream {
    fn raw(&self) -> Handle {
        self.cu_stream().cast()
    }

    fn cudarc(&self) -> Option<&CudaStream> {
        Some(self)
    }
}

impl<S: DeviceStream + ?Sized> DeviceStream for &S {
    fn raw(&self) -> Handle {
        (**self).raw()
    }

    fn cudarc(&self) -> Option<&CudaStream> {
        (**self).cudarc()
    }
}

impl<S: DeviceStream + ?Sized> DeviceStream for Arc<S> {
    fn raw(&self) -> Handle {
        (**self).raw()
    }

    fn cudarc(&self) -> Option<&CudaStream> {
        (**self).cudarc()
    }
}

/// Where a tensor lies in device memory. `u64` is an address (`CUdeviceptr`) whose elements are what `dtype` says.
pub trait DeviceData {
    /// The type of the elements in memory; none where only `dtype` tells.
    const ELEMENT: Option<Dtype>;
    /// Whether it is device memory for sure, rather than an address that could be the host's.
    const IS_KNOWN: bool = false;

    /// Runs `work` with the address. What cudarc tracks of reads on `stream` is tracked until `work` has enqueued its own.
    fn with_address<R>(&self, stream: Option<&CudaStream>, work: impl FnOnce(u64) -> R) -> R;
}

impl DeviceData for sys::CUdeviceptr {
    const ELEMENT: Option<Dtype> = None;

    fn with_address<R>(&self, _stream: Option<&CudaStream>, work: impl FnOnce(u64) -> R) -> R {
        work(*self)
    }
}

macro_rules! pointers {
    ($($pointer:ty),*) => {$(
        impl<T: Element> DeviceData for $pointer {
            const ELEMENT: Option<Dtype> = Some(T::DTYPE);

            fn with_address<R>(&self, _stream: Option<&CudaStream>, work: impl FnOnce(u64) -> R) -> R {
                work(self.addr() as u64)
            }
        }
    )*};
}
pointers!(*const T, *mut T);

macro_rules! slices {
    ($($slice:ty),*) => {$(
        impl<T: Element> DeviceData for $slice {
            const ELEMENT: Option<Dtype> = Some(T::DTYPE);
            const IS_KNOWN: bool = true;

            fn with_address<R>(&self, stream: Option<&CudaStream>, work: impl FnOnce(u64) -> R) -> R {
                let own = DeviceSlice::stream(self).clone();
                let (address, _until_enqueued): (_, SyncOnDrop<'_>) =
                    self.device_ptr(stream.unwrap_or(&own));
                work(address)
            }
        }
    )*};
}
slices!(CudaSlice<T>, CudaView<'_, T>, CudaViewMut<'_, T>);

macro_rules! references {
    ($($reference:ty),*) => {$(
        impl<D: DeviceData> DeviceData for $reference {
            const ELEMENT: Option<Dtype> = D::ELEMENT;
            const IS_KNOWN: bool = D::IS_KNOWN;

            fn with_address<R>(&self, stream: Option<&CudaStream>, work: impl FnOnce(u64) -> R) -> R {
                (**self).with_address(stream, work)
            }
        }
    )*};
}
references!(&D, &mut D);

/// A token position: a number, or a counter in device memory that is read when the tensor is, which is what a graph
/// needs whose replays are at different positions.
///
/// Integers are positions; a counter comes from [`Position::counter_i32`] or [`Position::counter_i64`], or is a
/// `&CudaSlice<i32>`, `&CudaSlice<u32>` or `&CudaSlice<i64>` whose first element counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    pub(super) value: i64,
    pub(super) counter: u64,
    /// The device can read the counter for sure.
    pub(super) is_known: bool,
    /// 0 without a counter.
    pub(super) bits: u32,
}

impl Position {
    /// The counter at `address` of device memory, 32 bits, plus `value`.
    pub const fn counter_i32(address: u64, value: i64) -> Self {
        Self {
            value,
            counter: address,
            is_known: false,
            bits: 32,
        }
    }

    /// The counter at `address` of device memory, 64 bits, plus `value`.
    pub const fn counter_i64(address: u64, value: i64) -> Self {
        Self {
            value,
            counter: address,
            is_known: false,
            bits: 64,
        }
    }
}

macro_rules! positions {
    ($($integer:ty),*) => {$(
        impl From<$integer> for Position {
            fn from(value: $integer) -> Self {
                let value = i64::try_from(value).unwrap_or(i64::MAX);
                Self { value, counter: 0, is_known: true, bits: 0 }
            }
        }
    )*};
}
positions!(i8, i16, i32, i64, isize, u8, u16, u32, u64, usize);

macro_rules! counters {
    ($($element:ty => $new:ident),*) => {$(
        impl From<&CudaSlice<$element>> for Position {
            fn from(counter: &CudaSlice<$element>) -> Self {
                // The address alone: whoever replays a graph orders the counter's writes and reads anyway.
                let (address, _) = counter.device_ptr(counter.stream());
                Self { is_known: true, ..Self::$new(address, 0) }
            }
        }
    )*};
}
counters!(i32 => counter_i32, u32 => counter_i32, i64 => counter_i64);
