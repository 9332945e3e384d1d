// Writes the trace that a `.write.txt` of spec/vectors describes; spec/vectors/README.md says how.
//
//     conformance_write NAME.write.txt TRACE.jsonl
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iostream>
#include <sstream>
#include <string>
#include <vector>

#include "orch_log.hpp"

namespace {

[[noreturn]] void fail(const std::string& message) {
    std::fprintf(stderr, "%s\n", message.c_str());
    std::exit(2);
}

/// One record under construction; an `Event` only borrows text, so that lives here.
struct Record {
    std::int64_t token_idx = 0;
    std::string checkpoint, op, source, shape_text, as;
    std::vector<std::string> src;
    orch_log::Type type = orch_log::Type::none;
    std::vector<unsigned char> data;
    bool has_shape = false, has_strides = false, has_shard = false;
    std::vector<std::size_t> shape;
    std::vector<std::ptrdiff_t> strides;
    std::size_t offset = 0;
    bool has_n_tokens = false, has_step = false;
    std::uint64_t n_tokens = 0, step = 0, seq = 0, occurrence = 0;
    std::size_t token_axis = 0;
    orch_log::Shard shard;

    void log(orch_log::Recorder& recorder) const {
        const std::size_t size = orch_log::size_bytes(type);
        orch_log::Shape sizes;
        if (has_shape) {
            for (std::size_t dim : shape) sizes.push(dim);
        } else {
            sizes.push(data.size() / size);
        }
        orch_log::Strides steps;
        for (std::ptrdiff_t step_elements : strides) steps.push(step_elements);
        orch_log::Event event(checkpoint, token_idx);
        std::vector<std::string_view> names(src.begin(), src.end());
        event.seq(seq).occurrence(occurrence).token_axis(token_axis).op(op).source(source).src(names.data(), names.size());
        if (has_n_tokens) event.n_tokens(n_tokens);
        if (has_step) event.step(step);
        if (has_shard) event.shard(shard);
        if (!shape_text.empty()) event.shape_text(shape_text);
        if (!as.empty()) event.dtype(as);
        static const unsigned char nothing = 0;
        const unsigned char* first = data.empty() ? &nothing : data.data() + offset * size;
        const auto status = recorder.log_raw(
            event, orch_log::detail::make_view(first, type, sizes, has_strides ? &steps : nullptr));
        if (status != orch_log::Status::written) fail(checkpoint + ": " + orch_log::describe(status));
    }
};

/// Bit patterns, most significant digit first, to little-endian memory.
std::vector<unsigned char> parse_data(std::istringstream& words) {
    std::vector<unsigned char> bytes;
    for (std::string hex; words >> hex;) {
        for (std::size_t at = hex.size(); at >= 2; at -= 2) {
            bytes.push_back(static_cast<unsigned char>(std::stoul(hex.substr(at - 2, 2), nullptr, 16)));
        }
    }
    return bytes;
}

std::string parse_hex_text(const std::string& hex) {
    std::string text;
    for (std::size_t at = 0; at + 1 < hex.size(); at += 2) text += static_cast<char>(std::stoul(hex.substr(at, 2), nullptr, 16));
    return text;
}

template <class Number>
std::vector<Number> parse_numbers(std::istringstream& words) {
    std::vector<Number> numbers;
    for (Number number; words >> number;) numbers.push_back(number);
    return numbers;
}

class Writer {
public:
    explicit Writer(const char* trace) : trace_(trace) {}

    void line(const std::string& line) {
        if (line.empty() || line[0] == '#') return;
        const std::size_t blank = line.find(' ');
        const std::string key = line.substr(0, blank);
        const std::string text = blank == std::string::npos ? "" : line.substr(blank + 1);
        std::istringstream words(text);
        if (key == "team") team_ = text;
        else if (key == "values") settings_.values = text == "all" ? orch_log::Settings::all_values : std::stoull(text);
        else if (key == "detail") detail(text);
        else if (key == "record" || key == "record_hex") begin(key == "record_hex", text);
        else if (key == "end") record_.log(recorder_);
        else field(key, text, words);
    }

private:
    void detail(const std::string& text) {
        if (!orch_log::detail::parse_detail(text, settings_.detail)) fail("unknown detail " + text);
    }

    void begin(bool hex, const std::string& text) {
        if (!open_) {
            settings_.path = trace_;
            settings_.team = team_;
            settings_.truncate = true;
            if (recorder_.open(settings_) != orch_log::Status::written) fail(trace_ + ": cannot be opened");
            open_ = true;
        }
        record_ = Record();
        const std::size_t blank = text.find(' ');
        record_.token_idx = std::stoll(text.substr(0, blank));
        const std::string name = blank == std::string::npos ? "" : text.substr(blank + 1);
        record_.checkpoint = hex ? parse_hex_text(name) : name;
    }

    void field(const std::string& key, const std::string& text, std::istringstream& words) {
        if (key == "dtype") {
            record_.type = orch_log::type_of_name(text);
            if (record_.type == orch_log::Type::none) fail("no element type " + text);
        } else if (key == "data") {
            record_.data = parse_data(words);
        } else if (key == "shape") {
            record_.shape = parse_numbers<std::size_t>(words);
            record_.has_shape = true;
        } else if (key == "strides") {
            record_.strides = parse_numbers<std::ptrdiff_t>(words);
            record_.has_strides = true;
        } else if (key == "n_tokens") {
            words >> record_.n_tokens;
            record_.has_n_tokens = true;
        } else if (key == "step") {
            words >> record_.step;
            record_.has_step = true;
        } else if (key == "shard") {
            words >> record_.shard.rank >> record_.shard.world >> record_.shard.axis >> record_.shard.index >> record_.shard.count;
            record_.has_shard = true;
        } else if (key == "src") {
            record_.src.push_back(text);
        } else if (key == "offset") {
            words >> record_.offset;
        } else if (key == "seq") {
            words >> record_.seq;
        } else if (key == "occurrence") {
            words >> record_.occurrence;
        } else if (key == "token_axis") {
            words >> record_.token_axis;
        } else if (key == "shape_text") {
            record_.shape_text = text;
        } else if (key == "op") {
            record_.op = text;
        } else if (key == "source") {
            record_.source = text;
        } else if (key == "as") {
            record_.as = text;
        } else {
            fail("unknown instruction " + key);
        }
    }

    std::string trace_;
    std::string team_;
    orch_log::Settings settings_;
    orch_log::Recorder recorder_;
    bool open_ = false;
    Record record_;
};

}  // namespace

int main(int argc, char** argv) {
    if (argc != 3) fail("usage: conformance_write NAME.write.txt TRACE.jsonl");
    std::ifstream input(argv[1], std::ios::binary);
    if (!input) fail(std::string(argv[1]) + ": cannot be read");
    Writer writer(argv[2]);
    for (std::string line; std::getline(input, line);) writer.line(line);
    return 0;
}
