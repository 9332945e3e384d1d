// Logging a tensor that lies in device memory.
#ifndef ORCH_LOG_CUDA_LOG_HPP
#define ORCH_LOG_CUDA_LOG_HPP

#include <cstdint>
#include <cstring>
#include <mutex>
#include <type_traits>

#include "../orch_log/global.hpp"
#include "../orch_log/macro_calls.hpp"
#include "driver.hpp"
#include "launch.hpp"
#include "poller.hpp"
#include "position.hpp"

namespace orch_log {
namespace cuda {

namespace impl {

/// Elements between neighbours along an axis of a row-major tensor.
inline std::int64_t view_strides(const Shape& shape, u32 axis) noexcept {
    std::int64_t stride = 1;
    for (std::size_t inner = axis + 1; inner < shape.count(); ++inner) stride *= static_cast<std::int64_t>(shape[inner]);
    return stride;
}

/// Outside of graphs: reads in the stream what was put off, in one launch. On failure all but one are counted here.
inline bool read_put_off(Context& context, Lane& lane, cudaStream_t stream) noexcept {
    if (lane.capture != 0 || lane.batch.count == 0) return true;
    const u32 count = lane.batch.count;
    Ring ring = context.ring();
    void* arguments[] = {&lane.batch, &ring, &lane.scratch};
    const bool done = join(lane, stream) &&
                      cudaLaunchKernel(reinterpret_cast<const void*>(&log_batch<0>), dim3(count), dim3(threads), arguments, 0, stream) == cudaSuccess;
    lane.batch.count = 0;
    context.put_off.fetch_sub(count, std::memory_order_relaxed);
    if (done) context.launched.fetch_add(count, std::memory_order_relaxed);
    else context.records_lost.fetch_add(count - 1, std::memory_order_relaxed);
    return done;
}

/// What a record says of itself; which memory is read and where its payload goes is said later.
inline Job make_job(Context& context, const Site& site, const Event& event, const orch_log::detail::RawView& view, std::uint64_t n_tokens,
                    const Position& position) noexcept {
    Job job = {};
    job.data = view.data;
    job.count = view.count;
    job.site = site.id;
    job.token_idx = position.value();
    job.position = static_cast<const u8*>(position.counter());
    job.position_bits = position.bits();
    job.n_tokens = n_tokens | Sites::step_bits(event) | (counts_steps.load(std::memory_order_relaxed) ? Sites::is_counted : 0);
    const u32 values = context.values_of(event.checkpoint());
    job.first = view.count < values ? static_cast<u32>(view.count) : values;
    job.payload_offset = no_payload;
    return job;
}

/// With `side`, outside of graphs: puts a small tensor off, to be read in one launch with those before it, the last of them at the end of
/// the pass. Nothing of the device's is touched and nothing of the runtime's called. False where it has to be read now, where it is the
/// first or the last of a launch, and where something has to be asked: then all is.
inline bool put_off(const Event& event, const orch_log::detail::RawView& view, const Shape& shape, std::uint64_t n_tokens,
                    const Position& position, cudaStream_t stream) noexcept {
    const int batched = batch_type(view.type);
    if (!Poller::instance().has_side() || stream == nullptr || batched < 0 || blocks_for(view.count) != 1 || !view.contiguous()) return false;
    if (reinterpret_cast<std::uintptr_t>(view.data) % size_bytes(view.type) != 0) return false;
    Context* context = Poller::instance().known_context(Driver::instance().owner_of(stream));
    if (context == nullptr || context->settings().mode != Mode::side) return false;
    if (!context->is_known(view.data) || (position.counter() != nullptr && !context->is_known(position.counter()))) return false;
    if (!Driver::instance().is_not_captured(stream)) return false;
    const Site* site = context->sites().find_or_add(event, view.type);
    if (site == nullptr) return false;
    const std::lock_guard<std::mutex> lock(context->mutex());
    Lane* lane = context->known_lane(stream, 0);
    if (lane == nullptr || !lane->has_ends || lane->batch.count == 0 || lane->batch.count + 1 >= batch_jobs) return false;
    Job& job = lane->batch.jobs[lane->batch.count];
    job = make_job(*context, *site, event, view, n_tokens, position);
    job.axes = static_cast<u32>(shape.count());
    for (u32 axis = 0; axis < job.axes; ++axis) job.shape[axis] = shape[axis];
    lane->batch.types[lane->batch.count++] = static_cast<u8>(batched);
    context->put_off.fetch_add(1, std::memory_order_relaxed);
    return true;
}

inline bool launch(Context& context, Lane& lane, cudaStream_t stream, Job& job, Type type, bool plain, Mode mode) noexcept {
    Ring ring = context.ring();
    const u32 blocks = blocks_for(job.count);
    const int batched = batch_type(type);
    if (mode != Mode::in_stream && lane.capture != 0 && plain && blocks == 1 && batched >= 0 &&
        add_to_batch(lane, stream, job, static_cast<u8>(batched), ring)) {
        return true;
    }
    if (mode == Mode::side && lane.capture == 0 && lane.has_ends && plain && blocks == 1 && batched >= 0) {
        lane.batch.jobs[lane.batch.count] = job;
        lane.batch.types[lane.batch.count++] = static_cast<u8>(batched);
        context.put_off.fetch_add(1, std::memory_order_relaxed);
        return lane.batch.count < batch_jobs || read_put_off(context, lane, stream);
    }
    void* arguments[] = {&job, &ring, &lane.scratch};
    const void* kernel = reinterpret_cast<const void*>(kernel_for(type, plain));
    // Records come in the order of the calls.
    if (!read_put_off(context, lane, stream)) context.records_lost.fetch_add(1, std::memory_order_relaxed);
    const bool done = mode != Mode::in_stream
                          ? launch_beside(lane, stream, kernel, blocks, threads, arguments)
                          : join(lane, stream) && cudaLaunchKernel(kernel, dim3(blocks), dim3(threads), arguments, 0, stream) == cudaSuccess;
    if (done && lane.capture == 0) context.launched.fetch_add(1, std::memory_order_relaxed);
    return done;
}

/// Enqueues the reading of one tensor. `n_tokens` 0 leaves the field out.
inline Status enqueue(Recorder& recorder, const Event& event, const orch_log::detail::RawView& view, const Shape& shape,
                      std::uint64_t n_tokens, const Position& position, cudaStream_t stream) noexcept {
    if (!Poller::instance().may_log()) return recorder.refuse(Status::device_failed);
    if (view.type == Type::none) return recorder.refuse(Status::unknown_dtype);
    if (!view.valid || !shape.valid() || n_tokens > 0xffffffffu) return recorder.refuse(Status::invalid_argument);
    if (position.bits() == 0 && !recorder.wants(event.checkpoint(), position.value(), n_tokens > 0 ? n_tokens : 1)) return Status::filtered;
    const bool full = recorder.detail() == Detail::full;
    if (!full && put_off(event, view, shape, n_tokens, position, stream)) return Status::buffered;
    const Quiet quiet;
    CUctx_st* owner = Driver::instance().of_stream(stream);
    const Entered entered(owner);
    Context* context = Poller::instance().context(recorder, owner);
    if (context == nullptr) return recorder.refuse(Status::device_failed);
    // To read host memory would end the engine's context.
    if ((view.count > 0 && !context->can_read(view.data)) || (position.counter() != nullptr && !context->can_read(position.counter())))
        return recorder.refuse(Status::host_pointer);
    const Site* site = context->sites().find_or_add(event, view.type);
    if (site == nullptr) return recorder.refuse(Status::out_of_memory);

    const std::size_t size = size_bytes(view.type);
    const std::uint64_t nbytes = std::uint64_t{view.count} * size;
    const bool plain = view.contiguous();
    Job job = make_job(*context, *site, event, view, n_tokens, position);

    const std::lock_guard<std::mutex> lock(context->mutex());
    const Capture capture = Capture::of(stream);
    Lane* lane = context->lane(stream, capture.id);
    if (lane == nullptr) return recorder.refuse(Status::out_of_memory);
    ask_for_lease(*lane, capture);
    Mode mode = context->settings().mode;
    // Outside of graphs a copy, two events and a launch cost the host more than the reading costs the stream; and a strided tensor
    // cannot be copied in one go.
    if (mode == Mode::snapshot && (!capture.active || !plain)) mode = Mode::in_stream;
    bool packed = plain;
    const bool wants_payload = full && view.count > 0 && !lane->is_undeliverable.load(std::memory_order_relaxed);
    if ((mode == Mode::snapshot && view.count > 0) || wants_payload) {
        u8* copy = snapshot_room(*context, *lane, stream, nbytes + 16, wants_payload);
        const bool copied = copy != nullptr && (plain ? take_snapshot(job, copy, nbytes, stream) : pack(job, view, copy, nbytes, stream));
        packed = packed || copied;
        if (copied && wants_payload) {
            job.payload_offset = static_cast<u64>(copy - lane->snapshots) | (u64{lane->index} << 48);
            job.payload_pass = lane->pass;
        }
        if (!copied && mode == Mode::snapshot) mode = Mode::in_stream;
        if (wants_payload && !copied) context->payloads_lost.fetch_add(1, std::memory_order_relaxed);
    }
    if (full && view.count > 0 && !wants_payload) context->payloads_undeliverable.fetch_add(1, std::memory_order_relaxed);
    // What the kernel walks over: the view's own axes. What the record says: the caller's shape.
    job.axes = static_cast<u32>(packed ? shape.count() : view.shape.count());
    for (u32 axis = 0; axis < job.axes; ++axis) {
        job.shape[axis] = packed ? shape[axis] : view.shape[axis];
        job.strides[axis] = packed ? 0 : view.strides[axis];
    }

    const bool aligned = reinterpret_cast<std::uintptr_t>(job.data) % size == 0;
    if (packed && !aligned) {
        // The kernel for any address walks over axes and strides: one axis will do.
        for (u32 axis = 0; axis < job.axes; ++axis) job.strides[axis] = view_strides(shape, axis);
    }
    if (!launch(*context, *lane, stream, job, view.type, packed && aligned, mode)) return recorder.refuse(Status::device_failed);
    if (lane->capture != 0) context->has_captured.store(true, std::memory_order_relaxed);
    return Status::buffered;
}

/// Lets the pass wait for the host, where the settings allow that: with `buffers`, until there is room for its payloads, else until
/// there is room for its records.
inline bool wait_for_host(Context& context, Lane& lane, cudaStream_t stream, const Buffers* buffers) noexcept {
    if (context.settings().wait_ns == 0) return true;
    Backlog backlog = {};
    backlog.ticket = context.ring().ticket;
    backlog.read = context.device_read();
    backlog.most_records = context.ring().slot_count / 2;
    backlog.limit_ns = context.settings().wait_ns;
    backlog.waited_ns = context.device_waited(lane);
    if (buffers != nullptr) {
        backlog.most_records = ~u64{0};
        backlog.pass = lane.pass;
        backlog.taken = buffers->device_taken();
        backlog.buffer_count = buffers->count;
    }
    void* arguments[] = {&backlog};
    return launch_beside(lane, stream, reinterpret_cast<const void*>(&cuda::wait_for_host<0>), 1, 1, arguments);
}

/// Brings a lane's snapshots to the host.
inline bool deliver_snapshots(Context& context, Lane& lane, cudaStream_t stream) noexcept {
    if (lane.used == lane.delivered) return true;
    const Buffers* buffers = context.buffers_for(lane, lane.used);
    if (buffers == nullptr) return true;  // each of their records counts the payload that it has to go without
    if (!wait_for_host(context, lane, stream, buffers)) return false;
    Delivery to = {buffers->memory.device(), buffers->bytes, buffers->count, buffers->device_headers(), lane.pass, lane.deliver_ticket};
    const u8* from = lane.snapshots;
    u64 nbytes = lane.used < buffers->bytes ? lane.used : buffers->bytes;
    void* arguments[] = {&from, &nbytes, &to};
    lane.delivered = lane.used;
    const u32 blocks = nbytes < (1u << 20) ? 8 : 64;
    return launch_beside(lane, stream, reinterpret_cast<const void*>(&deliver<0>), blocks, threads, arguments);
}

}  // namespace impl

/// Logs a tensor in device memory, with everything that an `orch_log::Event` can say. Returns at once; nothing is
/// synchronised. `buffered` means that the device will log it.
template <class T>
inline Status log(const Event& event, const TensorView<T>& tensor, const Position& position, cudaStream_t stream) noexcept {
    Recorder* recorder = global();
    if (recorder == nullptr) return Status::off;
    if (!recorder->wants_name(event.checkpoint())) return Status::filtered;
    const Shape* given = event.given_shape();
    return impl::enqueue(*recorder, event, tensor.raw(), given != nullptr ? *given : tensor.raw().shape,
                           event.given_n_tokens(), position, stream);
}

/// Ends a forward pass: what comes next belongs to the next `step`, and with `ORCH_LOG_DETAIL=full` the pass's tensors are
/// brought to the host. Legal in a capture, where it belongs to the graph.
inline Status end_step(cudaStream_t stream) noexcept {
    Recorder* recorder = global();
    if (recorder == nullptr) return Status::off;
    if (!impl::Poller::instance().may_log()) return recorder->refuse(Status::device_failed);
    const Quiet quiet;
    CUctx_st* owner = impl::Driver::instance().of_stream(stream);
    const impl::Entered entered(owner);
    Context* context = impl::Poller::instance().context(*recorder, owner);
    if (context == nullptr) return recorder->refuse(Status::device_failed);
    const std::lock_guard<std::mutex> lock(context->mutex());
    const impl::Capture capture = impl::Capture::of(stream);
    Lane* lane = context->lane(stream, capture.id);
    if (lane == nullptr) return recorder->refuse(Status::out_of_memory);
    impl::ask_for_lease(*lane, capture);
    lane->has_ends = true;
    bool done = impl::read_put_off(*context, *lane, stream);
    done = (recorder->detail() != Detail::full || impl::deliver_snapshots(*context, *lane, stream)) && done;
    // Records wait for their payloads: for the host to have read them these must have been brought.
    done = impl::wait_for_host(*context, *lane, stream, nullptr) && done;
    u64* step = context->step();
    void* arguments[] = {&step};
    done = impl::launch_beside(*lane, stream, reinterpret_cast<const void*>(&next_step<0>), 1, 1, arguments) && done;
    // With `side` the engine's buffers and counters are its own again from here on.
    if (lane->capture == 0 || context->settings().mode == Mode::side) done = impl::join(*lane, stream) && done;
    if (lane->capture == 0) {
        lane->used = 0;
        lane->delivered = 0;
    }
    return done ? Status::buffered : recorder->refuse(Status::device_failed);
}

namespace impl {

/// `ORCH_LOG_CUDA`.
template <class T, class Count, class = std::enable_if_t<orch_log::detail::is_loggable_pointee<T>>,
          class = orch_log::detail::enable_if_count<Count>>
__attribute__((noinline)) inline Status log_pointer(const orch_log::detail::TextArgument& name, T* data, Count count,
                                                    const orch_log::detail::TextArgument& dtype,
                                                    const orch_log::detail::ShapeArgument& shape, const Position& position,
                                                    cudaStream_t stream) noexcept {
    Recorder* recorder = global();
    if (recorder == nullptr) return Status::off;
    if (!recorder->wants_name(name.view())) return Status::filtered;
    if constexpr (std::is_signed_v<Count>) {
        if (count < 0) return recorder->refuse(Status::invalid_argument);
    }
    const Shape flat{static_cast<std::size_t>(count)};
    const auto view = orch_log::detail::make_view(data, orch_log::detail::type_in_memory<T>(dtype.view()), flat, nullptr);
    Event event(name.view(), 0);
    event.dtype(dtype.view());
    return enqueue(*recorder, event, view, shape.sizes_or(flat), 0, position, stream);
}

}  // namespace impl
}  // namespace cuda
}  // namespace orch_log

#endif
