//! One capture: from the nodes that the callback sees to the records of a trace.

use std::collections::{BTreeSet, HashMap};

use orch_log::format::{Event, TOKENS};
use orch_log::{Logged, Recorder};

use super::graph::Graph;
use super::layout::{self, Layout};
use super::naming::{self, Heads};
use super::node::{Node, NodeData};
use super::order;

/// What to capture.
#[derive(Clone, Debug, Default)]
pub struct SessionOptions {
    /// Shape of the model's attention.
    pub heads: Heads,
    /// Also nodes without a canonical name, under ggml's.
    pub all: bool,
}

/// One forward pass, as its caller knows it.
#[derive(Clone, Debug, Default)]
pub struct Pass {
    /// 0 = prefill.
    pub step: u64,
    /// Ids of the tokens that are fed.
    pub tokens: Vec<i32>,
    /// Absolute 0-based position of the first of them; the others follow.
    pub first_position: i64,
    /// Sequence in a batch.
    pub seq: u64,
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
}

/// A tensor that was copied and waits for its place in the order.
struct Pending {
    rank: (usize, usize),
    name: String,
    point: &'static str,
    occurrence: u64,
    op: String,
    src: Vec<String>,
    shape: Vec<usize>,
    data: NodeData,
}

/// Captures forward passes into a trace.
///
/// ggml computes a block's nodes in an order of its own (the rotation of Q before the projection to K),
/// so a block's tensors are held until the next block begins, and then written in dataflow order.
pub struct Session<'r> {
    recorder: &'r Recorder,
    options: SessionOptions,
    pass: Pass,
    graph: Graph,
    pending: Vec<Pending>,
    /// Rank of the last node that had one: where nodes without a canonical name belong.
    last_rank: (usize, usize),
    occurrences: HashMap<String, u64>,
    tally: Tally,
    scratch: Vec<u8>,
}

impl<'r> Session<'r> {
    /// A capture into `recorder`, whose settings decide how much of each tensor is kept.
    pub fn new(recorder: &'r Recorder, options: SessionOptions) -> Self {
        Self {
            recorder,
            options,
            pass: Pass::default(),
            graph: Graph::default(),
            pending: Vec::new(),
            last_rank: (0, 0),
            occurrences: HashMap::new(),
            tally: Tally::default(),
            scratch: Vec::new(),
        }
    }

    /// A forward pass begins; writes its `tokens` record.
    pub fn begin(&mut self, pass: Pass) {
        self.graph.clear();
        self.occurrences.clear();
        self.last_rank = (0, 0);
        self.pass = pass;
        let record = Pending {
            rank: (0, 0),
            name: TOKENS.to_owned(),
            point: TOKENS,
            occurrence: 0,
            op: String::new(),
            src: Vec::new(),
            shape: vec![self.pass.tokens.len()],
            data: NodeData::I32(self.pass.tokens.clone()),
        };
        self.write(&record);
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
    pub fn wants<N: Node>(&self, node: &N) -> bool {
        if !node.is_computed() {
            return false;
        }
        match naming::place(node, self.options.heads) {
            // The scores' own factor is in the softmax that follows, which so must be seen too.
            Some(place) if place.point == "attn_probs" => {
                self.passes(&place.name())
                    || self.pending.iter().any(|held| held.point == "attn_scores")
            }
            Some(place) => self.passes(&place.name()),
            None => self.options.all && has_numbers(&node.op()) && self.passes(&node.name()),
        }
    }

    /// The node is computed: copies what is wanted of it.
    pub fn take<N: Node>(&mut self, node: &N) {
        match naming::place(node, self.options.heads) {
            Some(place) => {
                let Some(rank) = order::rank(place.layer, place.point) else {
                    return;
                };
                if rank.0 > self.last_rank.0 {
                    self.flush();
                }
                self.last_rank = self.last_rank.max(rank);
                let name = place.name();
                if place.point == "attn_probs" {
                    self.scale_scores(rank.0, node.op_param(0));
                }
                if node.op() == "FLASH_ATTN_EXT" {
                    let layer = place.layer.unwrap_or(0);
                    let hidden =
                        ["attn_scores", "attn_probs"].map(|point| format!("layer_{layer}_{point}"));
                    self.tally.hidden_by_fusion.extend(hidden);
                }
                if self.passes(&name) {
                    self.hold(node, rank, name, place.point, place.layout, 0);
                }
            }
            None => {
                let name = node.name();
                let count = self.occurrences.entry(name.clone()).or_insert(0);
                let occurrence = *count;
                *count += 1;
                self.hold(node, self.last_rank, name, "", Layout::AsIs, occurrence);
            }
        }
    }

    fn passes(&self, name: &str) -> bool {
        self.recorder
            .wants(name, self.pass.first_position, self.pass.tokens.len())
    }

    fn hold<N: Node>(
        &mut self,
        node: &N,
        rank: (usize, usize),
        name: String,
        point: &'static str,
        layout: Layout,
        occurrence: u64,
    ) {
        let src = self.graph.sources(node, &name);
        self.graph.insert(node, &name);
        let kv = usize::try_from(self.pass.first_position).unwrap_or(0) + self.pass.tokens.len();
        let dims = layout.dims(node, kv);
        let Some((dims, data)) = dims.and_then(|dims| {
            layout::gather(node, &dims, &mut self.scratch).map(|data| (dims, data))
        }) else {
            self.tally
                .misfits
                .insert(format!("{} ({} {:?})", node.name(), node.op(), node.ne()));
            return;
        };
        let shape = dims.iter().map(|(count, _)| *count).collect();
        let record = Pending {
            rank,
            name,
            point,
            occurrence,
            op: node.op(),
            src,
            shape,
            data,
        };
        // A projection's bias, a norm's weight: the later node is the checkpoint.
        match self
            .pending
            .iter_mut()
            .find(|held| !point.is_empty() && held.name == record.name)
        {
            Some(held) => *held = record,
            None => self.pending.push(record),
        }
    }

    /// ggml multiplies the scores by 1/√d inside the softmax; the checkpoint is scaled.
    fn scale_scores(&mut self, block: usize, factor: f32) {
        let held = self
            .pending
            .iter_mut()
            .find(|held| held.point == "attn_scores" && held.rank.0 == block);
        if let Some(Pending {
            data: NodeData::F32(scores),
            ..
        }) = held
        {
            scores.iter_mut().for_each(|score| *score *= factor);
        }
    }

    fn flush(&mut self) {
        let mut pending = std::mem::take(&mut self.pending);
        pending.sort_by_key(|record| record.rank);
        for record in &pending {
            self.write(record);
        }
        pending.clear();
        self.pending = pending;
    }

    fn write(&mut self, record: &Pending) {
        let src: Vec<&str> = record.src.iter().map(String::as_str).collect();
        let mut event = Event::new(&record.name, self.pass.first_position)
            .n_tokens(self.pass.tokens.len())
            .step(self.pass.step)
            .seq(self.pass.seq)
            .occurrence(record.occurrence)
            .shape(&record.shape)
            .src(&src);
        if !record.op.is_empty() {
            event = event.op(&record.op);
        }
        let logged = match &record.data {
            NodeData::F32(data) => self.recorder.log(&event, data.as_slice()),
            NodeData::F16(data) => self.recorder.log(&event, data.as_slice()),
            NodeData::Bf16(data) => self.recorder.log(&event, data.as_slice()),
            NodeData::I32(data) => self.recorder.log(&event, data.as_slice()),
            NodeData::I64(data) => self.recorder.log(&event, data.as_slice()),
        };
        match logged {
            Logged::Written => self.tally.records += 1,
            Logged::Filtered => return,
            _ => self.tally.dropped += 1,
        }
        if !record.point.is_empty() {
            self.tally.checkpoints.insert(record.name.clone());
        }
    }
}

/// Views have no numbers of their own, and a cache write returns the whole cache.
fn has_numbers(op: &str) -> bool {
    !matches!(
        op,
        "" | "NONE" | "VIEW" | "RESHAPE" | "PERMUTE" | "TRANSPOSE" | "SET_ROWS"
    )
}
