//! What crosses between host and device: the structs of `cpp/orch_log_cuda/slot.cuh` and `kernels.cuh`.
//!
//! Field by field as there; the program that NVRTC compiles asserts that both sides have the same sizes.

/// Axes of a tensor.
pub(super) const AXES: usize = crate::MAX_NDIM;
/// No payload belongs to the record.
pub(super) const NO_PAYLOAD: u64 = u64::MAX;
/// First elements that a record can carry.
pub(super) const MAX_FIRST: u32 = 256;
/// In `n_tokens` of jobs and slots, beside the number: the engine ends its passes, so the record says its step, 0 too.
const IS_COUNTED: u64 = 1 << 63;
/// Small tensors that one launch reads, a thread block each.
pub(super) const BATCH_JOBS: usize = 16;
/// Threads of a thread block.
pub(super) const THREADS: u32 = 256;
/// Thread blocks of the largest launch: two for each multiprocessor of the largest devices so far.
pub(super) const MAX_BLOCKS: u32 = 320;
/// Bytes of one thread block's partial result.
pub(super) const PARTIAL_BYTES: usize = 24 * 8;
/// Bytes of the counters behind the partials, 64 bytes apart.
pub(super) const COUNTER_BYTES: usize = 256;
/// Words of the longest record.
pub(super) const IMAGE_WORDS: usize = (size_of::<Slot>() + MAX_FIRST as usize * 8) / 4;

/// The fixed part of a record in the ring. The first elements follow it, in their storage type.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub(super) struct Slot {
    /// 0 = never written, else the record's number + 1; written last.
    pub(super) sequence: u64,
    /// Over the whole image with this field as 0: a slot half written is told by it.
    pub(super) checksum: u32,
    pub(super) site: u32,
    pub(super) token_idx: i64,
    pub(super) step: u64,
    /// As the job has it.
    pub(super) n_tokens: u64,
    pub(super) payload_offset: u64,
    pub(super) payload_pass: u64,
    pub(super) n: u64,
    pub(super) nan: u64,
    pub(super) inf: u64,
    pub(super) zero: u64,
    pub(super) min: f64,
    pub(super) max: f64,
    pub(super) sum: f64,
    pub(super) squares: f64,
    pub(super) sketch: [f64; 16],
    pub(super) axes: u32,
    pub(super) first: u32,
    pub(super) shape: [u64; AXES],
}

impl Slot {
    /// Tokens, if the engine said how many.
    pub(super) fn n_tokens(&self) -> Option<usize> {
        let n_tokens = self.n_tokens & !IS_COUNTED;
        (n_tokens > 0).then_some(n_tokens as usize)
    }

    /// The pass that the record belongs to. Only what travels with it decides: the trace does not depend on when it is read.
    pub(super) fn step(&self) -> Option<u64> {
        // Where passes have been ended before this one, it is a pass, whether or not the engine said so.
        (self.step > 0 || self.n_tokens & IS_COUNTED != 0).then_some(self.step)
    }
}

/// A tensor to be logged, as the kernel gets it. Addresses are the device's.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Job {
    pub(super) data: u64,
    pub(super) count: u64,
    pub(super) shape: [u64; AXES],
    pub(super) strides: [i64; AXES],
    pub(super) axes: u32,
    pub(super) first: u32,
    pub(super) site: u32,
    /// 0, 32 or 64: what `position` points to.
    pub(super) position_bits: u32,
    /// A counter on the device, added to `token_idx` when the kernel runs.
    pub(super) position: u64,
    pub(super) token_idx: i64,
    /// 0 = not given, and [`Job::told`].
    pub(super) n_tokens: u64,
    pub(super) payload_offset: u64,
    pub(super) payload_pass: u64,
}

impl Job {
    /// What comes back in the slot: the number of tokens, and whether the engine ends its passes.
    pub(super) fn told(n_tokens: Option<usize>, counts_steps: bool) -> u64 {
        let n_tokens = n_tokens.unwrap_or(0) as u64 & !IS_COUNTED;
        n_tokens | if counts_steps { IS_COUNTED } else { 0 }
    }
}

/// Several small tensors for one launch.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub(super) struct Batch {
    pub(super) count: u32,
    /// 0 = f32, 1 = f16, 2 = bf16.
    pub(super) types: [u8; BATCH_JOBS],
    pub(super) jobs: [Job; BATCH_JOBS],
}

impl Batch {
    pub(super) fn empty() -> Self {
        Self {
            count: 0,
            types: [0; BATCH_JOBS],
            jobs: [Job::default(); BATCH_JOBS],
        }
    }
}

/// A small tensor in a table in device memory, which holds any number of them.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub(super) struct Entry {
    pub(super) job: Job,
    /// As [`Batch::types`].
    pub(super) of: u32,
    pub(super) reserved: u32,
}

/// Part of a payload: where it lies on the device, and where it belongs in the pass's buffer.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub(super) struct Piece {
    pub(super) from: u64,
    pub(super) offset: u64,
    pub(super) nbytes: u64,
}

/// Where records go, in the device's addresses.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Ring {
    pub(super) slots: u64,
    /// A power of two.
    pub(super) slot_count: u32,
    pub(super) slot_bytes: u32,
    pub(super) ticket: u64,
    pub(super) step: u64,
}

/// What a lane's kernels share.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Scratch {
    pub(super) partials: u64,
    pub(super) ticket: u64,
    pub(super) batch: u64,
}

/// Where a lane's snapshots go on the host.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Delivery {
    pub(super) buffers: u64,
    pub(super) bytes: u64,
    pub(super) buffer_count: u32,
    pub(super) headers: u64,
    pub(super) pass: u64,
    pub(super) ticket: u64,
}

/// What the host has not read yet, and how long a pass may wait for it. Addresses are the device's.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Backlog {
    /// Records so far, in device memory.
    pub(super) ticket: u64,
    /// Records that the host has read.
    pub(super) read: u64,
    /// Records that may lie in the ring.
    pub(super) most_records: u64,
    /// Deliveries of the lane so far, in device memory; 0 where nothing is delivered.
    pub(super) pass: u64,
    /// For each buffer the last pass, counted from 1, that the host needs no more.
    pub(super) taken: u64,
    pub(super) buffer_count: u32,
    pub(super) limit_ns: u64,
    /// Added to.
    pub(super) waited_ns: u64,
}

/// Bytes that a record with `first` elements of `size` bytes takes in the ring.
pub(super) const fn image_bytes(first: u32, size: u32) -> u32 {
    (size_of::<Slot>() as u32 + first * size).next_multiple_of(4)
}

/// The checksum of an image: a sum of mixed words, each mixed with its place, so that words that arrive from
/// two different records do not cancel.
pub(super) fn checksum(words: &[u32]) -> u32 {
    words.iter().enumerate().fold(0u32, |sum, (index, word)| {
        let h = (word ^ (index as u32).wrapping_mul(0x9e37_79b9)).wrapping_mul(0x85eb_ca6b);
        let h = (h ^ (h >> 15)).wrapping_mul(0xc2b2_ae35);
        sum.wrapping_add(h ^ (h >> 16))
    })
}

const _: () = assert!(size_of::<Slot>() == 320 && size_of::<Batch>() <= 3800);
