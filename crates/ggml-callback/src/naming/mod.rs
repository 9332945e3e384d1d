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
    let op = node.op();
    let places = weighted(node, &op, heads);
    if !places.is_empty() {
        return places;
    }
    without_weight(node, &op, heads).into_iter().collect()
}

/// The places of an operation on a weight.
fn weighted<N: Node>(node: &N, op: &str, heads: Heads) -> Vec<Place> {
    if !WEIGHTED.contains(&op) {
        return Vec::new();
    }
    let inputs = (0..2).filter_map(|index| node.src(index));
    let mut places = inputs.map(|input| by_weight(&input.name(), heads));
    places.find(|places| !places.is_empty()).unwrap_or_default()
}

fn without_weight<N: Node>(node: &N, op: &str, heads: Heads) -> Option<Place> {
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
    by_name(&name, op, heads).or_else(|| match op {
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
    let place = weighted(&input, &input.op(), heads).into_iter().next()?;
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
        weighted(&input, &input.op(), heads).into_iter().next()
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

/// The places of an operation that reads `weight`.
fn by_weight(weight: &str, heads: Heads) -> Vec<Place> {
    let tensor = weight
        .strip_suffix(".weight")
        .or_else(|| weight.strip_suffix(".bias"));
    let Some(tensor) = tensor else {
        return Vec::new();
    };
    let Some((layer, tensor)) = tensor
        .strip_prefix("blk.")
        .and_then(|rest| rest.split_once('.'))
    else {
        let rows = OUTSIDE.iter().filter(|row| row.0 == tensor);
        return rows.map(|row| Place::outside(row.1)).collect();
    };
    let Ok(layer) = layer.parse() else {
        return Vec::new();
    };
    let rows = BY_WEIGHT.iter().filter(|row| row.0 == tensor);
    rows.flat_map(|row| row.1)
        .map(|(point, form)| Place {
            layer: Some(layer),
            point,
            layout: form.layout(heads),
        })
        .collect()
}
