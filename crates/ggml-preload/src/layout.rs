//! Where the fields of `struct ggml_tensor` lie in the copy of ggml that the program brought along.
//!
//! There is no header to compile against: the program's ggml may be years older or newer than ours. Up to
//! the operation the struct has been the same in all versions; behind it, fields came and went, and the distance from a
//! tensor to its name tells which of the known variants this is. Anything else is refused: a wrong offset would
//! log plausible nonsense.
//!
//! # Source
//!
//! `ggml/include/ggml.h` of llama.cpp, `struct ggml_tensor`, January 2024 to ggml 0.26.

use std::fmt;

/// Offset of `type`, an `int`.
pub(crate) const TYPE: usize = 0;
/// Offset of `buffer`, a pointer.
pub(crate) const BUFFER: usize = 8;
/// Offset of `ne`, four `int64_t`, innermost dimension first.
pub(crate) const NE: usize = 16;
/// Offset of `nb`, four `size_t`, strides in bytes.
pub(crate) const NB: usize = 48;
/// Offset of `op_params`, sixteen `int32_t`.
pub(crate) const OP_PARAMS: usize = 84;
/// Number of operation parameters.
pub(crate) const MAX_OP_PARAMS: usize = 16;
/// Number of sources of a tensor.
pub(crate) const MAX_SRC: usize = 10;

/// Offsets that differ between versions, in bytes from the start of the tensor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Layout {
    /// `flags`, an `int32_t`, in the versions that may have `GGML_TENSOR_FLAG_COMPUTE`.
    pub(crate) flags: Option<usize>,
    /// `src`, [`MAX_SRC`] pointers.
    pub(crate) src: usize,
    /// `view_src`, a pointer.
    pub(crate) view_src: usize,
    /// `data`, a pointer.
    pub(crate) data: usize,
}

/// The distance from a tensor to its name that no known version has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct UnknownLayout {
    /// Bytes from the start of the tensor to what `ggml_get_name` returns.
    pub(crate) name_offset: isize,
}

impl fmt::Display for UnknownLayout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "this ggml keeps a tensor's name at byte {}, and only layouts with 256, 264 and 288 are known: \
             nothing is captured, since every other field would be read from the wrong place",
            self.name_offset
        )
    }
}

impl Layout {
    /// The layout in which the name lies `name_offset` bytes behind the start of the tensor.
    ///
    /// # Errors
    ///
    /// No known version has it there.
    pub(crate) fn of_name_offset(name_offset: isize) -> Result<Self, UnknownLayout> {
        // 256: today. 264: with `grad` between `flags` and `src`, until November 2024. 288: with `perf_runs`, `perf_cycles`
        // and `perf_time_us` between `src` and `view_src` as well, until May 2024; at first `flags` was a boolean there.
        let (src, flags) = match name_offset {
            256 => (152, Some(148)),
            264 | 288 => (160, None),
            _ => return Err(UnknownLayout { name_offset }),
        };
        let name = name_offset.unsigned_abs();
        Ok(Self {
            flags,
            src,
            view_src: name - 24,
            data: name - 8,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `struct ggml_tensor` of ggml 0.26, transcribed from its header.
    #[repr(C)]
    struct Today {
        kind: i32,
        buffer: *mut u8,
        ne: [i64; 4],
        nb: [usize; 4],
        op: i32,
        op_params: [i32; 16],
        flags: i32,
        src: [*mut u8; 10],
        view_src: *mut u8,
        view_offs: usize,
        data: *mut u8,
        name: [u8; 64],
        extra: *mut u8,
    }

    /// The same of October 2024, with `grad`.
    #[repr(C)]
    struct WithGrad {
        kind: i32,
        backend: i32,
        buffer: *mut u8,
        ne: [i64; 4],
        nb: [usize; 4],
        op: i32,
        op_params: [i32; 16],
        flags: i32,
        grad: *mut u8,
        src: [*mut u8; 10],
        view_src: *mut u8,
        view_offs: usize,
        data: *mut u8,
        name: [u8; 64],
    }

    /// The same of January 2024, with `perf_*`.
    #[repr(C)]
    struct WithPerf {
        kind: i32,
        backend: i32,
        buffer: *mut u8,
        ne: [i64; 4],
        nb: [usize; 4],
        op: i32,
        op_params: [i32; 16],
        is_param: bool,
        grad: *mut u8,
        src: [*mut u8; 10],
        perf_runs: i32,
        perf_cycles: i64,
        perf_time_us: i64,
        view_src: *mut u8,
        view_offs: usize,
        data: *mut u8,
        name: [u8; 64],
    }

    macro_rules! check {
        ($tensor:ident, $flags:expr) => {{
            use std::mem::offset_of;
            let name = offset_of!($tensor, name);
            let layout = Layout::of_name_offset(name as isize).expect("a known variant");
            assert_eq!(layout.src, offset_of!($tensor, src));
            assert_eq!(layout.view_src, offset_of!($tensor, view_src));
            assert_eq!(layout.data, offset_of!($tensor, data));
            assert_eq!(layout.flags, $flags);
            assert_eq!(
                [TYPE, BUFFER, NE, NB, OP_PARAMS],
                [
                    offset_of!($tensor, kind),
                    offset_of!($tensor, buffer),
                    offset_of!($tensor, ne),
                    offset_of!($tensor, nb),
                    offset_of!($tensor, op_params),
                ]
            );
        }};
    }

    #[test]
    fn known_variants() {
        check!(Today, Some(std::mem::offset_of!(Today, flags)));
        check!(WithGrad, None);
        check!(WithPerf, None);
    }

    #[test]
    fn anything_else_is_refused() {
        for offset in [-256, 0, 8, 240, 248, 255, 257, 272, 280, 296, 320] {
            let refused = Layout::of_name_offset(offset).expect_err("no version has this");
            assert!(refused.to_string().contains(&format!("byte {offset},")));
        }
    }
}
