//! Which checkpoints a node was computed from.

use std::collections::HashMap;

use super::node::Node;

/// How far to look behind a node through views and unnamed operations.
const MAX_DEPTH: usize = 12;

/// Names of the nodes of one pass.
#[derive(Debug, Default)]
pub(super) struct Graph {
    names: HashMap<usize, String>,
}

impl Graph {
    /// A new pass: nodes of the last one are gone, and their addresses may come again.
    pub(super) fn clear(&mut self) {
        self.names.clear();
    }

    pub(super) fn insert<N: Node>(&mut self, node: &N, name: &str) {
        self.names.insert(node.id(), name.to_owned());
    }

    /// Names of the checkpoints that `node`, itself named `name`, was computed from, without repetition.
    /// What is read out of the KV cache counts as the checkpoint that is written there.
    pub(super) fn sources<N: Node>(&self, node: &N, name: &str) -> Vec<String> {
        let mut found = Vec::new();
        self.visit(node, name, MAX_DEPTH, &mut found);
        found
    }

    fn visit<N: Node>(&self, node: &N, name: &str, depth: usize, found: &mut Vec<String>) {
        let inputs = (0..10)
            .map_while(|index| node.src(index))
            .chain(node.view_src());
        for input in inputs {
            let known = match self.names.get(&input.id()) {
                // The product under a bias has the name of the sum.
                Some(known) if known != name => Some(known.clone()),
                Some(_) => None,
                None => cached(&input.name()),
            };
            match known {
                Some(known) if !found.contains(&known) => found.push(known),
                Some(_) => {}
                None if depth > 0 => self.visit(&input, name, depth - 1, found),
                None => {}
            }
        }
    }
}

/// The checkpoint that a tensor of the KV cache holds: `cache_k_l3`, or a view of it.
fn cached(tensor: &str) -> Option<String> {
    match cache_tensor(tensor)? {
        ("k", layer) => Some(format!("layer_{layer}_k_rope")),
        ("v", layer) => Some(format!("layer_{layer}_v")),
        _ => None,
    }
}

/// The block whose cache `node` is a view of, however many views lie between.
pub(super) fn cache_layer<N: Node>(node: N) -> Option<usize> {
    let mut node = node;
    for _ in 0..MAX_DEPTH {
        if let Some((_, layer)) = cache_tensor(&node.name()) {
            return Some(layer);
        }
        node = node.src(0).or_else(|| node.view_src())?;
    }
    None
}

/// `cache_{k or v}_l{layer}`, perhaps with ` (view)` behind.
fn cache_tensor(name: &str) -> Option<(&str, usize)> {
    let (which, rest) = name.strip_prefix("cache_")?.split_once("_l")?;
    Some((which, rest.split(' ').next()?.parse().ok()?))
}
