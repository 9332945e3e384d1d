//! Which checkpoints a node was computed from.

use std::collections::{HashMap, HashSet};

use super::node::Node;

/// How far to look behind a node through views and unnamed operations.
const MAX_DEPTH: usize = 12;

/// Names of the nodes of one pass.
#[derive(Debug, Default)]
pub(super) struct Graph {
    /// By node: the byte at which each of its checkpoints begins, and their names.
    names: HashMap<usize, Vec<(usize, String)>>,
    seen: HashSet<String>,
}

impl Graph {
    /// A new pass: nodes of the last one are gone, and their addresses may come again.
    pub(super) fn clear(&mut self) {
        self.names.clear();
        self.seen.clear();
    }

    /// `node` holds the checkpoint `name` from byte `start` on.
    pub(super) fn insert<N: Node>(&mut self, node: &N, start: usize, name: &str) {
        let names = self.names.entry(node.id()).or_default();
        if !names.iter().any(|(_, known)| known == name) {
            names.push((start, name.to_owned()));
        }
        self.seen.insert(name.to_owned());
    }

    /// Names of the checkpoints that `node`, itself named `name`, was computed from, without repetition.
    /// What is read out of the KV cache counts as the checkpoint that is written there.
    pub(super) fn sources<N: Node>(&self, node: &N, name: &str) -> Vec<String> {
        let mut found = Vec::new();
        self.visit(node, name, MAX_DEPTH, &mut found);
        found
    }

    fn visit<N: Node>(&self, node: &N, name: &str, depth: usize, found: &mut Vec<String>) {
        let inputs: Vec<N> = (0..10).map_while(|index| node.src(index)).collect();
        // A view's source is the tensor it was taken from; the one whose memory it shows may hold more.
        let owner = inputs.is_empty().then(|| node.view_src()).flatten();
        for input in inputs.into_iter().chain(owner) {
            let mut known = self.names_of(&input);
            // The product under a bias has the name of the sum.
            if known.iter().any(|known| known == name) {
                known.clear();
            }
            if known.is_empty() && depth > 0 {
                self.visit(&input, name, depth - 1, found);
            }
            for known in known {
                if !found.contains(&known) {
                    found.push(known);
                }
            }
        }
    }

    /// The checkpoints in `node`, as far as it is named or shows a part of a node that is.
    fn names_of<N: Node>(&self, node: &N) -> Vec<String> {
        if let Some(names) = self.names.get(&node.id()) {
            return names.iter().map(|(_, name)| name.clone()).collect();
        }
        if node.op() == "VIEW"
            && let Some(names) = node.src(0).and_then(|whole| self.names.get(&whole.id()))
        {
            // ggml keeps a view's offset in the first of its parameters.
            let offset = node.op_param(0).to_bits() as usize;
            let part = names.iter().rev().find(|(start, _)| *start <= offset);
            return part.into_iter().map(|(_, name)| name.clone()).collect();
        }
        self.cached(&node.name()).into_iter().collect()
    }

    /// The checkpoint that a tensor of the KV cache holds: `cache_k_l3`, or a view of it.
    fn cached(&self, tensor: &str) -> Option<String> {
        let (which, layer) = cache_tensor(tensor)?;
        let name = |point: &str| format!("layer_{layer}_{point}");
        match which {
            // Where keys are neither rotated nor normalised, they go into the cache as they are projected.
            "k" => {
                let written = ["k_rope", "k_norm", "k"].map(name);
                let written = written.into_iter().find(|name| self.seen.contains(name));
                written.or_else(|| Some(name("k_rope")))
            }
            "v" => Some(name("v")),
            _ => None,
        }
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
