// Statistics, sketch and first elements of a tensor in one pass over device memory, and their way to the host.
#ifndef ORCH_LOG_CUDA_KERNELS_CUH
#define ORCH_LOG_CUDA_KERNELS_CUH

#include "scan.cuh"

namespace orch_log {
namespace cuda {

/// What a lane's kernels share; they run one after the other.
struct Scratch {
    Partial* partials;   ///< One for each thread block.
    u32* ticket;
    BatchState* batch;
};

/// What is read from counters when a tensor is: asked for before the tensor is read, so that it costs no time of its own.
struct Moment {
    u64 number;
    u64 step;
    i64 token_idx;
    u64 payload_pass;
};

__device__ inline void read_moment(const Job& job, const Ring& ring, u64 number, Moment& moment) {
    i64 position = job.token_idx;
    if (job.position_bits == 32) position += *reinterpret_cast<const volatile int*>(job.position);
    if (job.position_bits == 64) position += *reinterpret_cast<const volatile i64*>(job.position);
    moment.number = number;
    moment.step = *static_cast<const volatile u64*>(ring.step);
    moment.token_idx = position;
    moment.payload_pass = job.payload_pass == nullptr ? 0 : *static_cast<const volatile u64*>(job.payload_pass);
}

constexpr u32 image_words = (sizeof(Slot) + max_first * 8) / 4;

/// Writes the record into the ring; the whole thread block takes part.
template <class Element, class Load>
__device__ inline void emit(const Partial& partial, const Job& job, const Ring& ring, const Moment& moment, Load load, u32* image) {
    __shared__ u32 checksum;
    Slot* slot = reinterpret_cast<Slot*>(image);
    const u32 words = image_bytes(job.first, Element::size) / 4;
    if (threadIdx.x == 0) {
        image[words - 1] = 0;  // the last elements need not fill it
        slot->sequence = moment.number + 1;
        slot->checksum = 0;
        slot->site = job.site;
        slot->token_idx = moment.token_idx;
        slot->step = moment.step;
        slot->n_tokens = job.n_tokens;
        slot->payload_offset = job.payload_offset;
        slot->payload_pass = moment.payload_pass;
        slot->axes = job.axes;
        slot->first = job.first;
        checksum = 0;
    }
    if (threadIdx.x == 32) {
        slot->n = job.count;
        slot->nan = static_cast<u64>(partial.figure[at_counts]);
        slot->inf = static_cast<u64>(partial.figure[at_counts + 1]);
        slot->zero = static_cast<u64>(partial.figure[at_counts + 2]);
        slot->min = partial.figure[at_min];
        slot->max = partial.figure[at_max];
        slot->sum = partial.figure[at_sum];
        slot->squares = partial.figure[at_sum + 1];
    }
    if (threadIdx.x >= 64 && threadIdx.x < 80) slot->sketch[threadIdx.x - 64] = partial.figure[threadIdx.x - 64];
    if (threadIdx.x >= 96 && threadIdx.x < 96 + slot_axes) slot->shape[threadIdx.x - 96] = job.shape[threadIdx.x - 96];
    __syncthreads();
    u8* bytes = reinterpret_cast<u8*>(image) + sizeof(Slot);
    for (u32 i = threadIdx.x; i < job.first; i += threads) {
        const u8* from = load.address(i);
        for (u32 b = 0; b < Element::size; ++b) bytes[i * Element::size + b] = from[b];
    }
    __syncthreads();
    u32 part = 0;
    for (u32 i = threadIdx.x; i < words; i += threads) part += checksum_part(image[i], i);
    part = __reduce_add_sync(0xffffffffu, part);
    if ((threadIdx.x & 31) == 0) atomicAdd(&checksum, part);
    __syncthreads();
    volatile u32* out = reinterpret_cast<volatile u32*>(ring.slots + (moment.number & (ring.slot_count - 1)) * u64{ring.slot_bytes});
    for (u32 i = threadIdx.x + 2; i < words; i += threads) out[i] = i == 2 ? checksum : image[i];
    __syncthreads();
    // No fence: one costs more than the record. The checksum tells a slot whose parts have not all arrived.
    if (threadIdx.x == 0) *reinterpret_cast<volatile u64*>(out) = moment.number + 1;
}

/// What every kernel keeps in shared memory.
struct Shared {
    Partial partials[warps];
    u32 image[image_words];
    Moment moment;
};

template <class Element, class Load>
__device__ inline void read_tensor(const Job& job, u32 part, u32 parts, Load load, Shared& shared) {
    Share share = {};
    double low;
    double high;
    scan<Element>(job.count, part, parts, load, share, low, high);
    reduce_block(share, low, high, shared.partials);
}

template <class Element, class Load>
__device__ inline void log_tensor(const Job& job, const Ring& ring, const Scratch& scratch, Load load) {
    __shared__ Shared shared;
    __shared__ bool is_last;
    const bool alone = gridDim.x == 1;
    if (alone && threadIdx.x == threads - 1) read_moment(job, ring, atomicAdd(ring.ticket, 1ull), shared.moment);
    read_tensor<Element>(job, blockIdx.x, gridDim.x, load, shared);
    if (!alone) {
        if (threadIdx.x < figures) scratch.partials[blockIdx.x].figure[threadIdx.x] = shared.partials[0].figure[threadIdx.x];
        __threadfence();
        __syncthreads();
        // Wraps to 0 at the last block: ready for the next tensor.
        if (threadIdx.x == 0) is_last = atomicInc(scratch.ticket, gridDim.x - 1) == gridDim.x - 1;
        __syncthreads();
        if (!is_last) return;
        __threadfence();
        if (threadIdx.x == threads - 1) read_moment(job, ring, atomicAdd(ring.ticket, 1ull), shared.moment);
        merge_blocks(scratch.partials, gridDim.x, shared.partials);
    }
    __syncthreads();
    emit<Element>(shared.partials[0], job, ring, shared.moment, load, shared.image);
}

/// Elements in logical order without gaps, each aligned to its size.
template <class Element>
__global__ void __launch_bounds__(threads, 2) log_plain(const __grid_constant__ Job job, const __grid_constant__ Ring ring, const __grid_constant__ Scratch scratch) {
    log_tensor<Element>(job, ring, scratch, Plain<Element>{job.data});
}

/// Any strides and addresses.
template <class Element>
__global__ void __launch_bounds__(threads) log_strided(const __grid_constant__ Job job, const __grid_constant__ Ring ring, const __grid_constant__ Scratch scratch) {
    log_tensor<Element>(job, ring, scratch, Strided<Element>{job});
}

/// The number of this thread block's record, of `count`: the first block to come draws numbers for all. The others wait for it;
/// it is running already, so they do not wait for long.
__device__ inline u64 batch_number(u32 count, const Ring& ring, BatchState* state) {
    volatile BatchState* seen = state;
    if (atomicAdd(&state->arrived, 1u) == 0) {
        state->first_number = atomicAdd(ring.ticket, static_cast<u64>(count));
        __threadfence();
        seen->is_numbered = 1;
    } else {
        while (seen->is_numbered == 0) {
        }
        __threadfence();
    }
    const u64 number = seen->first_number + blockIdx.x;
    __threadfence();
    if (atomicAdd(&state->left, 1u) == count - 1) {
        seen->is_numbered = 0;
        seen->left = 0;
        __threadfence();
        seen->arrived = 0;
    }
    return number;
}

template <class Element>
__device__ inline void log_of_batch(const Job& job, const Ring& ring, Shared& shared) {
    const Plain<Element> load{job.data};
    read_tensor<Element>(job, 0, 1, load, shared);
    emit<Element>(shared.partials[0], job, ring, shared.moment, load, shared.image);
}

/// This thread block's tensor of `count`.
__device__ inline void log_one(const Job& job, u32 type, u32 count, const Ring& ring, const Scratch& scratch, Shared& shared) {
    if (threadIdx.x == threads - 1) read_moment(job, ring, batch_number(count, ring, scratch.batch), shared.moment);
    switch (type) {
        case 0: log_of_batch<F32>(job, ring, shared); break;
        case 1: log_of_batch<F16>(job, ring, shared); break;
        default: log_of_batch<Bf16>(job, ring, shared); break;
    }
}

/// Several small tensors, a thread block each.
template <int Unused = 0>  // so that two files may define it
__global__ void __launch_bounds__(threads, 2) log_batch(const __grid_constant__ Batch batch, const __grid_constant__ Ring ring, const __grid_constant__ Scratch scratch) {
    __shared__ Shared shared;
    log_one(batch.jobs[blockIdx.x], batch.types[blockIdx.x], batch.count, ring, scratch, shared);
}

/// The same for as many as there are thread blocks, from a table in device memory.
template <int Unused = 0>
__global__ void __launch_bounds__(threads, 2) log_table(const Entry* table, const __grid_constant__ Ring ring, const __grid_constant__ Scratch scratch) {
    __shared__ Shared shared;
    __shared__ Entry entry;
    constexpr u32 words = sizeof(Entry) / 8;
    if (threadIdx.x < words) reinterpret_cast<u64*>(&entry)[threadIdx.x] = reinterpret_cast<const u64*>(table + blockIdx.x)[threadIdx.x];
    __syncthreads();
    log_one(entry.job, entry.type, gridDim.x, ring, scratch, shared);
}

/// What the host has not read yet, and how long a pass may wait for it.
struct Backlog {
    const u64* ticket;           ///< Records so far, in device memory.
    const volatile u64* read;    ///< Records that the host has read; mapped.
    u64 most_records;            ///< Records that may lie in the ring.
    const u64* pass;             ///< Deliveries of the lane so far, in device memory; null where nothing is delivered.
    const volatile u64* taken;   ///< As `Buffers::taken`.
    u32 buffer_count;
    u64 limit_ns;
    volatile u64* waited_ns;     ///< Added to; mapped, one for each lane.
};

__device__ inline u64 nanoseconds() {
    u64 now;
    asm volatile("mov.u64 %0, %%globaltimer;" : "=l"(now));
    return now;
}

/// Waits until the ring has room and the next delivery's buffer is free, or for as long as it may.
template <int Unused = 0>
__global__ void wait_for_host(const __grid_constant__ Backlog backlog) {
    const u64 start = nanoseconds();
    const u64 pass = backlog.pass == nullptr ? 0 : *static_cast<const volatile u64*>(backlog.pass);
    const u64 before = pass >= backlog.buffer_count ? pass - backlog.buffer_count + 1 : 0;
    const u64 ticket = *static_cast<const volatile u64*>(backlog.ticket);
    u64 now = start;
    while (now - start < backlog.limit_ns) {
        const bool is_free = backlog.pass == nullptr || backlog.taken[pass % backlog.buffer_count] >= before;
        if (is_free && ticket - *backlog.read <= backlog.most_records) break;
        __nanosleep(1000);
        now = nanoseconds();
    }
    if (now != start) *backlog.waited_ns += now - start;
}

/// Counts a forward pass.
template <int Unused = 0>
__global__ void next_step(u64* step) { *step += 1; }

/// Copies `nbytes`, of which this thread takes every `stride`th part from `i` on; `to` is aligned to 16.
__device__ inline void copy_part(const u8* from, u8* to, u64 nbytes, u64 i, u64 stride) {
    if ((reinterpret_cast<u64>(from) & 15u) == 0) {
        const u64 words = nbytes / 16;
        for (u64 at = i; at < words; at += stride) reinterpret_cast<uint4*>(to)[at] = reinterpret_cast<const uint4*>(from)[at];
        for (u64 at = words * 16 + i; at < nbytes; at += stride) to[at] = from[at];
    } else {
        for (u64 at = i; at < nbytes; at += stride) to[at] = from[at];
    }
}

/// Copies a tensor, and the counter that says where it is in the sequence: the engine may advance it before the copy is
/// read. Small copies start sooner as a kernel than as a copy node of a graph.
template <int Unused = 0>
__global__ void __launch_bounds__(threads) copy_small(const u8* from, u8* to, u64 nbytes, const u8* position, u32 position_bits, i64* position_copy) {
    const u64 i = u64{blockIdx.x} * threads + threadIdx.x;
    const u64 stride = u64{gridDim.x} * threads;
    if (i == 0 && position_bits == 32) *position_copy = *reinterpret_cast<const volatile int*>(position);
    if (i == 0 && position_bits == 64) *position_copy = *reinterpret_cast<const volatile i64*>(position);
    copy_part(from, to, nbytes, i, stride);
}

/// The same for a view with gaps.
template <int Unused = 0>
__global__ void __launch_bounds__(threads) copy_strided(const __grid_constant__ Job job, u32 size, u8* to, i64* position_copy) {
    const u64 i = u64{blockIdx.x} * threads + threadIdx.x;
    if (i == 0 && job.position_bits == 32) *position_copy = *reinterpret_cast<const volatile int*>(job.position);
    if (i == 0 && job.position_bits == 64) *position_copy = *reinterpret_cast<const volatile i64*>(job.position);
    for (u64 at = i; at < job.count; at += u64{gridDim.x} * threads) {
        const u8* from = strided_address(job, size, at);
        for (u32 b = 0; b < size; ++b) to[at * size + b] = from[b];
    }
}

/// Where a lane's snapshots go on the host: `buffers` of `bytes` each in turn, so that a replay does not overwrite what
/// the host still reads from the one before.
struct Delivery {
    u8* buffers;               ///< Mapped host memory, aligned to 16.
    u64 bytes;                 ///< Of one buffer, a multiple of 16.
    u32 buffer_count;
    volatile u64* headers;     ///< Mapped; for each buffer the pass that it holds, counted from 1 (0 while it is written), and its bytes.
    u64* pass;                 ///< Deliveries so far, in device memory.
    u32* ticket;
};

/// Where this delivery goes. The host must see that the buffer is being written before its first byte changes.
__device__ inline u8* begin_delivery(const Delivery& to) {
    const u64 pass = *static_cast<const volatile u64*>(to.pass);
    const u32 buffer = static_cast<u32>(pass % to.buffer_count);
    if (threadIdx.x == 0) {
        to.headers[2 * buffer] = 0;
        __threadfence_system();
    }
    __syncthreads();
    return to.buffers + buffer * to.bytes;
}

/// The last thread block to come says what has been delivered, and counts it.
__device__ inline void end_delivery(const Delivery& to, u64 nbytes) {
    __threadfence_system();
    __syncthreads();
    if (threadIdx.x != 0 || atomicInc(to.ticket, gridDim.x - 1) != gridDim.x - 1) return;
    const u64 pass = *static_cast<const volatile u64*>(to.pass);
    const u32 buffer = static_cast<u32>(pass % to.buffer_count);
    to.headers[2 * buffer + 1] = nbytes;
    __threadfence_system();
    to.headers[2 * buffer] = pass + 1;
    *to.pass = pass + 1;
}

/// Copies `nbytes` of snapshots to the host and counts the delivery.
template <int Unused = 0>
__global__ void __launch_bounds__(threads) deliver(const u8* snapshots, u64 nbytes, const __grid_constant__ Delivery to) {
    const uint4* from = reinterpret_cast<const uint4*>(snapshots);
    uint4* out = reinterpret_cast<uint4*>(begin_delivery(to));
    const u64 words = nbytes / 16;
    for (u64 i = u64{blockIdx.x} * threads + threadIdx.x; i < words; i += u64{gridDim.x} * threads) out[i] = from[i];
    end_delivery(to, nbytes);
}

/// The same for what lies anywhere on the device; `nbytes` is what it takes in the buffer.
template <int Unused = 0>
__global__ void __launch_bounds__(threads) deliver_pieces(const Piece* pieces, u32 count, u64 nbytes, const __grid_constant__ Delivery to) {
    u8* out = begin_delivery(to);
    for (u32 i = blockIdx.x; i < count; i += gridDim.x) {
        const Piece piece = pieces[i];
        copy_part(piece.from, out + piece.offset, piece.nbytes, threadIdx.x, threads);
    }
    end_delivery(to, nbytes);
}

}  // namespace cuda
}  // namespace orch_log

#endif
