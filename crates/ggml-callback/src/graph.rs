//! Which checkpoints a node was computed from.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

use super::layout::Layout;
use super::names::{NameId, NameSet, Names};
use super::naming::Place;
use super::node::Node;

/// How far to look behind a node through views and unnamed operations.
const MAX_DEPTH: usize = 12;

/// Names of the nodes of one pass.
#[derive(Debug, Default)]
pub(super) struct Graph {
    /// By node: its last entry among `held`.
    last: HashMap<usize, usize, BuildHasherDefault<AddressHasher>>,
    held: Vec<Checkpoint>,
    seen: NameSet,
}

/// A checkpoint in a node.
#[derive(Debug)]
struct Checkpoint {
    /// The byte at which it begins.
    start: usize,
    name: NameId,
    /// The one that was found before it in the same node.
    before: Option<usize>,
}

impl Graph {
    /// A new pass: nodes of the last one are gone, and their addresses may come again.
    pub(super) fn clear(&mut self) {
        self.last.clear();
        self.held.clear();
        self.seen.clear();
    }

    /// `node` holds the checkpoint `name` from byte `start` on.
    pub(super) fn insert<N: Node>(&mut self, node: &N, start: usize, name: NameId) {
        self.seen.insert(name);
        if self.of(node).any(|known| known.name == name) {
            return;
        }
        let before = self.last.insert(node.id(), self.held.len());
        self.held.push(Checkpoint {
            start,
            name,
            before,
        });
    }

    /// The checkpoints in `node`, the last one first.
    fn of<N: Node>(&self, node: &N) -> impl Iterator<Item = &Checkpoint> {
        let mut next = self.last.get(&node.id()).copied();
        std::iter::from_fn(move || {
            let checkpoint = &self.held[next?];
            next = checkpoint.before;
            Some(checkpoint)
        })
    }

    /// Appends the names of the checkpoints that `node`, itself named `name`, was computed from, without repetition.
    /// What is read out of the KV cache counts as the checkpoint that is written there.
    pub(super) fn sources<N: Node>(
        &self,
        node: &N,
        name: NameId,
        names: &mut Names,
        found: &mut Vec<NameId>,
    ) {
        self.visit(node, name, MAX_DEPTH, names, found);
    }

    fn visit<N: Node>(
        &self,
        node: &N,
        name: NameId,
        depth: usize,
        names: &mut Names,
        found: &mut Vec<NameId>,
    ) {
        // A view's source is the tensor it was taken from; the one whose memory it shows may hold more.
        let owner = match node.src(0) {
            Some(_) => None,
            None => node.view_src(),
        };
        let inputs = (0..10).map_while(|index| node.src(index));
        for input in inputs.chain(owner) {
            let is_named = self.add_names(&input, name, names, found);
            if !is_named && depth > 0 {
                self.visit(&input, name, depth - 1, names, found);
            }
        }
    }

    /// Appends the checkpoints in `node`, as far as it is named or shows a part of a node that is. False when there are
    /// none, or `own` is among them: the product under a bias has the name of the sum.
    fn add_names<N: Node>(
        &self,
        node: &N,
        own: NameId,
        names: &mut Names,
        found: &mut Vec<NameId>,
    ) -> bool {
        if self.last.contains_key(&node.id()) {
            if self.of(node).any(|known| known.name == own) {
                return false;
            }
            let first = found.len();
            for known in self.of(node) {
                add(known.name, found);
            }
            // In the order in which they were found.
            found[first..].reverse();
            return true;
        }
        let part = if node.op() == "VIEW"
            && let Some(whole) = node.src(0)
            && self.last.contains_key(&whole.id())
        {
            // ggml keeps a view's offset in the first of its parameters.
            let offset = node.op_param(0).to_bits() as usize;
            let part = self.of(&whole).find(|known| known.start <= offset);
            part.map(|known| known.name)
        } else {
            self.cached(node.name(), names)
        };
        match part {
            Some(name) if name != own => {
                add(name, found);
                true
            }
            _ => false,
        }
    }

    /// The checkpoint that a tensor of the KV cache holds: `cache_k_l3`, or a view of it.
    fn cached(&self, tensor: &str, names: &mut Names) -> Option<NameId> {
        let (which, layer) = cache_tensor(tensor)?;
        let mut name = |point| {
            names.of_place(&Place {
                layer: Some(layer),
                point,
                layout: Layout::Rows,
            })
        };
        match which {
            // Where keys are neither rotated nor normalised, they go into the cache as they are projected.
            "k" => {
                let written = ["k_rope", "k_norm", "k"].map(&mut name);
                let first = written[0];
                let written = written.into_iter().find(|name| self.seen.contains(*name));
                written.or(Some(first))
            }
            "v" => Some(name("v")),
            _ => None,
        }
    }
}

fn add(name: NameId, found: &mut Vec<NameId>) {
    if !found.contains(&name) {
        found.push(name);
    }
}

/// Addresses are far apart in their lower bits and alike in their upper ones; a product spreads them.
#[derive(Default)]
struct AddressHasher(u64);

impl Hasher for AddressHasher {
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_usize(usize::from(*byte));
        }
    }

    fn write_usize(&mut self, address: usize) {
        // 2⁶⁴ over the golden ratio: D. E. Knuth, "The Art of Computer Programming", volume 3, section 6.4.
        self.0 = (self.0 ^ address as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    }

    fn finish(&self) -> u64 {
        self.0 ^ self.0 >> 32
    }
}

/// The block whose cache `node` is a view of, however many views lie between.
pub(super) fn cache_layer<N: Node>(node: N) -> Option<usize> {
    let mut node = node;
    for _ in 0..MAX_DEPTH {
        if let Some((_, layer)) = cache_tensor(node.name()) {
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
