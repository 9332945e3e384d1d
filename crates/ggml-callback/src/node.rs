//! A node of a ggml graph, as the eval callback sees it.

use std::ops::Range;

use half::{bf16, f16};

/// A tensor of a ggml graph that is being computed.
///
/// `ne` and `nb` are ggml's: elements and bytes per step of each axis, **innermost first**.
pub trait Node: Copy {
    /// Name in the graph; not unique.
    fn name(&self) -> &str;
    /// Operation as ggml describes it, `MUL_MAT`, `SWIGLU`; empty or `NONE` for leaves.
    fn op(&self) -> &str;
    /// ggml's type name, `f32`, `q4_1`.
    fn type_name(&self) -> &str;
    /// Elements along each axis, innermost first.
    fn ne(&self) -> [usize; 4];
    /// Bytes between neighbours along each axis, innermost first.
    fn nb(&self) -> [usize; 4];
    /// A parameter of the operation, its 32 bits read as `f32`.
    fn op_param(&self, index: usize) -> f32;
    /// An input of the operation.
    fn src(&self, index: usize) -> Option<Self>;
    /// The tensor whose memory this one is a view of.
    fn view_src(&self) -> Option<Self>;
    /// Whether the graph computes this node. A branch that was not chosen stays in the graph, is passed to
    /// the callback, and holds whatever was in its memory before.
    fn is_computed(&self) -> bool;
    /// Tells nodes of one graph apart.
    fn id(&self) -> usize;
    /// The tensor's bytes, from its first element on, over all its strides. `scratch` may hold them.
    /// Only the computed tensor that the callback was called with has bytes, and inputs of a node that is asked about.
    fn bytes<'a>(&'a self, scratch: &'a mut Vec<u8>) -> &'a [u8];
    /// One block row of `n` elements of this node's type, as `f32`; false when the type has no such form.
    fn decode_row(&self, row: &[u8], out: &mut [f32]) -> bool;
}

/// A tensor's elements in their own storage type; quantised blocks are decoded.
#[derive(Clone, Debug, PartialEq)]
pub enum NodeData {
    /// `f32`, or decoded blocks.
    F32(Vec<f32>),
    /// Half precision.
    F16(Vec<f16>),
    /// bfloat16.
    Bf16(Vec<bf16>),
    /// Token ids, positions, indices.
    I32(Vec<i32>),
    /// Indices.
    I64(Vec<i64>),
}

impl NodeData {
    /// Number of elements.
    pub(super) fn len(&self) -> usize {
        match self {
            Self::F32(data) => data.len(),
            Self::F16(data) => data.len(),
            Self::Bf16(data) => data.len(),
            Self::I32(data) => data.len(),
            Self::I64(data) => data.len(),
        }
    }

    /// The rows `rows` of `row` elements each; of every stretch of `width` elements only `columns`, where given.
    pub(super) fn select(
        &self,
        rows: Range<usize>,
        row: usize,
        columns: Option<(usize, &[usize])>,
    ) -> Self {
        let range = rows.start * row..rows.end * row;
        match self {
            Self::F32(data) => Self::F32(select(&data[range], columns)),
            Self::F16(data) => Self::F16(select(&data[range], columns)),
            Self::Bf16(data) => Self::Bf16(select(&data[range], columns)),
            Self::I32(data) => Self::I32(select(&data[range], columns)),
            Self::I64(data) => Self::I64(select(&data[range], columns)),
        }
    }
}

fn select<T: Copy>(data: &[T], columns: Option<(usize, &[usize])>) -> Vec<T> {
    match columns {
        None => data.to_vec(),
        Some((width, columns)) => {
            let stretches = data.chunks(width.max(1));
            let picked =
                stretches.flat_map(|stretch| columns.iter().map(|column| stretch[*column]));
            picked.collect()
        }
    }
}
