// What crosses from the device to the host: one slot of a mapped ring for each record.
//
// This file and kernels.cuh include nothing, so that NVRTC can compile them at run time.
#ifndef ORCH_LOG_CUDA_SLOT_CUH
#define ORCH_LOG_CUDA_SLOT_CUH

#if defined(__CUDACC__)
#define ORCH_LOG_BOTH __host__ __device__
#else
#define ORCH_LOG_BOTH
#endif

namespace orch_log {
namespace cuda {

typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long long u64;
typedef long long i64;

/// Axes of a tensor, as many as the host's views have.
constexpr u32 slot_axes = 8;
/// No payload belongs to the record.
constexpr u64 no_payload = ~0ull;
/// First elements that a record can carry; more come only with `ORCH_LOG_DETAIL=full`.
constexpr u32 max_first = 256;

/// The fixed part of a record. The first elements follow it, in their storage type.
struct Slot {
    u64 sequence;         ///< 0 = never written, else the record's number + 1; written last.
    u32 checksum;         ///< Over the whole image with this field as 0: a slot half written is told by it.
    u32 site;             ///< Which logging call, by the host's table.
    i64 token_idx;
    u64 step;             ///< Forward pass, counted on the device.
    u64 n_tokens;         ///< 0 = not given; as the job has it.
    u64 payload_offset;   ///< In the lane's snapshots, or `no_payload`.
    u64 payload_pass;     ///< Which delivery of the lane brings the payload.
    u64 n;
    u64 nan;
    u64 inf;
    u64 zero;
    double min;           ///< Of the finite elements; meaningless when there is none.
    double max;
    double sum;
    double squares;
    double sketch[16];
    u32 axes;
    u32 first;            ///< Elements that follow.
    u64 shape[slot_axes];
};

static_assert(sizeof(Slot) == 320, "the host and every compiler of the device side must agree");

/// Bytes that a record with `first` elements of `size` bytes takes in the ring.
ORCH_LOG_BOTH inline u32 image_bytes(u32 first, u32 size) {
    return (static_cast<u32>(sizeof(Slot)) + first * size + 3u) & ~3u;
}

/// What word `index` of an image adds to its checksum. Position-dependent, so that words that arrive
/// from two different records do not cancel.
ORCH_LOG_BOTH inline u32 checksum_part(u32 word, u32 index) {
    u32 h = (word ^ (index * 0x9e3779b9u)) * 0x85ebca6bu;
    h = (h ^ (h >> 15)) * 0xc2b2ae35u;
    return h ^ (h >> 16);
}

/// A tensor to be logged, as the kernel gets it.
struct Job {
    const u8* data;            ///< The first element in logical order.
    u64 count;
    u64 shape[slot_axes];
    i64 strides[slot_axes];    ///< In elements.
    u32 axes;
    u32 first;                 ///< Elements to carry.
    u32 site;
    u32 position_bits;         ///< 0, 32 or 64: what `position` points to.
    const u8* position;        ///< A counter on the device, added to `token_idx` when the kernel runs.
    i64 token_idx;
    u64 n_tokens;              ///< Comes back in the slot as it is; what its bits mean is the host's affair.
    u64 payload_offset;
    const u64* payload_pass;   ///< The lane's count of deliveries.
};

/// Small tensors that one launch reads, a thread block each.
constexpr u32 batch_jobs = 16;

/// As many as fit into a kernel's arguments (4 KiB), so that no table has to be brought to the device.
struct Batch {
    u32 count;
    u8 types[batch_jobs];      ///< 0 = f32, 1 = f16, 2 = bf16.
    Job jobs[batch_jobs];
};

static_assert(sizeof(Batch) <= 3800, "kernel arguments are at most 4 KiB");

/// A small tensor in a table in device memory, which holds any number of them.
struct Entry {
    Job job;
    u32 type;                  ///< As `Batch::types`.
    u32 reserved;
};

/// Part of a payload: where it lies on the device, and where it belongs in the pass's buffer.
struct Piece {
    const u8* from;
    u64 offset;                ///< A multiple of 16.
    u64 nbytes;
};

/// How the thread blocks of a batch agree on their records' numbers: in the order of the batch.
struct BatchState {
    u32 arrived;
    u32 left;
    u32 is_numbered;
    u32 reserved;
    u64 first_number;
};

/// Where records go.
struct Ring {
    u8* slots;                 ///< Mapped host memory.
    u32 slot_count;            ///< A power of two.
    u32 slot_bytes;
    u64* ticket;               ///< Number of the next record, in device memory.
    const u64* step;           ///< Number of the current forward pass, in device memory.
};

}  // namespace cuda
}  // namespace orch_log

#endif
