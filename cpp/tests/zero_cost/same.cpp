// One function, with and without logging calls whose arguments would have side effects. Built without ORCH_LOGGING, the
// two must give the same assembly.
#include <cstddef>
#ifdef WITH_LOGGING_CALLS
#include "orch_log.hpp"
#endif

extern int next_token();
extern float* allocate(std::size_t count);
extern const char* next_name();

float step(const float* x, std::size_t n, int token) {
    float sum = 0;
    for (std::size_t i = 0; i < n; ++i) {
        sum += x[i];
#ifdef WITH_LOGGING_CALLS
        ORCH_LOG_JSON_TOKEN(next_name(), allocate(896), static_cast<std::size_t>(next_token()), "f32", "[896]", token++);
        ORCH_LOG_JSON("layer_0_output", x, n++, "f32", "[896]");
        ORCH_LOG_JSON_TOKEN("logits", allocate(n), n, "f32", (orch_log::Shape{n, 1}), next_token());
        ORCH_LOG_EVENT(orch_log::Event(next_name(), next_token()).step(3), orch_log::TensorView<float>(allocate(6), {2, 3}));
        ORCH_LOG_FLUSH();
#endif
    }
    return sum;
}
