// Without ORCH_LOG_FILE nothing is evaluated, opened or written. Unusable settings cost one line on stderr. With `twenty` that
// many records are logged, and nothing is flushed: what did not fit is told when the program ends.
#include "check.hpp"
#include "orch_log.hpp"

namespace {

int evaluated = 0;

const float* data() {
    static const float values[] = {1.0f};
    ++evaluated;
    return values;
}

}  // namespace

int main(int argc, char** argv) {
    if (argc > 1 && std::string(argv[1]) == "twenty") {
        for (int i = 0; i < 20; ++i) ORCH_LOG_JSON_TOKEN("x", data(), 1, "f32", "[1]", i);
        return 0;
    }
    for (int i = 0; i < 3; ++i) ORCH_LOG_JSON_TOKEN("x", data(), 1, "f32", "[1]", i);
    const int expected = argc > 1 ? std::atoi(argv[1]) : 0;
    CHECK_EQUAL(evaluated, expected);
    const float one[] = {1.0f};
    const auto status = orch_log::log(orch_log::Event("x", 0), one);
    CHECK(status == (expected > 0 ? orch_log::Status::written : orch_log::Status::off));
    CHECK(orch_log::wants("x", 0) == (expected > 0));
    CHECK(orch_log::status().written == static_cast<unsigned>(expected > 0 ? 4 : 0));
    return check::finish();
}
