//! Which node of ggml's graph is which checkpoint.
//!
//! ggml's names are not unique: `Qcur-0` is a product, a sum with the bias, a view and a rotation. The
//! weight that an operation reads is what tells best; where there is none, name and operation decide.
//! A later node of the same place replaces an earlier one, which is how a projection comes with its
//! bias, a norm with its weight, scores with their cap and the embedding with its positions or scale.

mod table;

use super::graph;
use super::layout::Layout;
use super::node::Node;
use table::{ACTIVATIONS, BY_INPUT, BY_NAME, BY_WEIGHT, Form, OUTSIDE, OUTSIDE_BY_NAME};

/// Shape of the attention of one model.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Heads {
    /// Query heads.
    pub query: usize,
    /// Key and value heads.
    pub key_value: usize,
    /// Elements of one query or key head.
    pub head_dim: usize,
    /// Elements of one value head.
    pub value_dim: usize,
}

/// A node's place in the canonical vocabulary.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// Block, where the checkpoint belongs to one.
    pub layer: Option<usize>,
    /// Name without the `layer_{i}_` in front.
    pub point: &'static str,
    /// How the node's memory becomes the checkpoint's shape.
    pub layout: Layout,
}

impl Place {
    /// The checkpoint's whole name, `layer_0_q`.
    pub fn name(&self) -> String {
        match self.layer {
            Some(layer) => format!("layer_{layer}_{}", self.point),
            None => self.point.to_owned(),
        }
    }

    fn outside(point: &'static str) -> Self {
        Self {
            layer: None,
            point,
            layout: Layout::Rows,
        }
    }
}

/// Operations that may read a weight and so take their place from it.
const WEIGHTED: [&str; 4] = ["MUL_MAT", "MUL", "ADD", "MUL_MAT_ID"];

/// The node's places: several for one product of fused projections, none for views, masks, cache writes and
/// whatever else has no canonical name.
pub fn places<N: Node>(node: &N, heads: Heads) -> Vec<Place> {
    let mut found = Vec::new();
    find(node, heads, &mut found);
    found
}

/// As [`places`], into a vector that is used again.
pub(crate) fn find<N: Node>(node: &N, heads: Heads, found: &mut Vec<Place>) {
    match weight_of(node) {
        Some(Weight::Outside(point)) => found.push(Place::outside(point)),
        Some(Weight::Block(layer, rows)) => {
            found.extend(rows.iter().map(|row| block_place(layer, row, heads)));
        }
        None => found.extend(without_weight(node, heads)),
    }
}

/// A weight that the tables know.
enum Weight {
    /// The point of an operation that reads it.
    Outside(&'static str),
    /// Its block, and points and forms of an operation that reads it.
    Block(usize, &'static [(&'static str, Form)]),
}

fn block_place(layer: usize, row: &(&'static str, Form), heads: Heads) -> Place {
    Place {
        layer: Some(layer),
        point: row.0,
        layout: row.1.layout(heads),
    }
}

/// The weight that gives an operation its place.
fn weight_of<N: Node>(node: &N) -> Option<Weight> {
    if !WEIGHTED.contains(&node.op()) {
        return None;
    }
    (0..2)
        .filter_map(|index| node.src(index))
        .find_map(|input| known_weight(input.name()))
}

/// The first place of an operation on a weight.
fn weighted<N: Node>(node: &N, heads: Heads) -> Option<Place> {
    match weight_of(node)? {
        Weight::Outside(point) => Some(Place::outside(point)),
        Weight::Block(layer, rows) => rows.first().map(|row| block_place(layer, row, heads)),
    }
}

fn without_weight<N: Node>(node: &N, heads: Heads) -> Option<Place> {
    let op = node.op();
    if op == "GET_ROWS"
        && node
            .src(0)
            .is_some_and(|table| table.name() == "token_embd.weight")
    {
        return Some(Place::outside("embedding"));
    }
    if op == "FLASH_ATTN_EXT" {
        return Some(Place {
            layer: Some(graph::cache_layer(node.src(1)?)?),
            point: "attn_context",
            layout: Form::Context.layout(heads),
        });
    }
    let name = node.name();
    if let Some(row) = OUTSIDE_BY_NAME
        .iter()
        .find(|row| row.0 == name && row.1 == op)
    {
        return Some(Place::outside(row.2));
    }
    by_name(name, op, heads).or_else(|| match op {
        "ADD" => residual(node, heads),
        _ if ACTIVATIONS.contains(&op) => activation(node, heads),
        _ => None,
    })
}

fn by_name(name: &str, op: &str, heads: Heads) -> Option<Place> {
    let (base, layer) = name.rsplit_once('-')?;
    let layer = layer.parse().ok()?;
    let (_, _, point, form) = BY_NAME.iter().find(|row| row.0 == base && row.1 == op)?;
    Some(Place {
        layer: Some(layer),
        point,
        layout: form.layout(heads),
    })
}

/// The activation of a projection.
fn activation<N: Node>(node: &N, heads: Heads) -> Option<Place> {
    let input = node.src(0)?;
    let place = weighted(&input, heads)?;
    let (_, point, form) = BY_INPUT.iter().find(|row| row.0 == place.point)?;
    Some(Place {
        point,
        layout: form.layout(heads),
        ..place
    })
}

/// What attention adds to the stream, where the sum has no name: one of its inputs is the output of the attention, and
/// the other is nothing of the same block.
fn residual<N: Node>(sum: &N, heads: Heads) -> Option<Place> {
    let input = |index| {
        let mut input = sum.src(index)?;
        if input.op() == "GET_ROWS" {
            // The rows whose logits are asked for.
            input = input.src(0)?;
        }
        weighted(&input, heads)
    };
    match (input(0), input(1)) {
        (Some(place), None) | (None, Some(place))
            if matches!(place.point, "attn_out" | "attn_post_norm") =>
        {
            Some(Place {
                point: "attn_residual",
                ..place
            })
        }
        _ => None,
    }
}

/// What the tables say of the tensor `name`.
fn known_weight(name: &str) -> Option<Weight> {
    let tensor = name
        .strip_suffix(".weight")
        .or_else(|| name.strip_suffix(".bias"))?;
    let Some((layer, tensor)) = tensor
        .strip_prefix("blk.")
        .and_then(|rest| rest.split_once('.'))
    else {
        let row = OUTSIDE.iter().find(|row| row.0 == tensor)?;
        return Some(Weight::Outside(row.1));
    };
    let layer = layer.parse().ok()?;
    let row = BY_WEIGHT.iter().find(|row| row.0 == tensor)?;
    Some(Weight::Block(layer, row.1))
}
