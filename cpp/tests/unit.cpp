// Everything that can be tested in one process and one thread.
//
//     unit FOLDER
#include <array>
#include <cfenv>
#include <charconv>
#include <cmath>
#include <cstring>
#include <limits>
#include <random>

#include "check.hpp"
#include "json.hpp"
#include "orch_log.hpp"

using orch_log::Event;
using orch_log::Recorder;
using orch_log::Settings;
using orch_log::Status;
using orch_log::TensorView;

namespace {

std::string folder;

template <class Number>
std::string text_of(Number number) {
    char text[128];
    char* end = nullptr;
    if constexpr (std::is_same_v<Number, float>) end = orch_log::detail::put_f32(text, number);
    if constexpr (std::is_same_v<Number, double>) end = orch_log::detail::put_f64(text, number);
    if constexpr (std::is_integral_v<Number>) end = orch_log::detail::put_integer(text, number);
    return {text, end};
}

void numbers_by_hand() {
    CHECK_EQUAL(text_of(0.1f), "0.1");
    CHECK_EQUAL(text_of(-0.0f), "-0.0");
    CHECK_EQUAL(text_of(0.0), "0.0");
    CHECK_EQUAL(text_of(1.0f), "1.0");
    CHECK_EQUAL(text_of(-12.5f), "-12.5");
    CHECK_EQUAL(text_of(16777216.0f), "16777216.0");
    CHECK_EQUAL(text_of(0.001f), "0.001");
    CHECK_EQUAL(text_of(1.17549435e-38f), "1.1754944e-38");
    CHECK_EQUAL(text_of(std::numeric_limits<float>::denorm_min()), "1e-45");
    CHECK_EQUAL(text_of(std::numeric_limits<float>::max()), "3.4028235e38");
    CHECK_EQUAL(text_of(9.5367431640625e-7f), "9.536743e-7");
    CHECK_EQUAL(text_of(0.1), "0.1");
    CHECK_EQUAL(text_of(static_cast<double>(0.1f)), "0.10000000149011612");
    CHECK_EQUAL(text_of(5e-324), "5e-324");
    CHECK_EQUAL(text_of(1.7976931348623157e308), "1.7976931348623157e308");
    CHECK_EQUAL(text_of(123456789012.25), "123456789012.25");
    CHECK_EQUAL(text_of(std::numeric_limits<float>::quiet_NaN()), "\"NaN\"");
    CHECK_EQUAL(text_of(std::numeric_limits<double>::infinity()), "\"Infinity\"");
    CHECK_EQUAL(text_of(-std::numeric_limits<float>::infinity()), "\"-Infinity\"");
    CHECK_EQUAL(text_of(std::numeric_limits<std::int64_t>::min()), "-9223372036854775808");
    CHECK_EQUAL(text_of(std::int64_t{1000000007}), "1000000007");
    CHECK_EQUAL(text_of(std::int64_t{0}), "0");
}

/// Significant digits of a number's text.
std::size_t digits_of(const std::string& text) {
    std::string digits;
    for (char c : text.substr(0, text.find('e'))) {
        if (c >= '0' && c <= '9') digits += c;
    }
    const std::size_t first = digits.find_first_not_of('0');
    return first == std::string::npos ? 0 : digits.find_last_not_of('0') - first + 1;
}

/// Reads back to the same bits, with no more digits than the standard library finds necessary.
template <class Number, class Bits>
bool shortest_and_exact(Bits bits) {
    Number number;
    std::memcpy(&number, &bits, sizeof number);
    if (!std::isfinite(number)) return true;
    const std::string text = text_of(number);
    if (!json::is_valid(text)) return false;
    Number back = 0;
    const auto read = std::from_chars(text.data(), text.data() + text.size(), back);
    char theirs[64];
    const auto end = std::to_chars(theirs, theirs + sizeof theirs, number, std::chars_format::scientific).ptr;
    return read.ptr == text.data() + text.size() && std::memcmp(&back, &number, sizeof back) == 0 &&
           digits_of(text) == digits_of(std::string(theirs, end));
}

void numbers_read_back() {
    std::mt19937_64 random(3);
    std::size_t wrong = 0;
    for (int i = 0; i < 400000; ++i) wrong += !shortest_and_exact<float>(static_cast<std::uint32_t>(random()));
    for (std::uint32_t power = 0; power < 256; ++power) {
        for (std::uint32_t near : {0u, 1u, 0x7fffffu}) wrong += !shortest_and_exact<float>(power << 23 | near);
    }
    for (int i = 0; i < 400000; ++i) {
        std::uint64_t bits = random();
        if (i % 2 == 0) bits = (bits & 0x800fffffffffffffu) | ((1023 - 60 + random() % 120) << 52);
        wrong += !shortest_and_exact<double>(bits);
    }
    for (std::uint64_t power = 0; power < 2047; ++power) {
        for (std::uint64_t near : {std::uint64_t{0}, std::uint64_t{1}, std::uint64_t{0xfffffffffffff}}) {
            wrong += !shortest_and_exact<double>(power << 52 | near);
        }
    }
    CHECK_EQUAL(wrong, 0u);
}

void halves_widen() {
    // All 65,536 against the definition of binary16.
    std::size_t wrong = 0;
    for (unsigned bits = 0; bits < 65536; ++bits) {
        const int exponent = static_cast<int>(bits >> 10 & 31);
        const double fraction = bits & 1023;
        double expected = exponent == 0 ? std::ldexp(fraction, -24) : std::ldexp(1024 + fraction, exponent - 25);
        if (exponent == 31) expected = fraction == 0 ? HUGE_VAL : NAN;
        if ((bits & 0x8000) != 0) expected = -expected;
        const double widened = orch_log::detail::widen_f16(static_cast<std::uint16_t>(bits));
        wrong += !(std::isnan(expected) ? std::isnan(widened)
                                        : widened == expected && std::signbit(widened) == std::signbit(expected));
    }
    CHECK_EQUAL(wrong, 0u);
    CHECK_EQUAL(orch_log::detail::widen_f8_e4m3(0x7e), 448.0f);
    CHECK_EQUAL(orch_log::detail::widen_f8_e4m3(0x81), -0.001953125f);
    CHECK(std::isnan(orch_log::detail::widen_f8_e4m3(0x7f)));
    CHECK_EQUAL(orch_log::detail::widen_f8_e5m2(0x7b), 57344.0f);
    CHECK_EQUAL(orch_log::detail::widen_f8_e5m2(0xfc), -HUGE_VALF);
    CHECK_EQUAL(orch_log::detail::widen_bf16(0xc049), -3.140625f);
}

void filters() {
    using orch_log::detail::Filter;
    const auto passes = [](const char* globs, const char* name) {
        Filter filter;
        return filter.assign(globs) && filter.passes(name);
    };
    CHECK(passes("", "x") && passes(" , ,!", "x"));
    CHECK(passes("layer_*_q", "layer_10_q") && !passes("layer_*_q", "layer_10_q_rope"));
    CHECK(passes("*a*b*c", "xxaxxbxxbxc") && !passes("*a*b*c", "xxaxxcxxb"));
    CHECK(!passes("layer_?_q", "layer_10_q") && passes("l?gits", "logits"));
    CHECK(passes("layer_*_output, logits, !layer_1?_*", "layer_3_output"));
    CHECK(!passes("layer_*_output, logits, !layer_1?_*", "layer_12_output"));
    CHECK(!passes("layer_*_output, logits, !layer_1?_*", "embedding"));
    CHECK(passes("logits", "tokens") && passes("!*", "tokens") && !passes("! tokens", "tokens"));

    using orch_log::detail::TokenSet;
    TokenSet set;
    std::string_view bad;
    CHECK(set.assign("0-3, 7, 20-", bad));
    CHECK(set.overlaps(2, 1) && set.overlaps(5, 3) && set.overlaps(1000, 1) && !set.overlaps(4, 3) && !set.overlaps(8, 1));
    CHECK(set.overlaps(INT64_MAX, UINT64_MAX) && set.overlaps(0, 0));
    for (const char* text : {"x", "3-1", "-3", "1-2-3", "99999999999999999999"}) CHECK(!set.assign(text, bad) && !bad.empty());
    TokenSet all;
    CHECK(all.overlaps(12, 1));
}

void sizes() {
    using orch_log::detail::parse_bytes;
    std::uint64_t bytes = 0;
    CHECK(parse_bytes("4096", bytes) && bytes == 4096);
    CHECK(parse_bytes(" 64K", bytes) && bytes == 65536);
    CHECK(parse_bytes("2 GiB", bytes) && bytes == std::uint64_t{2} << 30);
    CHECK(parse_bytes("1tb", bytes) && bytes == std::uint64_t{1} << 40);
    for (const char* text : {"", "K", "-1", "1.5M", "1X", "99999999T", "18446744073709551616", "1K1"}) {
        CHECK(!parse_bytes(text, bytes));
    }
}

/// A recorder with settings of the test's own, and what it has written.
struct Trace {
    explicit Trace(const char* name, void (*change)(Settings&) = nullptr) : path(folder + "/" + name + ".jsonl") {
        Settings settings;
        settings.path = path;
        settings.team = "unit";
        settings.detail = orch_log::Detail::values;
        settings.truncate = true;
        if (change != nullptr) change(settings);
        CHECK(recorder.open(settings) == Status::written);
    }
    std::string last() const {
        const auto lines = check::read_lines(path);
        return lines.empty() ? "" : lines.back();
    }
    std::string path;
    Recorder recorder;
};

void records() {
    Trace trace("records");
    const std::vector<float> values = {0.1f, -2.0f, 3.0f};
    CHECK(trace.recorder.log(Event("logits", 7), values) == Status::written);
    CHECK_EQUAL(trace.last(), "{\"checkpoint\":\"logits\",\"team\":\"unit\",\"token_idx\":7,\"dtype\":\"f32\",\"shape\":\"[3]\",\"values\":[0.1,-2.0,3.0]}");
    Event event("x", -1);
    event.shape({3, 1}).dtype("Q4_1").n_tokens(2).step(0).seq(1).occurrence(2).token_axis(1).shard({0, 2, 1, 0, 2});
    event.op("MUL").src({"a", "b"}).source("s").location("f.cpp", 3);
    CHECK(trace.recorder.log(event, values) == Status::written);
    CHECK_EQUAL(trace.last(),
                "{\"checkpoint\":\"x\",\"team\":\"unit\",\"token_idx\":-1,\"dtype\":\"q4_1\",\"shape\":\"[3,1]\",\"values\":[0.1,-2.0,3.0],"
                "\"n_tokens\":2,\"step\":0,\"seq\":1,\"occurrence\":2,\"token_axis\":1,\"rank\":0,\"world\":2,"
                "\"shard\":{\"axis\":1,\"index\":0,\"count\":2},\"op\":\"MUL\",\"src\":[\"a\",\"b\"],\"source\":\"s\",\"file\":\"f.cpp\",\"line\":3}");
    // A dtype that would make the numbers be misread, or break the line, is not written.
    for (const char* dtype : {"f64", "i8", "q4\"1", "a_name_that_is_too_long"}) {
        CHECK(trace.recorder.log(Event("x", 0).dtype(dtype), values) == Status::written);
        CHECK_EQUAL(json::field(trace.last(), "dtype"), "f32");
    }
    CHECK(trace.recorder.log(Event("x", 0).dtype("BFloat16"), values) == Status::written);
    CHECK_EQUAL(json::field(trace.last(), "dtype"), "bf16");
    for (const char* shape : {"", "896", "[-1]", "[1,]", "[1\"]", "[1 2]", "[99999999999999999999999]"}) {
        CHECK(trace.recorder.log(Event("x", 0).shape_text(shape), values) == Status::written);
        CHECK_EQUAL(json::field(trace.last(), "shape"), "[3]");
    }
    CHECK(trace.recorder.log(Event("x", 0).shape_text("[1, 896]"), values) == Status::written);
    CHECK_EQUAL(json::field(trace.last(), "shape"), "[1, 896]");
}

void names_are_made_safe() {
    Trace trace("names", [](Settings& settings) { settings.team = "a \"team\"\n"; });
    const float one[] = {1.0f};
    const std::string name = std::string("a\"b\\c\n\x01") + '\0' + "\xc3\xa9\xff\xc0\xaf\xed\xa0\x80\xf0\x9f\x98\x80";
    CHECK(trace.recorder.log(Event(name, 0), one) == Status::written);
    const std::string line = trace.last();
    CHECK(json::is_valid(line));
    const std::string bad = "\xef\xbf\xbd";
    CHECK(line.find("\"a\\\"b\\\\c\\u000a\\u0001\\u0000\xc3\xa9" + bad + bad + bad + bad + bad + bad + "\xf0\x9f\x98\x80\"") != std::string::npos);
    CHECK(line.find("\"team\":\"a \\\"team\\\"\\u000a\"") != std::string::npos);
    // The longest that a record can be asked for: every byte of every text needs an escape.
    const std::string long_name(100000, '\x01');
    CHECK(trace.recorder.log(Event(long_name, 0).op(long_name).source(long_name).src({long_name, long_name}), one) == Status::written);
    CHECK(json::is_valid(trace.last()));
    CHECK(trace.last().size() > 3000000);
}

void containers_and_types() {
    Trace trace("containers");
    Recorder& recorder = trace.recorder;
    const double f64[] = {0.1, 1e300};
    CHECK(recorder.log(Event("c array", 0), f64) == Status::written);
    CHECK_EQUAL(json::field(trace.last(), "values"), "[0.1,1e300]");
    CHECK_EQUAL(json::field(trace.last(), "dtype"), "f64");
    CHECK(recorder.log(Event("array", 0), std::array<std::int8_t, 2>{-128, 127}) == Status::written);
    CHECK_EQUAL(json::field(trace.last(), "values"), "[-128,127]");
    CHECK(recorder.log(Event("u64", 0), std::vector<std::uint64_t>{UINT64_MAX}) == Status::written);
    CHECK_EQUAL(json::field(trace.last(), "values"), "[18446744073709551615]");
    CHECK(recorder.log(Event("long", 0), std::vector<long>{-5}) == Status::written);
    CHECK_EQUAL(json::field(trace.last(), "dtype"), "i64");
    const bool flags[] = {true, false};
    CHECK(recorder.log(Event("bool", 0), flags) == Status::written);
    CHECK_EQUAL(json::field(trace.last(), "values"), "[1,0]");
    CHECK(recorder.log(Event("f16", 0), std::vector<orch_log::f16>{{0x3c00}, {0x8001}, {0x7e00}}) == Status::written);
    CHECK_EQUAL(json::field(trace.last(), "values"), "[1.0,-5.9604645e-8,\"NaN\"]");
    CHECK(recorder.log(Event("bf16", 0), std::vector<orch_log::bf16>{{0x4049}}) == Status::written);
    CHECK_EQUAL(json::field(trace.last(), "values"), "[3.140625]");
    struct Span {
        const float* begin_;
        std::size_t size_;
        const float* data() const { return begin_; }
        std::size_t size() const { return size_; }
    };
    const float values[] = {1, 2, 3};
    CHECK(recorder.log(Event("span", 0), Span{values, 2}) == Status::written);
    CHECK_EQUAL(json::field(trace.last(), "values"), "[1.0,2.0]");
    CHECK(recorder.log(Event("empty", 0), std::vector<float>()) == Status::written);
    CHECK_EQUAL(json::field(trace.last(), "shape"), "[0]");
    CHECK_EQUAL(json::field(trace.last(), "values"), "[]");
    CHECK(recorder.log(Event("null and empty", 0), TensorView<float>(nullptr, 0)) == Status::written);
    // Any alignment: packed weights are not aligned.
    unsigned char packed[13] = {};
    const float third = 1.0f / 3;
    std::memcpy(packed + 1, &third, 4);
    CHECK(recorder.log_raw(Event("odd", 0), orch_log::detail::make_view(packed + 1, orch_log::Type::f32, {3}, nullptr)) == Status::written);
    CHECK_EQUAL(json::field(trace.last(), "values"), "[0.33333334,0.0,0.0]");
#if defined(__FLT16_MAX__)
    const _Float16 half[] = {static_cast<_Float16>(0.5f)};
    CHECK(recorder.log(Event("_Float16", 0), half) == Status::written);
    CHECK_EQUAL(json::field(trace.last(), "dtype"), "f16");
#endif
}

void strides() {
    Trace trace("strides", [](Settings& settings) { settings.detail = orch_log::Detail::full; });
    std::vector<std::int32_t> data(24);
    for (int i = 0; i < 24; ++i) data[static_cast<std::size_t>(i)] = i;
    const auto values = [&](const TensorView<std::int32_t>& view) {
        CHECK(trace.recorder.log(Event("s", 0), view) == Status::written);
        return json::field(trace.last(), "values");
    };
    CHECK_EQUAL(values({data.data(), {2, 3}}), "[0,1,2,3,4,5]");
    CHECK_EQUAL(values({data.data(), {3, 2}, {1, 3}}), "[0,3,1,4,2,5]");
    CHECK_EQUAL(values({data.data() + 7, {4}, {-2}}), "[7,5,3,1]");
    CHECK_EQUAL(values({data.data() + 3, {2, 2}, {0, 1}}), "[3,4,3,4]");
    CHECK_EQUAL(values({data.data(), {3, 2, 4}, {4, 12, 1}}), "[0,1,2,3,12,13,14,15,4,5]");
    CHECK_EQUAL(values({data.data() + 5, orch_log::Shape{}, orch_log::Strides{}}), "[5]");
    CHECK_EQUAL(values({data.data(), {0, 5}, {99, 77}}), "[]");
    // The payload is contiguous whatever the view was: the last but one record, 3 × 2 × 4 of them.
    const std::string line = check::read_lines(trace.path)[4];
    const std::string bytes = check::read_file(folder + "/" + json::field(line, "file"));
    const std::size_t offset = std::stoul(json::field(line, "offset"));
    CHECK_EQUAL(json::field(line, "nbytes"), "96");
    CHECK_EQUAL(offset % 64, 0u);
    std::int32_t stored[24];
    std::memcpy(stored, bytes.data() + offset, sizeof stored);
    CHECK(stored[0] == 0 && stored[4] == 12 && stored[8] == 4 && stored[23] == 23);
}

void refusals() {
    Trace trace("refusals");
    Recorder& recorder = trace.recorder;
    const float one[] = {1.0f};
    CHECK(recorder.log(Event("null", 0), TensorView<float>(nullptr, 3)) == Status::invalid_argument);
    CHECK(recorder.log(Event("axes", 0), TensorView<float>(one, {1, 1, 1, 1, 1, 1, 1, 1, 1})) == Status::invalid_argument);
    CHECK(recorder.log(Event("strides", 0), TensorView<float>(one, {1}, {1, 1})) == Status::invalid_argument);
    CHECK(recorder.log(Event("overflow", 0), TensorView<float>(one, {SIZE_MAX, SIZE_MAX}, {0, 0})) == Status::invalid_argument);
    CHECK(recorder.log(Event("shape", 0).shape(std::vector<int>{-1}), one) == Status::invalid_argument);
    CHECK_EQUAL(recorder.health().dropped, 5u);
    CHECK(!recorder.health().complete() && recorder.health().last_reason == Status::invalid_argument);
    CHECK_EQUAL(json::field(trace.last(), "checkpoint"), "orch_log.dropped");
    CHECK_EQUAL(json::field(trace.last(), "values"), "[5,0]");
    CHECK(recorder.log(Event("fine", 0), one) == Status::written);
    CHECK_EQUAL(json::field(trace.last(), "checkpoint"), "fine");

    Recorder closed;
    CHECK(closed.log(Event("x", 0), one) == Status::off && closed.flush() == Status::off);
    Settings settings;
    settings.path = "/no such folder/run.jsonl";
    CHECK(closed.open(settings) == Status::write_failed && closed.health().last_errno == ENOENT);
    settings.tokens = "3-1";
    CHECK(Recorder().open(settings) == Status::invalid_argument);
}

void settings_apply() {
    Trace none("values", [](Settings& settings) { settings.values = 0; });
    const std::vector<float> many(20, 0.5f);
    CHECK(none.recorder.log(Event("x", 0), many) == Status::written);
    CHECK_EQUAL(json::field(none.last(), "values"), "[]");
    const std::vector<std::int32_t> ids(20, 7);
    CHECK(none.recorder.log(Event("tokens", 0), ids) == Status::written);  // all of them, always
    CHECK_EQUAL(json::field(none.last(), "values").size(), 41u);
    Trace all("values_all", [](Settings& settings) { settings.values = Settings::all_values; });
    CHECK(all.recorder.log(Event("x", 0), many) == Status::written);
    CHECK_EQUAL(json::field(all.last(), "values").size(), 81u);

    Trace some("filtered", [](Settings& settings) {
        settings.filter = "logits";
        settings.tokens = "3-4";
    });
    CHECK(some.recorder.log(Event("embedding", 3), many) == Status::filtered);
    CHECK(some.recorder.log(Event("logits", 2), many) == Status::filtered);
    CHECK(some.recorder.log(Event("logits", 2).n_tokens(2), many) == Status::written);
    CHECK(some.recorder.log(Event("tokens", 9), ids) == Status::written);
    CHECK(some.recorder.wants("logits", 4) && !some.recorder.wants("logits", 5));
    CHECK(some.recorder.health().complete());

    Trace limited("limited", [](Settings& settings) { settings.max_bytes = 300; });
    int written = 0;
    for (int i = 0; i < 10; ++i) written += limited.recorder.log(Event("logits", i), many) == Status::written;
    CHECK_EQUAL(written, 2);
    CHECK_EQUAL(limited.recorder.health().dropped, 8u);
    CHECK_EQUAL(json::field(limited.last(), "values"), "[1,0]");  // told once, not at every loss
    CHECK(limited.recorder.flush() == Status::written);
    CHECK_EQUAL(json::field(limited.last(), "values"), "[8,0]");
    CHECK_EQUAL(json::field(limited.last(), "error"), "ORCH_LOG_MAX_BYTES is used up");

    Trace timed("timed", [](Settings& settings) { settings.timestamps = true; });
    CHECK(timed.recorder.log(Event("x", 0), many) == Status::written);
    const std::uint64_t ts = std::stoull(json::field(timed.last(), "ts_ns"));
    CHECK(ts > 1700000000000000000u && ts < 4000000000000000000u);
}

void half_lines_are_ended() {
    const std::string path = folder + "/torn.jsonl";
    std::ofstream(path) << "{\"checkpoint\":\"lo";
    Settings settings;
    settings.path = path;
    settings.team = "unit";
    Recorder recorder;
    CHECK(recorder.open(settings) == Status::written);
    const float one[] = {1.0f};
    CHECK(recorder.log(Event("a", 0), one) == Status::written);
    CHECK(recorder.log(Event("b", 0), one) == Status::written);
    const auto lines = check::read_lines(path);
    CHECK_EQUAL(lines.size(), 3u);
    CHECK(!json::is_valid(lines[0]) && json::is_valid(lines[1]) && json::is_valid(lines[2]));
}

void the_caller_notices_nothing() {
    Trace trace("quiet", [](Settings& settings) { settings.detail = orch_log::Detail::stats; });
    errno = 1234;
    std::feclearexcept(FE_ALL_EXCEPT);
    std::fesetround(FE_UPWARD);
    const float special[] = {INFINITY, -INFINITY, NAN, 1e-45f, 3.4e38f, 0.1f};
    CHECK(trace.recorder.log(Event("special", 0), special) == Status::written);
    CHECK_EQUAL(errno, 1234);
    CHECK_EQUAL(std::fegetround(), FE_UPWARD);
    CHECK_EQUAL(std::fetestexcept(FE_ALL_EXCEPT), 0);
    std::fesetround(FE_TONEAREST);
#if defined(__SSE2__)
    const unsigned flush_to_zero = _mm_getcsr() | 0x8040;
    _mm_setcsr(flush_to_zero);
    const orch_log::f16 small[] = {{0x0001}, {0x0000}};
    const float smaller[] = {1e-45f, 0.0f};
    CHECK(trace.recorder.log(Event("f16", 0), small) == Status::written);
    CHECK_EQUAL(json::field(trace.last(), "values"), "[5.9604645e-8,0.0]");
    CHECK(trace.recorder.log(Event("f32", 0), smaller) == Status::written);
    CHECK_EQUAL(json::field(trace.last(), "zero"), "1");
    CHECK_EQUAL(json::field(trace.last(), "max"), "1e-45");
    CHECK_EQUAL(_mm_getcsr(), flush_to_zero);
    _mm_setcsr(0x1f80);
#endif
}

void run_files() {
    Trace trace("described");
    trace.recorder.describe_start();
    const std::string path = folder + "/described.run.json";
    CHECK(json::is_valid(check::read_file(path)));
    orch_log::Run run;
    run.model = {"m \"x\".gguf", "00ff", "llama", "Q4_1", 30};
    const std::int32_t tokens[] = {1, -2};
    const orch_log::RunSetting extra[] = {{"flash_attn", "off"}, {"kv_type", "f16"}};
    run.prompt = "Write a haiku\n";
    run.tokens = tokens;
    run.token_count = 2;
    run.device = "cpu";
    run.threads = 4;
    run.settings = extra;
    run.setting_count = 2;
    CHECK(trace.recorder.describe_run(run) == Status::written);
    const std::string text = check::read_file(path);
    CHECK(json::is_valid(text));
    for (const char* part : {"\"format_version\": 1", "\"tokens\": [1, -2]", "\"threads\": 4", "\"path\": \"m \\\"x\\\".gguf\"",
                             "\"layers\": 30", "\"settings\": {\"flash_attn\": \"off\", \"kv_type\": \"f16\"}"}) {
        CHECK(text.find(part) != std::string::npos);
    }
}

}  // namespace

int main(int argc, char** argv) {
    if (argc != 2) return 2;
    folder = argv[1];
    numbers_by_hand();
    numbers_read_back();
    halves_widen();
    filters();
    sizes();
    records();
    names_are_made_safe();
    containers_and_types();
    strides();
    refusals();
    settings_apply();
    half_lines_are_ended();
    the_caller_notices_nothing();
    run_files();
    return check::finish();
}
