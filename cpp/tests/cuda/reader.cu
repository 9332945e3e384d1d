// The host's end of the ring, with a device that the test plays itself: what it writes must come out, whatever state the
// ring is in.
#include <cstring>
#include <string>
#include <vector>

#include "check.hpp"
#include "orch_log_cuda.cuh"

namespace {

using namespace orch_log;
using cuda::Context;
using cuda::Reader;
using cuda::Slot;
using cuda::u32;
using cuda::u64;

/// Writes record `number` as the device would.
void put(Context& context, u64 number, u32 site, float value, bool damaged, u64 payload_offset = cuda::no_payload, u64 pass = 0) {
    std::vector<u32> image(cuda::image_bytes(2, 4) / 4);
    Slot& slot = *reinterpret_cast<Slot*>(image.data());
    slot.sequence = number + 1;
    slot.site = site;
    slot.token_idx = static_cast<long long>(number);
    slot.n = 2;
    slot.min = static_cast<double>(value);
    slot.max = static_cast<double>(value) + 1.0;
    slot.sum = 2.0 * static_cast<double>(value) + 1.0;
    slot.squares = static_cast<double>(value) * static_cast<double>(value) + (static_cast<double>(value) + 1.0) * (static_cast<double>(value) + 1.0);
    slot.axes = 1;
    slot.first = 2;
    slot.shape[0] = 2;
    slot.payload_offset = payload_offset;
    slot.payload_pass = pass;
    const float values[2] = {value, value + 1.0f};
    std::memcpy(image.data() + sizeof(Slot) / 4, values, 8);
    u32 sum = 0;
    for (std::size_t i = 0; i < image.size(); ++i) sum += cuda::checksum_part(image[i], static_cast<u32>(i));
    slot.checksum = damaged ? sum + 1 : sum;
    const cuda::Ring& ring = context.ring();
    std::memcpy(ring.slots + (number & (ring.slot_count - 1)) * std::size_t{ring.slot_bytes}, image.data(), image.size() * 4);
}

struct Trace {
    std::string path;
    Recorder recorder;
    Context* context;
    const cuda::Site* site;

    explicit Trace(const char* name, Detail detail = Detail::stats) : path(std::string(name) + ".jsonl") {
        Settings settings;
        settings.path = path;
        settings.team = "test";
        settings.truncate = true;
        settings.detail = detail;
        CHECK(recorder.open(settings) == Status::written);
        context = Context::create(10);
        CHECK(context != nullptr);
        site = context->sites().find_or_add(Event("logits", 0).op("MUL_MAT"), Type::f32);
        CHECK(site != nullptr);
    }
    std::vector<std::string> lines() const { return check::read_lines(path); }
};

void records_come_out_in_order() {
    Trace trace("order");
    Reader reader(*trace.context, trace.recorder);
    for (u64 i = 0; i < 5; ++i) put(*trace.context, i, trace.site->id, static_cast<float>(i), false);
    CHECK_EQUAL(reader.drain(false), std::size_t{5});
    CHECK_EQUAL(reader.drain(false), std::size_t{0});
    const auto lines = trace.lines();
    CHECK_EQUAL(lines.size(), std::size_t{5});
    // By hand: elements 3 and 4, mean 3.5, root mean square sqrt(12.5).
    CHECK(lines[3].find("\"checkpoint\":\"logits\",\"team\":\"test\",\"token_idx\":3,\"dtype\":\"f32\",\"shape\":\"[2]\",\"values\":[3.0,4.0]") != std::string::npos);
    CHECK(lines[3].find("\"min\":3.0,\"max\":4.0,\"mean\":3.5,\"rms\":3.5355339059327378}") != std::string::npos);
    CHECK(lines[3].find("\"op\":\"MUL_MAT\"") != std::string::npos);
}

void half_a_record_is_waited_for() {
    Trace trace("half");
    Reader reader(*trace.context, trace.recorder);
    put(*trace.context, 0, trace.site->id, 1.0f, true);
    put(*trace.context, 1, trace.site->id, 2.0f, false);
    CHECK_EQUAL(reader.drain(false), std::size_t{0});
    put(*trace.context, 0, trace.site->id, 1.0f, false);
    CHECK_EQUAL(reader.drain(false), std::size_t{2});
    // One that never becomes whole is given up at the end, counted, and does not hide those after it.
    put(*trace.context, 2, trace.site->id, 3.0f, true);
    put(*trace.context, 3, trace.site->id, 4.0f, false);
    CHECK_EQUAL(reader.drain(false), std::size_t{0});
    CHECK_EQUAL(reader.drain(true), std::size_t{1});
    CHECK_EQUAL(trace.recorder.health().dropped, std::uint64_t{1});
}

void what_was_overwritten_is_counted() {
    Trace trace("overwritten");
    Reader reader(*trace.context, trace.recorder);
    const u64 slots = trace.context->ring().slot_count;
    const u64 written = 3 * slots + 5;
    for (u64 i = 0; i < written; ++i) put(*trace.context, i, trace.site->id, static_cast<float>(i % 1000), false);
    std::size_t read = 0;
    while (const std::size_t some = reader.drain(false)) read += some;
    CHECK(read > 0);
    CHECK_EQUAL(trace.recorder.health().dropped + read, written);
    CHECK(trace.recorder.health().last_reason == Status::overtaken);
    const auto lines = trace.lines();
    std::size_t records = 0;
    for (const std::string& line : lines) records += line.find("\"logits\"") != std::string::npos;
    CHECK_EQUAL(records, read);
    CHECK(lines.back().find("\"token_idx\":" + std::to_string(written - 1)) != std::string::npos ||
          lines[lines.size() - 2].find("\"token_idx\":" + std::to_string(written - 1)) != std::string::npos);
}

void a_record_waits_for_its_payload() {
    Trace trace("payload", Detail::full);
    Reader reader(*trace.context, trace.recorder);
    cuda::Lane* lane = trace.context->lane(nullptr, 7);
    CHECK(lane != nullptr);
    std::vector<unsigned char> buffers(cuda::Lane::buffer_count * 256);
    std::vector<u64> headers(2 * cuda::Lane::buffer_count);
    lane->buffers = buffers.data();
    lane->buffer_bytes = 256;
    lane->headers = headers.data();
    const u64 place = (u64{lane->index} << 48) | 64;
    put(*trace.context, 0, trace.site->id, 5.0f, false, place, 0);
    CHECK_EQUAL(reader.drain(false), std::size_t{0});
    const float values[2] = {5.0f, 6.0f};
    std::memcpy(lane->buffers + 64, values, 8);
    headers[1] = 128;
    headers[0] = 1;
    CHECK_EQUAL(reader.drain(false), std::size_t{1});
    CHECK(trace.lines()[0].find("\"payload\":{\"file\":\"payload.") != std::string::npos);
    // A later pass has taken the buffer: the record is written without, and that is counted.
    headers[0] = 1 + cuda::Lane::buffer_count;
    put(*trace.context, 1, trace.site->id, 6.0f, false, place, 0);
    CHECK_EQUAL(reader.drain(false), std::size_t{1});
    CHECK(trace.lines()[1].find("\"payload\"") == std::string::npos);
    CHECK_EQUAL(trace.recorder.health().payloads_dropped, std::uint64_t{1});
    CHECK_EQUAL(trace.recorder.health().dropped, std::uint64_t{0});
    // One whose delivery never comes is written at the end.
    put(*trace.context, 2, trace.site->id, 7.0f, false, place, 9);
    CHECK_EQUAL(reader.drain(false), std::size_t{0});
    CHECK_EQUAL(reader.drain(true), std::size_t{1});
}

void sites_are_told_apart() {
    Trace trace("sites");
    cuda::Sites& sites = trace.context->sites();
    const cuda::Site* again = sites.find_or_add(Event("logits", 99).op("MUL_MAT"), Type::f32);
    CHECK(again == trace.site);
    CHECK(sites.find_or_add(Event("logits", 0).op("ADD"), Type::f32) != trace.site);
    CHECK(sites.find_or_add(Event("logits", 0).op("MUL_MAT"), Type::f16) != trace.site);
    CHECK(sites.find_or_add(Event("logits", 0).op("MUL_MAT").seq(1), Type::f32) != trace.site);
    CHECK(sites.get(trace.site->id) == trace.site);
    CHECK(sites.get(cuda::Sites::max_sites) == nullptr);
    std::string name = "borrowed";
    const cuda::Site* owned = sites.find_or_add(Event(name, 0), Type::f32);
    name = "changed!";
    CHECK(owned != nullptr && owned->event.checkpoint() == "borrowed");
}

}  // namespace

int main() {
    records_come_out_in_order();
    half_a_record_is_waited_for();
    what_was_overwritten_is_counted();
    a_record_waits_for_its_payload();
    sites_are_told_apart();
    std::printf("%d checks\n", check::checks);
    return check::finish();
}
