//! What one engine stream, or one graph that is being captured, needs of the device.

use super::buffers::HostBuffers;
use super::driver::Handle;
use super::slot::{Batch, Scratch};

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

/// Of a capture: our nodes so far.
pub(super) struct Nodes {
    /// What the next record waits for.
    pub(super) last: Handle,
    /// Reads `batch`, which has room for more.
    pub(super) batch_node: Handle,
    /// The engine's work that the batch waits for, as added last.
    pub(super) batch_waits_for: Handle,
    pub(super) batch: Box<Batch>,
}

impl Nodes {
    pub(super) fn none() -> Self {
        Self {
            last: std::ptr::null_mut(),
            batch_node: std::ptr::null_mut(),
            batch_waits_for: std::ptr::null_mut(),
            batch: Box::new(Batch::empty()),
        }
    }

    /// No more tensors are added to the batch: what comes next waits for it.
    pub(super) fn close_batch(&mut self) {
        self.batch_node = std::ptr::null_mut();
        self.batch_waits_for = std::ptr::null_mut();
        self.batch.count = 0;
    }
}
