// An engine that has the logger from a package.
#include "orch_log.hpp"

int main() {
    const float values[] = {1.0f, 2.0f};
    ORCH_LOG_JSON_TOKEN("logits", values, 2, "f32", "[2]", 7);
    ORCH_LOG_FLUSH();
    return orch_log::status().written == 1 ? 0 : 1;
}
