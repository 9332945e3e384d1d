//! What one engine stream, or one graph that is being captured, needs of the device.

use std::sync::{Mutex, PoisonError};

use super::driver::Handle;
use super::slot::{Batch, Scratch};

/// Host buffers of a lane, filled in turn, so that a replay does not overwrite what the host still reads of
/// the one before.
pub(super) const BUFFERS: u64 = 8;

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

/// [`BUFFERS`] buffers in mapped host memory, and for each the pass that it holds, counted from 1 (0 while it is
/// written), and how many bytes of it.
#[derive(Clone, Copy, Debug)]
pub(super) struct HostBuffers {
    pub(super) data: *const u8,
    pub(super) bytes: u64,
    pub(super) headers: *const u64,
    /// The same for the device.
    pub(super) device_data: u64,
    pub(super) device_headers: u64,
}

// SAFETY: memory that lives as long as the process and is only read, with atomic or volatile loads.
unsafe impl Send for HostBuffers {}

impl HostBuffers {
    /// The pass that `buffer` holds, counted from 1; 0 while it is written.
    fn held(&self, buffer: u64) -> u64 {
        // SAFETY: two numbers for each buffer, aligned, alive for good; the device writes them.
        let header = unsafe {
            std::sync::atomic::AtomicU64::from_ptr(self.headers.add(2 * buffer as usize).cast_mut())
        };
        header.load(std::sync::atomic::Ordering::Acquire)
    }

    fn nbytes(&self, buffer: u64) -> u64 {
        // SAFETY: as in `held`.
        unsafe { self.headers.add(2 * buffer as usize + 1).read_volatile() }
    }
}

/// Where a payload stands.
#[derive(Clone, Copy, Debug)]
pub(super) enum Delivered {
    /// Not yet.
    Coming,
    /// Here, until [`Deliveries::still_holds`] says otherwise.
    Here(*const u8),
    /// A later pass has taken its place.
    Gone,
}

/// The host's buffers of all lanes, by the lane's number. A lane whose passes grow gets larger ones; the older stay,
/// since what is on its way may still go there.
#[derive(Default)]
pub(super) struct Deliveries(Mutex<Vec<(u32, HostBuffers)>>);

impl Deliveries {
    pub(super) fn add(&self, lane: u32, buffers: HostBuffers) {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push((lane, buffers));
    }

    fn of(&self, lane: u32) -> Vec<HostBuffers> {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.iter()
            .filter(|(of, _)| *of == lane)
            .map(|(_, buffers)| *buffers)
            .collect()
    }

    /// Where the `nbytes` at `offset` of the snapshots of pass `pass` (counted from 0) are.
    pub(super) fn find(&self, lane: u32, pass: u64, offset: u64, nbytes: u64) -> Delivered {
        let all = self.of(lane);
        let buffer = pass % BUFFERS;
        if let Some(found) = all.iter().find(|buffers| buffers.held(buffer) == pass + 1) {
            if offset.saturating_add(nbytes) > found.nbytes(buffer) {
                return Delivered::Gone;
            }
            // SAFETY: inside the buffer, by the test above.
            return Delivered::Here(unsafe {
                found.data.add((buffer * found.bytes + offset) as usize)
            });
        }
        // Passes of a lane come one after the other: a later one says that this one will not come.
        let is_later =
            |buffers: &HostBuffers| (0..BUFFERS).any(|other| buffers.held(other) > pass + 1);
        if all.iter().any(is_later) {
            Delivered::Gone
        } else {
            Delivered::Coming
        }
    }

    /// Whether what [`Deliveries::find`] found has stayed as it was.
    pub(super) fn still_holds(&self, lane: u32, pass: u64) -> bool {
        self.of(lane)
            .iter()
            .any(|buffers| buffers.held(pass % BUFFERS) == pass + 1)
    }
}
