// orch_log: logs an inference engine's tensors without changing, slowing or stopping the engine.
//
//     #include "orch_log.hpp"
//     …
//     ORCH_LOG_JSON_TOKEN("layer_0_output", output, 896, "f32", "[896]", token_idx);
//
// Build with -DORCH_LOGGING and run with ORCH_LOG_FILE=run.jsonl: each call appends one line of JSON.
// Without the flag nothing of the calls remains in the program, their arguments are type-checked and never
// evaluated; without the variable each costs one load and a branch. See README.md for the variables, and
// spec/trace-format.md for what is written.
//
// C++17, no dependencies; `orch_log/` beside this file belongs to it.
#ifndef ORCH_LOG_HPP
#define ORCH_LOG_HPP

#include "orch_log/event.hpp"
#include "orch_log/global.hpp"
#include "orch_log/macro_calls.hpp"
#include "orch_log/recorder.hpp"
#include "orch_log/run.hpp"
#include "orch_log/settings.hpp"
#include "orch_log/status.hpp"
#include "orch_log/view.hpp"

#if !defined(ORCH_LOGGING)

// `sizeof` does not evaluate its operand: that no instruction comes out of it is the language's promise, at
// every optimisation level, and still the call inside must compile.
#define ORCH_LOG_JSON_TOKEN(name, ptr, n, dtype, shape, token_idx) \
    (static_cast<void>(sizeof(::orch_log::detail::log_json((name), (ptr), (n), (dtype), (shape), (token_idx)))))
#define ORCH_LOG_EVENT(event, tensor) (static_cast<void>(sizeof(::orch_log::log((event), (tensor)))))
#define ORCH_LOG_FLUSH() (static_cast<void>(sizeof(::orch_log::flush())))

#else

/// Logs `n` elements at `ptr` as checkpoint `name` at position `token_idx`.
///
/// `ptr` is a pointer to any element type, or a vector, array or span of at least `n` elements. `dtype` is the
/// storage type of the tensor before logging ("f32", "bf16", "q4_0"); with a `void*` it says how to
/// read the memory, and with a `uint16_t*` "f16" and "bf16" do. `shape` is text ("[896]") or a container of
/// sizes. Without a trace the arguments are not evaluated.
#define ORCH_LOG_JSON_TOKEN(name, ptr, n, dtype, shape, token_idx)                                          \
    (::orch_log::global() == nullptr                                                                        \
         ? static_cast<void>(0)                                                                             \
         : static_cast<void>(::orch_log::detail::log_json((name), (ptr), (n), (dtype), (shape), (token_idx))))

/// Logs a tensor with everything that an `orch_log::Event` can say.
#define ORCH_LOG_EVENT(event, tensor)                            \
    (::orch_log::global() == nullptr ? static_cast<void>(0)      \
                                     : static_cast<void>(::orch_log::log((event), (tensor))))

/// Returns when everything that this process logged is on the disk (`fsync`).
#define ORCH_LOG_FLUSH() (static_cast<void>(::orch_log::flush()))

#endif

/// `ORCH_LOG_JSON_TOKEN` at position 0, for tensors that belong to no position.
#define ORCH_LOG_JSON(name, ptr, n, dtype, shape) ORCH_LOG_JSON_TOKEN(name, ptr, n, dtype, shape, 0)

#endif
