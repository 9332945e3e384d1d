//! What a graph was fed with, read from the graph itself: token ids, positions, and which rows remain.
//!
//! Found by what an operation does with them and not by name, since the inputs have no names in some versions of
//! llama.cpp. They are read when the node that uses them is asked about: earlier they may not have been copied
//! to its device yet, later their memory may serve another tensor.

use super::node::Node;

/// The inputs of one pass, as far as they have been seen.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Inputs {
    /// Ids of the tokens.
    pub tokens: Option<Vec<i32>>,
    /// Absolute 0-based positions of the tokens.
    pub positions: Option<Vec<i64>>,
    /// Cells of the KV cache that the tokens go to; `None` before the first of them is written.
    pub cells: Option<Vec<i64>>,
    /// ggml's name of the storage type of the KV cache.
    pub cache_type: Option<String>,
    /// Rows whose logits were asked for; `None` as long as all rows go on.
    pub outputs: Option<Vec<usize>>,
}

impl Inputs {
    /// Reads what `node`, about to be computed, is the first to use.
    pub fn see<N: Node>(&mut self, node: &N) {
        match node.op() {
            "GET_ROWS" => self.see_lookup(node),
            "ROPE" if self.positions.is_none() => {
                let positions = node.src(1).and_then(|input| integers(&input));
                // With several numbers for each token (one for each section of a picture's position) the first
                // comes first for all tokens.
                let n_tokens = node.ne()[2];
                self.positions = positions.map(|mut positions| {
                    positions.truncate(n_tokens);
                    positions
                });
            }
            "SET_ROWS" if self.cells.is_none() => {
                self.cache_type
                    .get_or_insert_with(|| node.type_name().to_owned());
                // Values stored transposed have a cell for each of their elements.
                let cells = node.src(1).and_then(|input| integers(&input));
                let n_tokens = self.tokens.as_ref().map(Vec::len);
                self.cells =
                    cells.filter(|cells| n_tokens.is_none_or(|count| cells.len() == count));
            }
            _ => {}
        }
    }

    fn see_lookup<N: Node>(&mut self, node: &N) {
        let (Some(table), Some(rows)) = (node.src(0), node.src(1)) else {
            return;
        };
        if is_token_table(&table) {
            if self.tokens.is_none() {
                let ids = integers(&rows).unwrap_or_default();
                self.tokens = Some(
                    ids.iter()
                        .map(|id| i32::try_from(*id).unwrap_or(-1))
                        .collect(),
                );
            }
        } else if table.name() == "position_embd.weight" {
            self.positions = self.positions.take().or_else(|| integers(&rows));
        } else if self.outputs.is_none() && rows.op() == "NONE" && table.op() != "NONE" {
            // A choice among computed rows by an input; experts are chosen by computed indices.
            let rows = integers(&rows).unwrap_or_default();
            self.outputs = Some(
                rows.iter()
                    .filter_map(|row| usize::try_from(*row).ok())
                    .collect(),
            );
        }
    }
}

/// Whether `node` looks tokens up in the embedding table: every forward pass over tokens does so once.
pub fn is_token_lookup<N: Node>(node: &N) -> bool {
    node.op() == "GET_ROWS" && node.src(0).is_some_and(|table| is_token_table(&table))
}

fn is_token_table<N: Node>(table: &N) -> bool {
    table.name() == "token_embd.weight"
}

/// The elements of a vector of integers.
fn integers<N: Node>(node: &N) -> Option<Vec<i64>> {
    let ([count, 1, 1, 1], [stride, ..]) = (node.ne(), node.nb()) else {
        return None;
    };
    let kind = node.type_name();
    let mut scratch = Vec::new();
    let bytes = node.bytes(&mut scratch);
    (0..count)
        .map(|index| {
            let element = bytes.get(index * stride..)?;
            match kind {
                "i32" => Some(i64::from(i32::from_le_bytes(*element.first_chunk()?))),
                "i64" => Some(i64::from_le_bytes(*element.first_chunk()?)),
                _ => None,
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake::{Fake, leaf};

    #[test]
    fn roles_decide() {
        let table = leaf("token_embd.weight", "q4_1", [64, 100, 1, 1]);
        let ids = leaf("", "i32", [3, 1, 1, 1]).with_i32(&[5, 6, 7]);
        let positions = leaf("", "i32", [3, 1, 1, 1]).with_i32(&[10, 11, 12]);
        let embedding = Fake::new("embd", "GET_ROWS", [64, 3, 1, 1]).from(&[&table, &ids]);
        let rotated = Fake::new("Qcur-0", "ROPE", [8, 8, 3, 1]).from(&[&embedding, &positions]);
        let remaining = leaf("", "i32", [1, 1, 1, 1]).with_i32(&[2]);
        let last = Fake::new("node_9", "GET_ROWS", [64, 1, 1, 1]).from(&[&embedding, &remaining]);

        assert!(is_token_lookup(&&embedding));
        assert!(!is_token_lookup(&&last));
        let mut inputs = Inputs::default();
        let elements = leaf("", "i64", [192, 1, 1, 1]);
        let transposed = Fake::new("cache_v_l0 (view)", "SET_ROWS", [1, 64, 1, 1])
            .from(&[&embedding, &elements]);
        let cells = leaf("", "i32", [3, 1, 1, 1]).with_i32(&[20, 21, 22]);
        let stored =
            Fake::new("cache_k_l0 (view)", "SET_ROWS", [64, 256, 1, 1]).from(&[&rotated, &cells]);
        for node in [&embedding, &rotated, &transposed, &stored, &last] {
            inputs.see(&node);
        }
        assert_eq!(inputs.cells, Some(vec![20, 21, 22]));
        assert_eq!(inputs.tokens, Some(vec![5, 6, 7]));
        assert_eq!(inputs.positions, Some(vec![10, 11, 12]));
        assert_eq!(inputs.outputs, Some(vec![2]));
    }

    #[test]
    fn chosen_experts_are_no_outputs() {
        let probabilities = Fake::new("ffn_moe_probs-0", "SOFT_MAX", [4, 3, 1, 1]);
        let chosen = Fake::new("ffn_moe_topk-0", "VIEW", [2, 3, 1, 1]);
        let weights = Fake::new("ffn_moe_weights-0", "GET_ROWS", [1, 2, 3, 1])
            .from(&[&probabilities, &chosen]);
        let mut inputs = Inputs::default();
        inputs.see(&&weights);
        assert_eq!(inputs, Inputs::default());
    }

    #[test]
    fn learned_positions_and_sections() {
        let table = leaf("position_embd.weight", "f32", [64, 100, 1, 1]);
        let positions = leaf("inp_pos", "i32", [2, 1, 1, 1]).with_i32(&[4, 5]);
        let learned = Fake::new("pos_embd", "GET_ROWS", [64, 2, 1, 1]).from(&[&table, &positions]);
        let mut inputs = Inputs::default();
        inputs.see(&&learned);
        assert_eq!(inputs.positions, Some(vec![4, 5]));

        let four = leaf("inp_pos", "i32", [8, 1, 1, 1]).with_i32(&[4, 5, 0, 0, 1, 1, 0, 0]);
        let query = Fake::new("Qcur", "VIEW", [8, 8, 2, 1]);
        let rotated = Fake::new("Qcur-0", "ROPE", [8, 8, 2, 1]).from(&[&query, &four]);
        let mut inputs = Inputs::default();
        inputs.see(&&rotated);
        assert_eq!(inputs.positions, Some(vec![4, 5]));
    }
}
