//! One capture: from the nodes that the callback sees to the records of a trace.

mod amend;

use std::collections::{BTreeSet, HashMap};
use std::ops::Deref;
use std::time::{Duration, Instant};

use orch_log::format::TOKENS;
use orch_log::{Logged, Recorder};

use super::columns::Columns;
use super::graph::Graph;
use super::held::{Held, Numbers, Shape};
use super::layout::{self, Layout, Memory};
use super::names::{NameId, NameSet, Names};
use super::naming::{self, Heads, Place};
use super::node::{Node, NodeData};
use super::order;
use super::rows::Rows;

/// Records above which what is held is written at the next block.
const MAX_HELD: usize = 128;
/// Elements above which it is, 1 MiB of `f32`.
const MAX_HELD_ELEMENTS: usize = 1 << 18;
/// How long the first record of what is held has waited when it is: a program that is killed loses no more than this
/// and a block.
const MAX_HELD_FOR: Duration = Duration::from_millis(5);

/// What to capture.
#[derive(Clone, Debug, Default)]
pub struct SessionOptions {
    /// Shape of the model's attention.
    pub heads: Heads,
    /// Also nodes without a canonical name, under ggml's.
    pub all: bool,
}

/// What a forward pass is fed with.
#[derive(Clone, Debug, Default)]
pub struct Pass {
    /// 0 = prefill.
    pub step: u64,
    /// Ids of the tokens that are fed; none where the pass starts from vectors.
    pub tokens: Vec<i32>,
    /// Where they belong.
    pub rows: Rows,
}

/// What became of the nodes so far.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Records written.
    pub records: u64,
    /// Records that the trace could not take.
    pub dropped: u64,
    /// Names of the canonical checkpoints seen.
    pub checkpoints: BTreeSet<String>,
    /// Nodes whose form or type did not fit their checkpoint, by name. Always a bug or a new architecture.
    pub misfits: BTreeSet<String>,
    /// Checkpoints that exist nowhere because attention was one fused operation.
    pub hidden_by_fusion: BTreeSet<String>,
    /// Scores and probabilities left out because their columns are no positions.
    pub unplaced: BTreeSet<String>,
}

/// Captures forward passes into a trace.
///
/// ggml computes a block's nodes in an order of its own (the rotation of Q before the projection to K),
/// so a block's tensors are held until the next block begins, and then written in dataflow order. Where blocks take
/// next to no time, several are: between two of them the model's weights pass through the processor's caches, and writing
/// costs half as much when it finds itself there.
pub struct Session<R> {
    recorder: R,
    options: SessionOptions,
    /// `None` until it is known what the pass is fed with.
    pass: Option<Pass>,
    columns: Columns,
    graph: Graph,
    names: Names,
    /// The node that was looked at last, and its places.
    looked_at: Option<usize>,
    spots: Vec<Spot>,
    places: Vec<Place>,
    pending: Vec<Held>,
    /// Where in `pending` the current block begins.
    block: usize,
    /// Elements in `pending`.
    elements: usize,
    /// When the oldest of `pending` came.
    oldest: Option<Instant>,
    /// Rank of the last node that had one: where nodes without a canonical name belong.
    last_rank: (usize, usize),
    occurrences: HashMap<String, u64>,
    tally: Tally,
    /// What `tally` has among its checkpoints.
    counted: NameSet,
    /// What is known to be hidden by fusion.
    fused: NameSet,
    memory: Memory,
}

/// A place with what is always asked about it.
#[derive(Clone, Copy, Debug)]
struct Spot {
    place: Place,
    name: NameId,
    /// Where it is in the dataflow order.
    rank: (usize, usize),
}

impl<R: Deref<Target = Recorder>> Session<R> {
    /// A capture into `recorder`, whose settings decide how much of each tensor is kept.
    pub fn new(recorder: R, options: SessionOptions) -> Self {
        Self {
            recorder,
            options,
            pass: None,
            columns: Columns::Positions,
            graph: Graph::default(),
            names: Names::default(),
            looked_at: None,
            spots: Vec::new(),
            places: Vec::new(),
            pending: Vec::new(),
            block: 0,
            elements: 0,
            oldest: None,
            last_rank: (0, 0),
            occurrences: HashMap::new(),
            tally: Tally::default(),
            counted: NameSet::default(),
            fused: NameSet::default(),
            memory: Memory::default(),
        }
    }

    /// A forward pass begins; writes its `tokens` record.
    pub fn begin(&mut self, pass: Pass) {
        self.begin_open();
        self.place(pass);
    }

    /// A forward pass begins of which it is not known yet what it is fed with: nothing is written before
    /// [`place`](Self::place) says so.
    pub fn begin_open(&mut self) {
        self.graph.clear();
        self.pending.clear();
        self.begin_block();
        self.elements = 0;
        self.oldest = None;
        self.occurrences.clear();
        self.last_rank = (0, 0);
        self.pass = None;
        self.looked_at = None;
    }

    /// Says what the pass is fed with; writes its `tokens` record.
    pub fn place(&mut self, pass: Pass) {
        if !pass.tokens.is_empty() {
            let tokens = Held {
                rank: (0, 0),
                name: self.names.of(TOKENS),
                node: None,
                point: TOKENS,
                occurrence: 0,
                op: None,
                src: Vec::new(),
                by_token: true,
                shape: Shape::new(std::iter::once(pass.tokens.len())),
                data: Numbers::Elements(NodeData::I32(pass.tokens.clone())),
                columns: Columns::Positions,
            };
            // Before what waits for its place, in whichever block that is.
            self.pending.insert(0, tokens);
            self.block += usize::from(self.block > 0);
        }
        self.pass = Some(pass);
        if self.last_rank == (0, 0) {
            self.flush();
        }
    }

    /// Says which rows of the running pass go on to the end, once that is known.
    pub fn set_outputs(&mut self, outputs: &[usize]) {
        if let Some(pass) = &mut self.pass {
            pass.rows.set_outputs(outputs);
        }
    }

    /// Goes on in another trace. Between passes, or before the running one is placed.
    pub fn continue_in(&mut self, recorder: R) {
        self.recorder = recorder;
    }

    /// The shape of the model's attention, where it was not known before.
    pub fn set_heads(&mut self, heads: Heads) {
        self.options.heads = heads;
    }

    /// Says what the columns of the scores are, from the running pass on.
    pub fn set_columns(&mut self, columns: Columns) {
        self.columns = columns;
    }

    /// Says whether column j of the scores is position j.
    pub fn set_columns_are_positions(&mut self, yes: bool) {
        self.columns = if yes {
            Columns::Positions
        } else {
            Columns::Unknown
        };
    }

    /// The pass is over: what still waits is written.
    pub fn end(&mut self) {
        self.flush();
    }

    /// What became of the nodes so far.
    pub fn tally(&self) -> &Tally {
        &self.tally
    }

    /// Whether the node's numbers are wanted. Costs no copy.
    pub fn wants<N: Node>(&mut self, node: &N) -> bool {
        if !node.is_computed() {
            return false;
        }
        self.look_at(node);
        if self.spots.is_empty() {
            return self.options.all && has_numbers(node.op()) && self.passes(node.name());
        }
        self.amends(node) || (0..self.spots.len()).any(|index| self.keeps(self.spots[index]))
    }

    /// Finds the node's places, unless it was the last that was looked at: ggml asks about a node and then delivers it.
    fn look_at<N: Node>(&mut self, node: &N) {
        if self.looked_at == Some(node.id()) {
            return;
        }
        self.looked_at = Some(node.id());
        self.places.clear();
        naming::find(node, self.options.heads, &mut self.places);
        self.spots.clear();
        for place in &self.places {
            if let Some(rank) = order::rank(place.layer, place.point) {
                self.spots.push(Spot {
                    place: *place,
                    name: self.names.of_place(place),
                    rank,
                });
            }
        }
        if !self.spots.is_empty() && node.op() == "FLASH_ATTN_EXT" {
            self.note_fused();
        }
    }

    /// Notes what the fused attention that was looked at computes without showing it, whatever is logged of the rest.
    fn note_fused(&mut self) {
        for point in ["attn_scores", "attn_probs"] {
            let place = Place {
                point,
                ..self.spots[0].place
            };
            if self.fused.insert(self.names.of_place(&place)) {
                self.tally.hidden_by_fusion.insert(place.name());
            }
        }
    }

    /// The node is computed: copies what is wanted of it.
    pub fn take<N: Node>(&mut self, node: &N) {
        self.look_at(node);
        for index in 0..self.spots.len() {
            let spot = self.spots[index];
            if spot.rank.0 > self.last_rank.0 {
                self.end_block();
            }
            self.last_rank = self.last_rank.max(spot.rank);
            self.amend(node, &spot);
            if spot.place.layout == Layout::Scores && self.columns == Columns::Unknown {
                self.tally.unplaced.insert(spot.place.name());
            } else if self.keeps(spot) {
                self.hold(
                    node,
                    spot.rank,
                    spot.name,
                    spot.place.point,
                    spot.place.layout,
                    0,
                );
            }
        }
        if self.spots.is_empty() {
            let occurrence = self.occurrence(node.name());
            let layout = match &self.pass {
                Some(pass) => Layout::unnamed(node, pass.rows.n_tokens(), pass.rows.n_outputs()),
                None => Layout::AsIs,
            };
            let name = self.names.of(node.name());
            self.hold(node, self.last_rank, name, "", layout, occurrence);
        }
        // A node of the next graph may come to lie at the same address.
        self.looked_at = None;
    }

    fn occurrence(&mut self, name: &str) -> u64 {
        let count = self.occurrences.entry(name.to_owned()).or_insert(0);
        *count += 1;
        *count - 1
    }

    fn passes(&self, name: &str) -> bool {
        match &self.pass {
            Some(pass) => self
                .recorder
                .wants(name, pass.rows.first_position(), pass.rows.reach()),
            // Any position may turn out to be its own.
            None => self.recorder.wants(name, 0, usize::MAX),
        }
    }

    fn hold<N: Node>(
        &mut self,
        node: &N,
        rank: (usize, usize),
        name: NameId,
        point: &'static str,
        layout: Layout,
        occurrence: u64,
    ) {
        let mut src = Vec::new();
        self.graph.sources(node, name, &mut self.names, &mut src);
        let start = layout.start(node);
        self.graph.insert(node, start, name);
        let end = self
            .pass
            .as_ref()
            .map_or(0, |pass| pass.rows.end_position());
        let dims = layout.dims(node, self.columns.count(end));
        let Some((dims, data)) = dims.and_then(|dims| {
            layout::gather(node, start, &dims, &mut self.memory).map(|data| (dims, data))
        }) else {
            self.tally
                .misfits
                .insert(format!("{} ({} {:?})", node.name(), node.op(), node.ne()));
            return;
        };
        let shape = Shape::new(dims.iter().map(|(count, _)| *count));
        let data = self.condense(point, layout, shape[0], data);
        let record = Held {
            rank,
            name,
            node: (self.options.all).then(|| self.names.of(node.name())),
            point,
            occurrence,
            op: Some(self.names.of(node.op())),
            src,
            by_token: layout != Layout::AsIs,
            shape,
            data,
            columns: if layout == Layout::Scores {
                self.columns.clone()
            } else {
                Columns::Positions
            },
        };
        // A projection's bias, a norm's weight: the later node is the checkpoint.
        match self.pending[self.block..]
            .iter_mut()
            .find(|held| !point.is_empty() && held.name == record.name)
        {
            Some(held) => {
                let replaced = std::mem::replace(held, record);
                self.replace(replaced);
            }
            None => self.pending.push(record),
        }
    }

    /// Leaves a digest of the numbers, where neither a later node nor the rows of the pass can ask for more.
    fn condense(&mut self, point: &str, layout: Layout, count: usize, data: NodeData) -> Numbers {
        // Scores are scaled later, and the product of `ffn_up.weight` may be cut in two.
        let may_change = layout == Layout::Scores || matches!(point, "" | "ffn_up");
        let rows = self.pass.as_ref().and_then(|pass| pass.rows.of(count));
        if let NodeData::F32(elements) = &data
            && !may_change
            && rows.is_some_and(|segments| segments.len() == 1)
            && let Some(digest) = self.recorder.digest(elements)
        {
            self.memory.give_back(data);
            return Numbers::Digest(Box::new(digest));
        }
        self.elements += data.len();
        Numbers::Elements(data)
    }

    /// A block is complete: what waits is written unless it is little and new.
    fn end_block(&mut self) {
        self.pending[self.block..].sort_by_key(|record| record.rank);
        let now = Instant::now();
        let oldest = *self.oldest.get_or_insert(now);
        if self.pending.len() >= MAX_HELD
            || self.elements >= MAX_HELD_ELEMENTS
            || now - oldest >= MAX_HELD_FOR
        {
            self.flush();
        }
        self.begin_block();
    }

    fn begin_block(&mut self) {
        self.block = self.pending.len();
    }

    /// Writes what waits, as far as it is known where it belongs.
    fn flush(&mut self) {
        let Some(pass) = &self.pass else {
            return;
        };
        self.elements = 0;
        self.oldest = None;
        // The blocks before are sorted, and come before this one.
        self.pending[self.block..].sort_by_key(|record| record.rank);
        for record in self.pending.drain(..) {
            let mut logged = false;
            record.write(
                &self.recorder,
                &self.names,
                pass.step,
                &pass.rows,
                |outcome| match outcome {
                    Logged::Filtered => {}
                    Logged::Written | Logged::Buffered => {
                        self.tally.records += 1;
                        logged = true;
                    }
                    Logged::Dropped => self.tally.dropped += 1,
                },
            );
            if logged && !record.point.is_empty() && self.counted.insert(record.name) {
                let name = self.names.text(record.name).to_owned();
                self.tally.checkpoints.insert(name);
            }
            if let Numbers::Elements(data) = record.data {
                self.memory.give_back(data);
            }
        }
        self.block = 0;
    }
}

/// Views have no numbers of their own, and a cache write returns the whole cache.
fn has_numbers(op: &str) -> bool {
    !matches!(
        op,
        "" | "NONE" | "VIEW" | "RESHAPE" | "PERMUTE" | "TRANSPOSE" | "SET_ROWS"
    )
}

#[cfg(test)]
mod tests;
