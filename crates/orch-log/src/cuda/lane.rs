//! What one engine stream, or one graph that is being captured, needs of the device.

use super::buffers::HostBuffers;
use super::driver::Handle;
use super::slot::{Batch, Entry, Scratch};

/// The most streams and captures of one context.
pub(super) const MAX_LANES: usize = 1024;

/// A stream (`capture` 0) or a capture of it. Kernels of one lane run one after the other, also when a graph is
/// replayed, so they share its scratch; those of two lanes may overlap. Lanes live as long as the process:
/// a graph may be replayed at any time.
pub(super) struct Lane {
    pub(super) stream: Handle,
    pub(super) capture: u64,
    pub(super) index: u32,
    pub(super) scratch: Scratch,
    /// On the device: deliveries so far.
    pub(super) pass: u64,
    /// On the device: what the blocks of a delivery count with.
    pub(super) deliver_ticket: u64,
    pub(super) side: Option<Side>,
    pub(super) side_is_busy: bool,
    pub(super) nodes: Nodes,
    /// Tensors that stay as they are until the pass ends, which is when they are read.
    pub(super) put_off: PutOff,
    /// Device memory, 0 until first needed.
    pub(super) snapshots: u64,
    pub(super) used: u64,
    /// Snapshots before this have been delivered.
    pub(super) delivered: u64,
    pub(super) buffers: Option<HostBuffers>,
}

/// A stream beside the engine's, for work outside of graphs.
#[derive(Clone, Copy)]
pub(super) struct Side {
    pub(super) stream: Handle,
    pub(super) forked: Handle,
    pub(super) joined: Handle,
}

/// Small tensors of a pass that are read later, all at once.
#[derive(Default)]
pub(super) struct PutOff {
    pub(super) entries: Vec<Entry>,
    /// Of a capture: the engine's work that the last of them waits for.
    pub(super) waits_for: Vec<Handle>,
    /// The stream's passes are known to have ends.
    pub(super) has_ends: bool,
}

/// Of a capture: our nodes so far.
pub(super) struct Nodes {
    /// What the next record waits for.
    pub(super) last: Handle,
    /// The engine's work that `last` waits for, itself or through nodes of ours before it.
    pub(super) last_waits_for: Vec<Handle>,
    /// Reads `batch`, which has room for more; the same as `last`, or null.
    pub(super) batch_node: Handle,
    pub(super) batch: Box<Batch>,
}

impl Nodes {
    pub(super) fn none() -> Self {
        Self {
            last: std::ptr::null_mut(),
            last_waits_for: Vec::new(),
            batch_node: std::ptr::null_mut(),
            batch: Box::new(Batch::empty()),
        }
    }

    /// What a node waits for that comes after ours and after the engine's work `waits_for`.
    pub(super) fn after(&self, waits_for: &[Handle]) -> Vec<Handle> {
        if self.last.is_null() {
            return waits_for.to_vec();
        }
        if waits_for == self.last_waits_for {
            return vec![self.last];
        }
        let others = waits_for.iter().copied().filter(|on| *on != self.last);
        others.chain([self.last]).collect()
    }

    /// No more tensors are added to the batch: what comes next waits for it.
    pub(super) fn close_batch(&mut self) {
        self.batch_node = std::ptr::null_mut();
        self.batch.count = 0;
    }
}
