//! What one engine stream, or one graph that is being captured, needs of the device.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use super::buffers::HostBuffers;
use super::driver::{Handle, STREAM_PER_THREAD};
use super::slot::{Batch, Entry, Piece, Scratch};

/// The most streams and captures of one context.
pub(super) const MAX_LANES: usize = 1024;

/// A stream, as far as its handle tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct StreamId {
    handle: Handle,
    /// Of the stream that each thread has one of the calling thread's number, else 0.
    thread: u64,
}

impl StreamId {
    pub(super) fn of(handle: Handle) -> Self {
        static THREADS: AtomicU64 = AtomicU64::new(1);
        thread_local! {
            static NUMBER: u64 = THREADS.fetch_add(1, Ordering::Relaxed);
        }
        let thread = if handle.addr() == STREAM_PER_THREAD {
            NUMBER.with(|number| *number)
        } else {
            0
        };
        Self { handle, thread }
    }
}

/// Says when the graph of a capture, and all that was made of it, is gone.
pub(super) enum Lease {
    NotAsked,
    /// CUDA does not tell.
    None,
    /// Set by then.
    Until(Arc<AtomicBool>),
}

/// A stream (`capture` 0) or a capture of it. Kernels of one lane run one after the other, also when a graph is
/// replayed, so they share its scratch; those of two lanes may overlap. Lanes of streams live as long as the process, those of
/// captures until their graph is gone: it may be replayed at any time.
pub(super) struct Lane {
    pub(super) stream: Handle,
    pub(super) id: StreamId,
    pub(super) capture: u64,
    pub(super) lease: Lease,
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
    /// Of a capture in mode `side`: what its passes' payloads are made of, since the last was brought.
    pub(super) pieces: Vec<Piece>,
    /// Tables that its graph reads: device memory, and how many bytes each has.
    pub(super) tables: Vec<(u64, usize)>,
    pub(super) tables_used: usize,
}

impl Lane {
    /// Whether it can be another capture's.
    pub(super) fn is_free(&self) -> bool {
        matches!(&self.lease, Lease::Until(is_over) if is_over.load(Ordering::Acquire))
    }

    /// Makes it another capture's. What it has on the device and on the host it keeps.
    pub(super) fn begin_again(&mut self, stream: Handle, capture: u64) {
        self.stream = stream;
        self.id = StreamId::of(stream);
        self.capture = capture;
        self.lease = Lease::NotAsked;
        self.nodes = Nodes::none();
        self.put_off = PutOff::default();
        self.used = 0;
        self.delivered = 0;
        self.pieces.clear();
        self.tables_used = 0;
    }
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
