//! Which node of ggml's graph is which checkpoint.
//!
//! ggml's names are not unique: `Qcur-0` is a product, a sum with the bias, a view and a rotation. The
//! weight that an operation reads is what tells best; where there is none, name and operation decide.
//! A later node of the same place replaces an earlier one, which is how a projection comes with its
//! bias and a norm with its weight.

use super::graph;
use super::layout::Layout;
use super::node::Node;

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
}

/// Which heads a projection's rows are split into.
#[derive(Clone, Copy)]
enum Split {
    No,
    Query,
    Key,
    Value,
    Context,
}

/// Weights and biases that give their operation its place: `blk.N.{weight}.weight` or `.bias`.
const BY_WEIGHT: &[(&str, &str, Split)] = &[
    ("attn_norm", "attn_norm", Split::No),
    ("attn_q", "q", Split::Query),
    ("attn_k", "k", Split::Key),
    ("attn_v", "v", Split::Value),
    ("attn_q_norm", "q_norm", Split::Query),
    ("attn_k_norm", "k_norm", Split::Key),
    ("attn_output", "attn_out", Split::No),
    ("ffn_norm", "ffn_norm", Split::No),
    ("ffn_gate", "ffn_gate", Split::No),
    ("ffn_up", "ffn_up", Split::No),
    ("ffn_down", "ffn_out", Split::No),
];

/// Operations without a weight: ggml's name before the `-N`, operation, checkpoint, layout.
const BY_NAME: &[(&str, &str, &str, Kind)] = &[
    ("Qcur", "ROPE", "q_rope", Kind::Heads(Split::Query)),
    ("Kcur", "ROPE", "k_rope", Kind::Heads(Split::Key)),
    ("kq", "MUL_MAT", "attn_scores", Kind::Scores),
    ("kq_soft_max", "SOFT_MAX", "attn_probs", Kind::Scores),
    (
        "kqv_out",
        "CONT",
        "attn_context",
        Kind::Heads(Split::Context),
    ),
    ("ffn_inp", "ADD", "attn_residual", Kind::Rows),
    ("ffn_swiglu", "SWIGLU", "ffn_act", Kind::Rows),
    ("l_out", "ADD", "output", Kind::Rows),
];

#[derive(Clone, Copy)]
enum Kind {
    Rows,
    Heads(Split),
    Scores,
}

/// Operations that may read a weight and so take their place from it.
const WEIGHTED: [&str; 3] = ["MUL_MAT", "MUL", "ADD"];

/// The node's place, or `None` for views, masks, cache writes and whatever else has no canonical name.
pub fn place<N: Node>(node: &N, heads: Heads) -> Option<Place> {
    let op = node.op();
    if WEIGHTED.contains(&op.as_str()) {
        let inputs = (0..2).filter_map(|index| node.src(index));
        if let Some(place) = inputs
            .into_iter()
            .find_map(|input| by_weight(&input.name(), heads))
        {
            return Some(place);
        }
    }
    if op == "GET_ROWS"
        && node
            .src(0)
            .is_some_and(|table| table.name() == "token_embd.weight")
    {
        return Some(Place {
            layer: None,
            point: "embedding",
            layout: Layout::Rows,
        });
    }
    if op == "FLASH_ATTN_EXT" {
        let layer = Some(graph::cache_layer(node.src(1)?)?);
        return Some(Place {
            layer,
            point: "attn_context",
            layout: Split::Context.layout(heads),
        });
    }
    let name = node.name();
    let (base, layer) = name.rsplit_once('-')?;
    let layer = layer.parse().ok()?;
    let (_, _, point, kind) = BY_NAME.iter().find(|row| row.0 == base && row.1 == op)?;
    let layout = match kind {
        Kind::Rows => Layout::Rows,
        Kind::Heads(split) => split.layout(heads),
        Kind::Scores => Layout::Scores,
    };
    Some(Place {
        layer: Some(layer),
        point,
        layout,
    })
}

fn by_weight(weight: &str, heads: Heads) -> Option<Place> {
    let tensor = weight
        .strip_suffix(".weight")
        .or_else(|| weight.strip_suffix(".bias"))?;
    let Some(rest) = tensor.strip_prefix("blk.") else {
        // With tied embeddings the output projection reads the embedding table.
        let point = match tensor {
            "output_norm" => "final_norm",
            "output" | "token_embd" => "logits",
            _ => return None,
        };
        return Some(Place {
            layer: None,
            point,
            layout: Layout::Rows,
        });
    };
    let (layer, tensor) = rest.split_once('.')?;
    let (_, point, split) = BY_WEIGHT.iter().find(|row| row.0 == tensor)?;
    Some(Place {
        layer: Some(layer.parse().ok()?),
        point,
        layout: split.layout(heads),
    })
}

impl Split {
    fn layout(self, heads: Heads) -> Layout {
        let (count, dim) = match self {
            Self::No => return Layout::Rows,
            Self::Query => (heads.query, heads.head_dim),
            Self::Key => (heads.key_value, heads.head_dim),
            Self::Value => (heads.key_value, heads.value_dim),
            Self::Context => (heads.query, heads.value_dim),
        };
        Layout::Heads { count, dim }
    }
}
