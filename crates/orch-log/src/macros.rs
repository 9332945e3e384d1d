//! `orch_log!`, and what its expansion calls.

/// Logs a tensor.
///
/// ```
/// # use orch_log::orch_log;
/// # let (v, token_idx, step) = (vec![0.0f32; 896], 7, 0);
/// orch_log!("layer_0_output", &v, token_idx);
/// orch_log!("layer_0_output", &v, token_idx, "[896]");
/// orch_log!("layer_0_q", &v, token_idx, [1, 14, 64]; n_tokens = 1, step = step, op = "MUL_MAT", src = &["layer_0_attn_norm"]);
/// ```
///
/// Name, data, position; optionally the shape, as text or as a list of sizes; after `;` any of
/// `n_tokens`, `step`, `seq`, `occurrence`, `token_axis`, `dtype`, `op`, `src`, `source`, each with its value.
/// Data is whatever is [`Loggable`](crate::Loggable): slices, arrays, vectors, [`TensorView`](crate::TensorView)s.
///
/// Without the feature `orch_logging` the arguments are type-checked, never evaluated, and nothing of
/// the call remains. With it, they are not evaluated without `ORCH_LOG_FILE`, and the data is not where
/// the filter does not want it.
#[macro_export]
macro_rules! orch_log {
    ($name:expr, $data:expr, $token_idx:expr $(, $shape:expr)? $(,)? $(; $($key:ident = $value:expr),* $(,)?)?) => {
        if $crate::ENABLED {
            if let ::core::option::Option::Some(recorder) = $crate::global() {
                // `match`, because it keeps the temporaries that the event borrows.
                match $crate::__private::event(::core::convert::AsRef::<str>::as_ref(&$name), $token_idx)
                    $(.shape_as($crate::__private::ShapeArg::as_shape(&$shape)))?
                    $($(.$key($crate::__orch_log_value!($key, $value)))*)?
                {
                    event => {
                        if $crate::__private::wants(recorder, &event) {
                            $crate::__private::log(recorder, &event, &$data);
                        }
                    }
                }
            }
        }
    };
}

/// Counts may be of any integer type; everything else is what the method takes.
#[doc(hidden)]
#[macro_export]
macro_rules! __orch_log_value {
    (n_tokens, $value:expr) => {
        $crate::__private::Count::count($value) as usize
    };
    (token_axis, $value:expr) => {
        $crate::__private::Count::count($value) as usize
    };
    (step, $value:expr) => {
        $crate::__private::Count::count($value)
    };
    (seq, $value:expr) => {
        $crate::__private::Count::count($value)
    };
    (occurrence, $value:expr) => {
        $crate::__private::Count::count($value)
    };
    ($key:ident, $value:expr) => {
        $value
    };
}

/// What the macros expand to. No part of the public interface.
#[doc(hidden)]
pub mod __private {
    use crate::format::{Event, Shape};
    use crate::recorder::Recorder;
    pub use crate::summary::Accumulator;
    use crate::tensor::Loggable;
    pub use crate::tensor::Number;

    /// An integer that says how many; negative ones, which can only be mistakes, become 0.
    pub trait Count {
        fn count(self) -> u64;
    }

    /// An integer that is a token position.
    pub trait Position {
        fn position(self) -> i64;
    }

    macro_rules! integers {
        ($($type:ty)*) => {$(
            impl Count for $type {
                #[inline]
                fn count(self) -> u64 {
                    u64::try_from(self).unwrap_or(0)
                }
            }
            impl Position for $type {
                #[inline]
                fn position(self) -> i64 {
                    i64::try_from(self).unwrap_or(i64::MAX)
                }
            }
        )*};
    }
    integers!(i8 i16 i32 i64 isize u8 u16 u32 u64 usize);

    /// What may stand for a shape.
    pub trait ShapeArg {
        fn as_shape(&self) -> Shape<'_>;
    }

    impl ShapeArg for str {
        fn as_shape(&self) -> Shape<'_> {
            Shape::Text(self)
        }
    }

    impl ShapeArg for String {
        fn as_shape(&self) -> Shape<'_> {
            Shape::Text(self)
        }
    }

    impl ShapeArg for [usize] {
        fn as_shape(&self) -> Shape<'_> {
            Shape::Dims(self)
        }
    }

    impl ShapeArg for Vec<usize> {
        fn as_shape(&self) -> Shape<'_> {
            Shape::Dims(self)
        }
    }

    impl<const N: usize> ShapeArg for [usize; N] {
        fn as_shape(&self) -> Shape<'_> {
            Shape::Dims(self)
        }
    }

    impl<S: ShapeArg + ?Sized> ShapeArg for &S {
        fn as_shape(&self) -> Shape<'_> {
            (**self).as_shape()
        }
    }

    #[inline]
    pub fn event(name: &str, token_idx: impl Position) -> Event<'_> {
        Event::new(name, token_idx.position())
    }

    #[inline]
    pub fn wants(recorder: &Recorder, event: &Event<'_>) -> bool {
        recorder.wants(
            event.checkpoint,
            event.token_idx,
            event.n_tokens.unwrap_or(1),
        )
    }

    /// The outcome is kept in the recorder's status: an engine has nothing to do about it here.
    #[inline]
    pub fn log<L: Loggable + ?Sized>(recorder: &Recorder, event: &Event<'_>, data: &L) {
        let _ = data.log_to(recorder, event);
    }
}
