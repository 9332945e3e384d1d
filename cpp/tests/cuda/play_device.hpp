// The device, played by the test: writes records as the kernels do.
#ifndef ORCH_LOG_TESTS_CUDA_PLAY_DEVICE_HPP
#define ORCH_LOG_TESTS_CUDA_PLAY_DEVICE_HPP

#include <cstring>
#include <vector>

#include "orch_log_cuda.cuh"

namespace play {

using orch_log::cuda::Slot;
using orch_log::cuda::u32;
using orch_log::cuda::u64;

/// Puts record `number` into the ring; `slot.first` elements of `size` bytes at `first` follow it. `damaged`: a part has not arrived.
inline void write(const orch_log::cuda::Ring& ring, u64 number, Slot slot, const void* first, u32 size, bool damaged = false) {
    std::vector<u32> image(orch_log::cuda::image_bytes(slot.first, size) / 4);
    slot.sequence = number + 1;
    slot.checksum = 0;
    std::memcpy(image.data(), &slot, sizeof slot);
    std::memcpy(image.data() + sizeof(Slot) / 4, first, slot.first * size);
    u32 sum = 0;
    for (std::size_t i = 0; i < image.size(); ++i) sum += orch_log::cuda::checksum_part(image[i], static_cast<u32>(i));
    image[2] = damaged ? sum + 1 : sum;
    unsigned char* to = ring.slots + (number & (ring.slot_count - 1)) * std::size_t{ring.slot_bytes};
    // What says that the record is there comes last, as from the device.
    std::memcpy(to + 8, image.data() + 2, image.size() * 4 - 8);
    __atomic_store_n(reinterpret_cast<u64*>(to), number + 1, __ATOMIC_RELEASE);
}

/// The record of a tensor of f32, its statistics but for the number of elements left out.
inline void log_f32(const orch_log::cuda::Job& job, const orch_log::cuda::Ring& ring) {
    Slot slot = {};
    slot.site = job.site;
    slot.token_idx = job.token_idx;
    slot.step = *ring.step;
    slot.n_tokens = job.n_tokens;
    slot.payload_offset = job.payload_offset;
    slot.payload_pass = job.payload_pass == nullptr ? 0 : *job.payload_pass;
    slot.n = job.count;
    slot.axes = job.axes;
    slot.first = job.first;
    for (u32 axis = 0; axis < job.axes; ++axis) slot.shape[axis] = job.shape[axis];
    write(ring, (*ring.ticket)++, slot, job.data, 4);
}

inline void deliver(const unsigned char* snapshots, u64 nbytes, const orch_log::cuda::Delivery& to) {
    const u64 pass = *to.pass;
    const u64 buffer = pass % to.buffer_count;
    to.headers[2 * buffer] = 0;
    std::memcpy(to.buffers + buffer * to.bytes, snapshots, nbytes);
    to.headers[2 * buffer + 1] = nbytes;
    __atomic_store_n(&to.headers[2 * buffer], pass + 1, __ATOMIC_RELEASE);
    *to.pass = pass + 1;
}

}  // namespace play

#endif
