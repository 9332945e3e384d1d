//! The shape of the attention, told by the graph, for those who do not have the model's metadata.

use super::naming::Heads;
use super::node::Node;

/// How far to look behind a softmax for the scores: past a soft-cap, a bias, a scale.
const MAX_DEPTH: usize = 6;

/// The shape of the attention of the first layer among `nodes` that has one.
///
/// Needs no numbers, only shapes, so a graph may be asked before it is computed.
pub fn heads<N: Node>(nodes: impl Iterator<Item = N> + Clone) -> Option<Heads> {
    nodes.clone().find_map(|node| match node.op() {
        "FLASH_ATTN_EXT" => {
            let (query, key, value) = (node.src(0)?.ne(), node.src(1)?.ne(), node.src(2)?.ne());
            Some(Heads {
                query: query[2],
                key_value: key[2],
                head_dim: query[0],
                value_dim: value[0],
            })
        }
        "SOFT_MAX" => {
            let (key, query) = score_inputs(node, MAX_DEPTH)?;
            let context = nodes.clone().find(|context| {
                context.op() == "MUL_MAT"
                    && context.src(1).is_some_and(|input| input.id() == node.id())
            })?;
            Some(Heads {
                query: query.ne()[2],
                key_value: key.ne()[2],
                head_dim: query.ne()[0],
                value_dim: context.ne()[0],
            })
        }
        _ => None,
    })
}

/// Keys and queries whose products `node` was made from; `None` for the softmax over experts, whose products are with a
/// weight.
fn score_inputs<N: Node>(node: N, depth: usize) -> Option<(N, N)> {
    let input = node.src(0)?;
    if input.op() == "MUL_MAT" {
        let (key, query) = (input.src(0)?, input.src(1)?);
        return (key.op() != "NONE").then_some((key, query));
    }
    score_inputs(input, depth.checked_sub(1)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake::{Fake, leaf};

    const EXPECTED: Heads = Heads {
        query: 9,
        key_value: 3,
        head_dim: 64,
        value_dim: 32,
    };

    #[test]
    fn separate_operations() {
        let router = leaf("blk.0.ffn_gate_inp.weight", "f32", [576, 4, 1, 1]);
        let hidden = Fake::new("ffn_norm-0", "MUL", [576, 5, 1, 1]);
        let logits =
            Fake::new("ffn_moe_logits-0", "MUL_MAT", [4, 5, 1, 1]).from(&[&router, &hidden]);
        let experts = Fake::new("ffn_moe_probs-0", "SOFT_MAX", [4, 5, 1, 1]).from(&[&logits]);

        let key = Fake::new("", "PERMUTE", [64, 256, 3, 1]);
        let query = Fake::new("", "PERMUTE", [64, 5, 9, 1]);
        let scores = Fake::new("kq-0", "MUL_MAT", [256, 5, 9, 1]).from(&[&key, &query]);
        let capped = Fake::new("", "TANH", [256, 5, 9, 1]).from(&[&scores]);
        let probabilities = Fake::new("", "SOFT_MAX", [256, 5, 9, 1]).from(&[&capped]);
        let value = Fake::new("", "VIEW", [256, 32, 3, 1]);
        let context = Fake::new("kqv-0", "MUL_MAT", [32, 5, 9, 1]).from(&[&value, &probabilities]);
        let nodes = [experts, scores, probabilities, context];
        assert_eq!(
            heads(nodes[..3].iter()),
            None,
            "nothing tells the size of a value"
        );
        assert_eq!(heads(nodes.iter()), Some(EXPECTED));
    }

    #[test]
    fn one_fused_operation() {
        let query = Fake::new("", "PERMUTE", [64, 5, 9, 1]);
        let key = Fake::new("", "VIEW", [64, 256, 3, 1]);
        let value = Fake::new("", "VIEW", [32, 256, 3, 1]);
        let fused =
            Fake::new("__fattn__-0", "FLASH_ATTN_EXT", [32, 9, 5, 1]).from(&[&query, &key, &value]);
        assert_eq!(heads([&fused].into_iter()), Some(EXPECTED));
    }
}
