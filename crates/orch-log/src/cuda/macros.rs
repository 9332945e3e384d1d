//! `orch_log_cuda!`, and what its expansion calls.

/// Logs a tensor in device memory, once `stream` has come this far.
///
/// Name, data, number of elements, dtype, shape, position, stream; after `;` any of `n_tokens`, `seq`,
/// `occurrence`, `token_axis`, `op`, `src`, `source`, `strides`, each with its value. Data is whatever is
/// [`DeviceData`](crate::cuda::DeviceData): cudarc's slices and views, typed pointers, addresses. Dtype is what the
/// tensor is stored as, by name; of an address it is how memory is read. The position is a number, or a
/// [`Position`](crate::cuda::Position) that the device reads from a counter when the tensor is. With `strides` (in
/// elements) the shape is a list of sizes.
///
/// Returns at once, synchronises nothing, and is legal while `stream` is being captured: the record is then written at
/// each replay.
///
/// Without the feature `orch_logging` the arguments are type-checked, never evaluated, and nothing of
/// the call remains. With it, they are not evaluated without `ORCH_LOG_FILE`, and the tensor is not read where the
/// filter does not want it.
#[macro_export]
macro_rules! orch_log_cuda {
    ($name:expr, $data:expr, $n:expr, $dtype:expr, $shape:expr, $token_idx:expr, $stream:expr $(,)? $(; $($key:ident = $value:expr),* $(,)?)?) => {
        if $crate::ENABLED {
            if let ::core::option::Option::Some(recorder) = $crate::global() {
                let name = &$name;
                let name = ::core::convert::AsRef::<str>::as_ref(name);
                if $crate::cuda::__private::wants_name(recorder, name) {
                    // `match`, because it keeps the temporaries that the event borrows.
                    match $crate::cuda::__private::call(
                        name, &$data, $n, &$dtype, $crate::__private::ShapeArg::as_shape(&$shape), $token_idx,
                    ) $($(.$key($crate::__orch_log_value!($key, $value)))*)? {
                        call => call.log(recorder, &$stream),
                    }
                }
            }
        }
    };
}

/// Ends a forward pass on `stream`: what comes next belongs to the next `step`, and with `ORCH_LOG_DETAIL=full` the
/// pass's tensors are brought to the host. Legal in a capture, where it belongs to the graph. An engine that ends its
/// passes says so at its start, with [`count_steps`](crate::cuda::count_steps).
#[macro_export]
macro_rules! orch_log_cuda_step {
    ($stream:expr $(,)?) => {
        if $crate::ENABLED {
            if let ::core::option::Option::Some(recorder) = $crate::global() {
                $crate::cuda::__private::step(recorder, &$stream);
            }
        }
    };
}

/// What the macros expand to. No part of the public interface.
#[doc(hidden)]
pub mod __private {
    use crate::__private::Count;
    use crate::cuda::argument::{DeviceData, DeviceStream, Position};
    pub use crate::cuda::log::step;
    use crate::cuda::log::{self, Call};
    use crate::format::{Dtype, Event, Shape};
    use crate::recorder::Recorder;

    #[inline]
    pub fn wants_name(recorder: &Recorder, name: &str) -> bool {
        recorder.settings().filter.passes(name)
    }

    /// A call as far as its arguments have been read.
    #[derive(Debug)]
    pub struct Pending<'a, D> {
        event: Event<'a>,
        call: Call<'a, D>,
    }

    #[inline]
    pub fn call<'a, D: DeviceData>(
        name: &'a str,
        data: &'a D,
        count: impl Count,
        dtype: &(impl AsRef<str> + ?Sized),
        shape: Shape<'a>,
        position: impl Into<Position>,
    ) -> Pending<'a, &'a D> {
        let position = position.into();
        let mut event = Event::new(name, 0).shape_as(shape);
        event.dtype = Dtype::parse(dtype.as_ref());
        Pending {
            event,
            call: Call {
                data,
                count: count.count(),
                position,
                strides: None,
            },
        }
    }

    /// The keys that `orch_log_cuda!` takes, as those of an [`Event`].
    macro_rules! keys {
        ($($key:ident: $type:ty),* $(,)?) => {$(
            #[inline]
            #[must_use]
            pub fn $key(mut self, value: $type) -> Self {
                self.event = self.event.$key(value);
                self
            }
        )*};
    }

    impl<'a, D: DeviceData> Pending<'a, D> {
        keys! {
            n_tokens: usize,
            seq: u64,
            occurrence: u64,
            token_axis: usize,
            op: &'a str,
            src: &'a [&'a str],
            source: &'a str,
        }

        #[inline]
        #[must_use]
        pub fn strides(mut self, strides: &'a [isize]) -> Self {
            self.call.strides = Some(strides);
            self
        }

        #[inline]
        pub fn log(self, recorder: &'static Recorder, stream: &impl DeviceStream) {
            log::log(recorder, &self.event, &self.call, stream);
        }
    }
}
