//! From ggml's strided memory to a contiguous row-major tensor with the outermost dimension first.

use half::{bf16, f16};

use super::node::{Node, NodeData};

/// How a node's axes become the checkpoint's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// `[tokens, features]`.
    Rows,
    /// `[tokens, heads, head_dim]`, from rows that hold all heads or from an axis of heads.
    Heads {
        /// Number of heads.
        count: usize,
        /// Elements of one head.
        dim: usize,
    },
    /// `[tokens, heads, head_dim]`, from rows that hold more than these heads, as fused projections give them.
    Part {
        /// Elements of a row.
        whole: usize,
        /// Elements of the row before the first head.
        start: usize,
        /// Number of heads.
        count: usize,
        /// Elements of one head.
        dim: usize,
    },
    /// `[tokens, chosen experts, features]`.
    Slots,
    /// `[tokens, chosen experts]`, from rows of one element.
    Column,
    /// `[tokens, heads, kv]`, from ggml's `[heads, tokens, kv]`, cut to the positions that exist.
    Scores,
    /// The tokens' axis outermost, then ggml's others from the outermost one on.
    TokensFirst {
        /// ggml's axis of the tokens.
        axis: usize,
    },
    /// ggml's own axes, outermost first.
    AsIs,
}

/// Axes outermost first: elements, and bytes from one to the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dims {
    axes: [(usize, usize); 4],
    count: usize,
}

impl Dims {
    fn new<const COUNT: usize>(axes: [(usize, usize); COUNT]) -> Self {
        axes.into_iter().collect()
    }
}

impl FromIterator<(usize, usize)> for Dims {
    fn from_iter<I: IntoIterator<Item = (usize, usize)>>(axes: I) -> Self {
        let mut dims = Self {
            axes: [(0, 0); 4],
            count: 0,
        };
        // ggml's tensors have four axes.
        for axis in axes.into_iter().take(4) {
            dims.axes[dims.count] = axis;
            dims.count += 1;
        }
        dims
    }
}

impl std::ops::Deref for Dims {
    type Target = [(usize, usize)];

    fn deref(&self) -> &Self::Target {
        &self.axes[..self.count]
    }
}

impl Layout {
    /// The checkpoint's axes over the node's memory. `kv` is the number of positions that exist.
    ///
    /// `None` when the node does not have the form that the layout expects.
    pub fn dims<N: Node>(self, node: &N, kv: usize) -> Option<Dims> {
        let (ne, nb) = (node.ne(), node.nb());
        let axis = |index: usize| (ne[index], nb[index]);
        match self {
            Self::Rows => (ne[2] == 1 && ne[3] == 1).then(|| Dims::new([axis(1), axis(0)])),
            Self::Heads { count, dim } => match ne {
                [inner, heads, _, 1] if inner == dim && heads == count => {
                    Some(Dims::new([axis(2), axis(1), axis(0)]))
                }
                [inner, _, 1, 1] if inner == count * dim => {
                    Some(Dims::new([axis(1), (count, dim * nb[0]), (dim, nb[0])]))
                }
                _ => None,
            },
            Self::Part {
                whole, count, dim, ..
            } => (ne[0] == whole && ne[2] == 1 && ne[3] == 1)
                .then(|| Dims::new([axis(1), (count, dim * nb[0]), (dim, nb[0])])),
            Self::Slots => (ne[3] == 1).then(|| Dims::new([axis(2), axis(1), axis(0)])),
            Self::Column => (ne[0] == 1 && ne[3] == 1).then(|| Dims::new([axis(2), axis(1)])),
            Self::Scores => {
                (ne[3] == 1 && ne[0] >= kv).then(|| Dims::new([axis(1), axis(2), (kv, nb[0])]))
            }
            Self::TokensFirst { axis: tokens } => {
                let outermost = (1..4).rev().find(|index| ne[*index] > 1).unwrap_or(0);
                let others = (0..=outermost).rev().filter(|index| *index != tokens);
                Some(std::iter::once(tokens).chain(others).map(axis).collect())
            }
            Self::AsIs => {
                let outermost = (1..4).rev().find(|index| ne[*index] > 1).unwrap_or(0);
                Some((0..=outermost).rev().map(axis).collect())
            }
        }
    }

    /// The layout of a node without a canonical name, in a pass over `n_tokens` tokens of which `n_outputs` go on to
    /// the end: its tokens' axis is told by its length.
    pub(super) fn unnamed<N: Node>(node: &N, n_tokens: usize, n_outputs: usize) -> Self {
        let ne = node.ne();
        let of = |count: usize| {
            // llama.cpp has the heads outermost in attention, and the tokens everywhere else.
            let inner_first = ne[2] == 1 || ne[1] == 1 || node.name().starts_with("kq");
            let order = if inner_first { [1, 2] } else { [2, 1] };
            order.into_iter().find(|axis| ne[*axis] == count)
        };
        match of(n_tokens).or_else(|| of(n_outputs)) {
            Some(axis) => Self::TokensFirst { axis },
            None => Self::AsIs,
        }
    }

    /// Bytes of the node's memory before the checkpoint's first element.
    pub fn start<N: Node>(self, node: &N) -> usize {
        match self {
            Self::Part { start, .. } => start * node.nb()[0],
            _ => 0,
        }
    }
}

/// Copies the elements at `dims` after the first `start` bytes, in order, in the node's storage type. Quantised
/// blocks are decoded.
///
/// `None` when the type is unknown or the bytes end before the last element.
pub(super) fn gather<N: Node>(
    node: &N,
    start: usize,
    dims: &[(usize, usize)],
    memory: &mut Memory,
) -> Option<NodeData> {
    let bytes = node.bytes(&mut memory.bytes).get(start..)?;
    Some(match node.type_name() {
        "f32" => {
            let mut out = memory.spare.pop().unwrap_or_default();
            push(bytes, dims, f32::from_le_bytes, &mut out)?;
            NodeData::F32(out)
        }
        "f16" => NodeData::F16(elements(bytes, dims, |b| {
            f16::from_bits(u16::from_le_bytes(b))
        })?),
        "bf16" => NodeData::Bf16(elements(bytes, dims, |b| {
            bf16::from_bits(u16::from_le_bytes(b))
        })?),
        "i32" => NodeData::I32(elements(bytes, dims, i32::from_le_bytes)?),
        "i64" => NodeData::I64(elements(bytes, dims, i64::from_le_bytes)?),
        _ if start == 0 => NodeData::F32(decoded(node, bytes)?),
        _ => return None,
    })
}

/// Memory that is used again at the next node, since asking for it costs more than a small tensor's copy.
#[derive(Debug, Default)]
pub(super) struct Memory {
    /// For tensors that are not in the host's memory.
    bytes: Vec<u8>,
    /// For elements; empty ones.
    spare: Vec<Vec<f32>>,
}

impl Memory {
    /// Elements up to which a vector is kept: for larger ones memory costs little beside their copy, and what is
    /// kept for a long prompt would never be given back.
    const KEPT: usize = 1 << 16;

    /// Takes back what [`gather`] gave.
    pub(super) fn give_back(&mut self, data: NodeData) {
        if let NodeData::F32(mut elements) = data
            && elements.capacity() <= Self::KEPT
        {
            elements.clear();
            self.spare.push(elements);
        }
    }
}

fn elements<const SIZE: usize, T>(
    bytes: &[u8],
    dims: &[(usize, usize)],
    read: impl Fn([u8; SIZE]) -> T + Copy,
) -> Option<Vec<T>> {
    let mut out = Vec::with_capacity(dims.iter().map(|(count, _)| count).product());
    push(bytes, dims, read, &mut out)?;
    Some(out)
}

fn push<const SIZE: usize, T>(
    bytes: &[u8],
    dims: &[(usize, usize)],
    read: impl Fn([u8; SIZE]) -> T + Copy,
    out: &mut Vec<T>,
) -> Option<()> {
    match dims {
        [] => out.push(read(*bytes.first_chunk()?)),
        // The common innermost case, a run of neighbours, without a bounds check for each.
        [(count, stride)] if *stride == SIZE => {
            let run = bytes.get(..count * SIZE)?;
            out.extend(run.as_chunks::<SIZE>().0.iter().map(|chunk| read(*chunk)));
        }
        [(count, stride), inner @ ..] => {
            for index in 0..*count {
                push(bytes.get(index * stride..)?, inner, read, out)?;
            }
        }
    }
    Some(())
}

/// All rows of a quantised tensor, outermost first.
fn decoded<N: Node>(node: &N, bytes: &[u8]) -> Option<Vec<f32>> {
    let (ne, nb) = (node.ne(), node.nb());
    let mut out = vec![0.0; ne.iter().product()];
    for (index, row) in out.chunks_mut(ne[0].max(1)).enumerate() {
        let (i1, i2, i3) = (
            index % ne[1],
            index / ne[1] % ne[2],
            index / (ne[1] * ne[2]),
        );
        let start = bytes.get(i1 * nb[1] + i2 * nb[2] + i3 * nb[3]..)?;
        node.decode_row(start, row).then_some(())?;
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake::Fake;

    #[test]
    fn the_axis_of_the_tokens_is_told_by_its_length() {
        let unnamed = |name: &str, ne, n_tokens| {
            let node = Fake::new(name, "MUL", ne);
            let layout = Layout::unnamed(&&node, n_tokens, 1);
            let dims = layout.dims(&&node, 0).expect("any form will do");
            let shape: Vec<usize> = dims.iter().map(|(count, _)| *count).collect();
            (layout, shape)
        };
        let first = |axis| Layout::TokensFirst { axis };
        assert_eq!(unnamed("norm-0", [64, 5, 1, 1], 5), (first(1), vec![5, 64]));
        assert_eq!(unnamed("norm-9", [64, 1, 1, 1], 5), (first(1), vec![1, 64]));
        assert_eq!(
            unnamed("Qcur-0", [8, 4, 5, 1], 5),
            (first(2), vec![5, 4, 8])
        );
        assert_eq!(
            unnamed("Qcur-0", [8, 4, 1, 1], 1),
            (first(2), vec![1, 4, 8])
        );
        assert_eq!(unnamed("kqv-0", [8, 5, 4, 1], 5), (first(1), vec![5, 4, 8]));
        assert_eq!(unnamed("kqv-0", [8, 1, 4, 1], 1), (first(1), vec![1, 4, 8]));
        // As many heads as tokens.
        assert_eq!(
            unnamed("Qcur-0", [8, 4, 4, 1], 4),
            (first(2), vec![4, 4, 8])
        );
        assert_eq!(unnamed("kqv-0", [8, 4, 4, 1], 4), (first(1), vec![4, 4, 8]));
        assert_eq!(
            unnamed("v_cont-0", [256, 8, 4, 1], 5),
            (Layout::AsIs, vec![4, 8, 256])
        );
    }
}
