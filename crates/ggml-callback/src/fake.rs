//! Nodes made by hand, for tests.

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use super::node::Node;

/// A node with everything that [`Node`] asks for.
#[derive(Clone, Debug)]
pub(crate) struct Fake {
    /// Kept by clones, as ggml's nodes are referred to and not copied.
    id: usize,
    name: String,
    op: String,
    kind: String,
    ne: [usize; 4],
    nb: [usize; 4],
    bytes: Vec<u8>,
    src: Vec<Fake>,
}

/// An input or a weight.
pub(crate) fn leaf(name: &str, kind: &str, ne: [usize; 4]) -> Fake {
    let mut leaf = Fake::new(name, "NONE", ne);
    leaf.kind = kind.to_owned();
    leaf
}

impl Fake {
    /// A computed node of contiguous `f32`.
    pub(crate) fn new(name: &str, op: &str, ne: [usize; 4]) -> Self {
        static COUNT: AtomicUsize = AtomicUsize::new(1);
        Self {
            id: COUNT.fetch_add(1, Relaxed),
            name: name.to_owned(),
            op: op.to_owned(),
            kind: "f32".to_owned(),
            ne,
            nb: [4, 4 * ne[0], 4 * ne[0] * ne[1], 4 * ne[0] * ne[1] * ne[2]],
            bytes: Vec::new(),
            src: Vec::new(),
        }
    }

    pub(crate) fn from(mut self, src: &[&Fake]) -> Self {
        self.src = src.iter().map(|node| (*node).clone()).collect();
        self
    }

    pub(crate) fn with_i32(mut self, elements: &[i32]) -> Self {
        self.bytes = elements
            .iter()
            .flat_map(|element| element.to_le_bytes())
            .collect();
        self
    }

    pub(crate) fn with_f32(mut self, elements: &[f32]) -> Self {
        self.bytes = elements
            .iter()
            .flat_map(|element| element.to_le_bytes())
            .collect();
        self
    }
}

impl Node for &Fake {
    fn name(&self) -> &str {
        &self.name
    }
    fn op(&self) -> &str {
        &self.op
    }
    fn type_name(&self) -> &str {
        &self.kind
    }
    fn ne(&self) -> [usize; 4] {
        self.ne
    }
    fn nb(&self) -> [usize; 4] {
        self.nb
    }
    fn op_param(&self, _index: usize) -> f32 {
        1.0
    }
    fn src(&self, index: usize) -> Option<Self> {
        self.src.get(index)
    }
    fn view_src(&self) -> Option<Self> {
        None
    }
    fn is_computed(&self) -> bool {
        true
    }
    fn id(&self) -> usize {
        self.id
    }
    fn bytes<'a>(&'a self, _scratch: &'a mut Vec<u8>) -> &'a [u8] {
        &self.bytes
    }
    fn decode_row(&self, _row: &[u8], _out: &mut [f32]) -> bool {
        false
    }
}
