// The host's end of the ring, with a device that the test plays itself: what it writes must come out, whatever state the
// ring is in.
#include <chrono>
#include <cstring>
#include <string>
#include <vector>

#include "check.hpp"
#include "play_device.hpp"

namespace {

using namespace orch_log;
using cuda::Context;
using cuda::Reader;
using cuda::Slot;
using cuda::u32;
using cuda::u64;

/// Writes record `number` as the device would.
void put(Context& context, u64 number, u32 site, float value, bool damaged, u64 payload_offset = cuda::no_payload, u64 pass = 0) {
    Slot slot = {};
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
    play::write(context.ring(), number, slot, values, 4, damaged);
}

struct Trace {
    std::string path;
    Recorder recorder;
    Context* context;
    const cuda::Site* site;

    explicit Trace(const char* name, Detail detail = Detail::stats, u32 slots = cuda::DeviceSettings().slots) : path(std::string(name) + ".jsonl") {
        Settings settings;
        settings.path = path;
        settings.team = "test";
        settings.truncate = true;
        settings.detail = detail;
        CHECK(recorder.open(settings) == Status::written);
        cuda::DeviceSettings device;
        device.slots = slots;
        context = Context::create(10, device);
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

void what_a_crash_left_out_does_not_hide_what_came() {
    Trace trace("gap");
    Reader reader(*trace.context, trace.recorder);
    trace.context->launched = 7;
    for (u64 i : {0, 1, 3, 4}) put(*trace.context, i, trace.site->id, static_cast<float>(i), false);
    CHECK_EQUAL(reader.drain(false), std::size_t{2});
    // Number 2 was drawn by a kernel that never wrote it; 5 and 6 were launched and never began.
    reader.end();
    CHECK_EQUAL(trace.recorder.health().written, std::uint64_t{4});
    CHECK_EQUAL(trace.recorder.health().dropped, std::uint64_t{3});
    CHECK(trace.recorder.health().last_reason == Status::never_arrived);
    CHECK(trace.lines().back().find("\"values\":[3,0],\"error\":\"the device stopped before") != std::string::npos);
}

/// A lane whose buffers the test fills itself.
struct Deliveries {
    cuda::Lane* lane;
    cuda::Buffers* buffers;

    explicit Deliveries(Trace& trace) : lane(trace.context->lane(nullptr, 7)) {
        CHECK(lane != nullptr);
        buffers = trace.context->buffers_for(*lane, 4096);
        CHECK(buffers != nullptr && buffers->count >= 4);
    }
    u64 place(u64 offset) const { return (u64{lane->index} << 48) | offset; }
    void arrives(u64 pass, u64 nbytes) {
        buffers->headers()[2 * (pass % buffers->count) + 1] = nbytes;
        buffers->headers()[2 * (pass % buffers->count)] = pass + 1;
    }
};

void a_record_waits_for_its_payload() {
    Trace trace("payload", Detail::full);
    Reader reader(*trace.context, trace.recorder);
    Deliveries deliveries(trace);
    put(*trace.context, 0, trace.site->id, 5.0f, false, deliveries.place(64), 0);
    CHECK_EQUAL(reader.drain(false), std::size_t{0});
    const float values[2] = {5.0f, 6.0f};
    std::memcpy(deliveries.buffers->of_pass(0) + 64, values, 8);
    deliveries.arrives(0, 128);
    CHECK_EQUAL(reader.drain(false), std::size_t{1});
    CHECK(trace.lines()[0].find("\"payload\":{\"file\":\"payload.") != std::string::npos);
    CHECK(trace.lines()[0].find("\"offset\":64,\"nbytes\":8") != std::string::npos);
    // A later pass has taken the buffer: the record is written without, and that is counted.
    const u64 later = deliveries.buffers->count;
    deliveries.arrives(later, 128);
    put(*trace.context, 1, trace.site->id, 6.0f, false, deliveries.place(64), 1);
    deliveries.arrives(1, 128);
    deliveries.arrives(later + 1, 128);
    CHECK_EQUAL(reader.drain(false), std::size_t{1});
    CHECK(trace.lines()[1].find("\"payload\"") == std::string::npos);
    CHECK_EQUAL(trace.recorder.health().payloads_dropped, std::uint64_t{1});
    CHECK_EQUAL(trace.recorder.health().dropped, std::uint64_t{0});
    // One whose delivery never comes is written at the end.
    put(*trace.context, 2, trace.site->id, 7.0f, false, deliveries.place(64), later + 9);
    CHECK_EQUAL(reader.drain(false), std::size_t{0});
    CHECK_EQUAL(reader.drain(true), std::size_t{1});
    CHECK_EQUAL(trace.recorder.health().payloads_dropped, std::uint64_t{2});
}

void a_pass_is_written_once_and_its_buffer_free_then() {
    Trace trace("pass", Detail::full);
    Reader reader(*trace.context, trace.recorder);
    Deliveries deliveries(trace);
    for (u64 i = 0; i < 3; ++i) {
        const float values[2] = {static_cast<float>(i), static_cast<float>(i) + 1.0f};
        std::memcpy(deliveries.buffers->of_pass(0) + 256 * i, values, 8);
        put(*trace.context, i, trace.site->id, values[0], false, deliveries.place(256 * i), 0);
    }
    deliveries.arrives(0, 768);
    CHECK_EQUAL(deliveries.buffers->taken()[0], u64{0});
    CHECK_EQUAL(reader.drain(false), std::size_t{3});
    CHECK_EQUAL(deliveries.buffers->taken()[0], u64{1});
    CHECK_EQUAL(*trace.context->read(), u64{3});
    // The device writes over it: what has been written stays.
    std::memset(deliveries.buffers->of_pass(0), 0xff, 768);
    const auto lines = trace.lines();
    CHECK_EQUAL(lines.size(), std::size_t{3});
    for (u64 i = 0; i < 3; ++i) {
        const std::string& line = lines[i];
        CHECK(line.find("\"offset\":" + std::to_string(256 * i) + ",\"nbytes\":8") != std::string::npos);
        const std::size_t at = line.find("\"file\":\"") + 8;
        std::FILE* file = std::fopen(line.substr(at, line.find('"', at) - at).c_str(), "rb");
        CHECK(file != nullptr);
        float found[2] = {};
        CHECK(std::fseek(file, static_cast<long>(256 * i), SEEK_SET) == 0 && std::fread(found, 4, 2, file) == 2);
        std::fclose(file);
        CHECK_EQUAL(found[0], static_cast<float>(i));
        CHECK_EQUAL(found[1], static_cast<float>(i) + 1.0f);
    }
    // Passes that were stepped over are waited for by nobody either.
    put(*trace.context, 3, trace.site->id, 9.0f, false, deliveries.place(0), 3);
    deliveries.arrives(3, 768);
    CHECK_EQUAL(reader.drain(false), std::size_t{1});
    for (u64 pass = 0; pass < 4; ++pass) CHECK_EQUAL(deliveries.buffers->taken()[pass], pass + 1);
}

void larger_passes_leave_the_smaller_ones_where_they_are() {
    Trace trace("growing", Detail::full);
    Reader reader(*trace.context, trace.recorder);
    Deliveries deliveries(trace);
    const float values[2] = {1.0f, 2.0f};
    std::memcpy(deliveries.buffers->of_pass(0), values, 8);
    put(*trace.context, 0, trace.site->id, 1.0f, false, deliveries.place(0), 0);
    deliveries.arrives(0, 256);
    cuda::Buffers* larger = trace.context->buffers_for(*deliveries.lane, 1u << 20);
    CHECK(larger != nullptr && larger != deliveries.buffers && larger->older == deliveries.buffers);
    put(*trace.context, 1, trace.site->id, 2.0f, false, deliveries.place(0), 1);
    larger->headers()[2 * 1 + 1] = 256;
    larger->headers()[2 * 1] = 2;
    CHECK_EQUAL(reader.drain(false), std::size_t{2});
    CHECK(trace.recorder.health().complete());
    for (const std::string& line : trace.lines()) CHECK(line.find("\"payload\"") != std::string::npos);
}

void records_do_not_wait_for_ever_for_payloads() {
    Trace trace("pressed", Detail::full, 64);
    Reader reader(*trace.context, trace.recorder);
    Deliveries deliveries(trace);
    const auto start = std::chrono::steady_clock::now();
    // An engine that ends no pass: no delivery comes. While the ring has room the records wait, then they come without.
    for (u64 i = 0; i < 40; ++i) put(*trace.context, i, trace.site->id, 1.0f, false, deliveries.place(256 * i), 0);
    CHECK_EQUAL(reader.drain(false), std::size_t{0});
    for (u64 i = 40; i < 200; ++i) {
        put(*trace.context, i, trace.site->id, 1.0f, false, deliveries.place(256 * i), 0);
        (void)reader.drain(false);
    }
    reader.end();
    CHECK_EQUAL(trace.recorder.health().written, std::uint64_t{200});
    CHECK_EQUAL(trace.recorder.health().dropped, std::uint64_t{0});
    CHECK_EQUAL(trace.recorder.health().payloads_dropped, std::uint64_t{200});
    // Of the first it is told at once, of the others once a second at most, of all at the end.
    const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(std::chrono::steady_clock::now() - start).count();
    const auto lines = trace.lines();
    std::size_t told = 0;
    for (const std::string& line : lines) told += line.find("orch_log.dropped") != std::string::npos;
    CHECK(told >= 2 && told <= 2 + static_cast<std::size_t>(seconds));
    CHECK(lines.back().find("\"orch_log.dropped\"") != std::string::npos && lines.back().find("\"values\":[0,200]") != std::string::npos);
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
    // The step is no part of a site: an engine that counts its passes itself would use up all sites.
    const cuda::Site* stepping = sites.find_or_add(Event("logits", 0).step(1), Type::f32);
    CHECK(stepping != nullptr && stepping != trace.site);
    CHECK(sites.find_or_add(Event("logits", 0).step(2), Type::f32) == stepping);
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
    what_a_crash_left_out_does_not_hide_what_came();
    a_record_waits_for_its_payload();
    a_pass_is_written_once_and_its_buffer_free_then();
    larger_passes_leave_the_smaller_ones_where_they_are();
    records_do_not_wait_for_ever_for_payloads();
    sites_are_told_apart();
    std::printf("%d checks\n", check::checks);
    return check::finish();
}
