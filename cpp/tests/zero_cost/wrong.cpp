// Each of these is a mistake, and must be one with the macros off as with them on. MISTAKE chooses; 0 is none.
#include <string>
#include <vector>

#include "orch_log.hpp"

struct NotANumber {};

void call(const float* x, std::size_t n, int token) {
    NotANumber odd;
    std::vector<NotANumber> odds;
    (void)odd;
    (void)odds;
    (void)x, (void)n, (void)token;
#if MISTAKE == 0
    ORCH_LOG_JSON_TOKEN(std::string("name"), x, n, "f32", (std::vector<int>{1, 2}), token);
    ORCH_LOG_JSON("name", static_cast<const void*>(x), 3, std::string("f32"), "[3]");
#elif MISTAKE == 1
    ORCH_LOG_JSON_TOKEN("name", undeclared, n, "f32", "[1]", token);
#elif MISTAKE == 2
    ORCH_LOG_JSON_TOKEN("name", &odd, n, "f32", "[1]", token);
#elif MISTAKE == 3
    ORCH_LOG_JSON_TOKEN(7, x, n, "f32", "[1]", token);
#elif MISTAKE == 4
    ORCH_LOG_JSON_TOKEN("name", x, 1.5, "f32", "[1]", token);
#elif MISTAKE == 5
    ORCH_LOG_JSON_TOKEN("name", x, n, "f32", "[1]", "token");
#elif MISTAKE == 6
    ORCH_LOG_JSON_TOKEN("name", x, n, "f32", 1.5, token);
#elif MISTAKE == 7
    ORCH_LOG_JSON("name", x, n, "f32");
#elif MISTAKE == 8
    ORCH_LOG_JSON_TOKEN("name", odds, n, "f32", "[1]", token);
#elif MISTAKE == 9
    ORCH_LOG_EVENT(orch_log::Event("name", 0).no_such_field(1), orch_log::TensorView<float>(x, n));
#elif MISTAKE == 10
    ORCH_LOG_EVENT(orch_log::Event("name", 0), n);
#elif MISTAKE == 11
    ORCH_LOG_JSON_TOKEN("name", x, n, 32, "[1]", token);
#endif
}
