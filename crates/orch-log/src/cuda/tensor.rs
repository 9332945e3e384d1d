//! A tensor in device memory as its caller describes it.

use super::program::Type;
use super::slot::AXES;
use crate::format::{Dtype, Shape};

/// A tensor in device memory, ready to be logged.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tensor {
    pub(super) address: u64,
    /// The device can read it for sure.
    pub(super) is_known: bool,
    pub(super) of: Type,
    pub(super) count: u64,
    pub(super) shape: [u64; AXES],
    pub(super) axes: usize,
    /// In elements, one for each axis; none without gaps.
    pub(super) strides: Option<[i64; AXES]>,
}

impl Tensor {
    /// Bytes of its elements.
    pub(super) fn nbytes(&self) -> u64 {
        self.count * self.of.size_bytes() as u64
    }
}

/// The type of the elements at hand and the one that the record names: a dtype says how memory without a type is read,
/// and what 8 and 16 bits without a meaning mean; else it says what the tensor was stored as.
pub(super) fn element_type(in_memory: Option<Dtype>, dtype: Dtype) -> Option<Type> {
    match in_memory {
        None => Type::of(dtype),
        Some(Dtype::U16) if matches!(dtype, Dtype::F16 | Dtype::Bf16) => Type::of(dtype),
        Some(Dtype::U8) if matches!(dtype, Dtype::F8E4m3 | Dtype::F8E5m2 | Dtype::Bool) => {
            Type::of(dtype)
        }
        Some(in_memory) => Type::of(in_memory),
    }
}

/// The axes of `shape`, which need not be those of `count` elements; one of that many where it says none.
pub(super) fn axes_of(shape: Shape<'_>, count: u64) -> ([u64; AXES], usize) {
    let mut axes = [0; AXES];
    let dims: Option<usize> = match shape {
        Shape::Dims(dims) if dims.len() <= AXES => {
            for (to, from) in axes.iter_mut().zip(dims) {
                *to = *from as u64;
            }
            Some(dims.len())
        }
        Shape::Text(text) => parse_shape(text, &mut axes),
        Shape::Dims(_) | Shape::FromView => None,
    };
    match dims {
        // Elements are found by dividing by the axes.
        Some(dims) if count == 0 || !axes[..dims].contains(&0) => (axes, dims),
        _ => {
            axes = [0; AXES];
            axes[0] = count;
            (axes, 1)
        }
    }
}

fn parse_shape(text: &str, axes: &mut [u64; AXES]) -> Option<usize> {
    let inner = text.trim().strip_prefix('[')?.strip_suffix(']')?.trim();
    if inner.is_empty() {
        return Some(0);
    }
    let mut dims = 0;
    for dim in inner.split(',') {
        *axes.get_mut(dims)? = dim.trim().parse().ok()?;
        dims += 1;
    }
    Some(dims)
}

/// Strides of a tensor without gaps.
pub(super) fn row_major(shape: &[u64; AXES], axes: usize) -> [i64; AXES] {
    let mut strides = [0; AXES];
    let mut stride = 1i64;
    for axis in (0..axes).rev() {
        strides[axis] = stride;
        stride = stride.wrapping_mul(shape[axis] as i64);
    }
    strides
}

/// Strides as the kernel takes them; the outer none where they do not fit the shape, or that not the elements.
#[expect(
    clippy::option_option,
    reason = "no strides is as good an answer as some"
)]
pub(super) fn strides_of(
    strides: Option<&[isize]>,
    shape: Shape<'_>,
    count: u64,
) -> Option<Option<[i64; AXES]>> {
    let Some(strides) = strides else {
        return Some(None);
    };
    let Shape::Dims(dims) = shape else {
        return None;
    };
    let all = dims
        .iter()
        .try_fold(1, |all: u64, dim| all.checked_mul(*dim as u64));
    if dims.len() != strides.len() || dims.len() > AXES || all != Some(count) {
        return None;
    }
    let mut all = [0; AXES];
    let mut expected = 1isize;
    let mut has_gaps = false;
    for axis in (0..dims.len()).rev() {
        all[axis] = strides[axis] as i64;
        has_gaps |= dims[axis] != 1 && strides[axis] != expected;
        expected = expected.wrapping_mul(dims[axis] as isize);
    }
    Some(has_gaps.then_some(all))
}
