// orch_log for programs built on llama.cpp: every checkpoint of the forward pass, by one line.
//
//     #include "orch_log_ggml.hpp"
//     …
//     llama_context_params params = llama_context_default_params();
//     orch_log::capture_llama(model, params);                        // <- this one
//     llama_context* context = llama_init_from_model(model, params);
//
// Build with -DORCH_LOGGING and run with ORCH_LOG_FILE=run.jsonl; without the flag nothing of the line remains in the
// program, without the variable it costs one call of getenv. A callback that `params` already has is called as before.
//
// What happens inside the callback is not in this header but in libggml_preload.so, the library that `parity capture -- PROGRAM`
// preloads, so that all captures name and write alike. It is opened when the line runs: from ORCH_LOG_GGML_LIBRARY where
// that is set, else as the loader finds it (LD_LIBRARY_PATH, rpath). Works with ggml linked statically or
// dynamically; Linux on x86-64.
//
// C++17; needs llama.h and, before glibc 2.34, -ldl.
#ifndef ORCH_LOG_GGML_HPP
#define ORCH_LOG_GGML_HPP

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>

#include "llama.h"

#if defined(ORCH_LOGGING)
#include <dlfcn.h>
#endif

namespace orch_log {

#if !defined(ORCH_LOGGING)

/// Does nothing: built without -DORCH_LOGGING.
inline void capture_llama(const llama_model* /*model*/, llama_context_params& /*params*/) noexcept {}

#else

namespace detail {

/// What the capture library needs to know, in the library's order.
struct GgmlEngine {
    std::size_t size;
    const char* (*get_name)(const ggml_tensor*);
    const char* (*op_desc)(const ggml_tensor*);
    const char* (*type_name)(ggml_type);
    std::size_t (*nbytes)(const ggml_tensor*);
    void (*tensor_get)(const ggml_tensor*, void*, std::size_t, std::size_t);
    bool (*buffer_is_host)(ggml_backend_buffer_t);
    std::size_t flags, src, view_src, data;
    std::int32_t n_head, n_head_kv, key_length, value_length, n_layer;
    const char* architecture;
    ggml_backend_sched_eval_callback next;
    void* next_user_data;
};

/// Said once, at start: the contract of the logger allows one line for settings that cannot be used.
inline void complain(const char* what) noexcept { std::fprintf(stderr, "orch_log: %s; nothing is captured\n", what); }

inline std::string model_text(const llama_model* model, const std::string& key) {
    char text[128];
    const std::int32_t length = llama_model_meta_val_str(model, key.c_str(), text, sizeof text);
    return length > 0 ? std::string(text) : std::string();
}

inline std::int32_t model_number(const llama_model* model, const std::string& key, std::int32_t otherwise) {
    const std::string text = model_text(model, key);
    return text.empty() ? otherwise : static_cast<std::int32_t>(std::strtol(text.c_str(), nullptr, 10));
}

inline void capture_llama(const llama_model* model, llama_context_params& params) {
    const char* asked = std::getenv("ORCH_LOG_FILE");
    if (asked == nullptr || *asked == '\0') return;
    const char* path = std::getenv("ORCH_LOG_GGML_LIBRARY");
    if (path == nullptr || *path == '\0') path = "libggml_preload.so";
    // Never closed: the callback is called as long as there are contexts.
    void* library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (library == nullptr) {
        const char* reason = dlerror();
        return complain(reason == nullptr ? "the capture library cannot be opened" : reason);
    }
    using Begin = const char* (*)(const GgmlEngine*, void**);
    const auto begin = reinterpret_cast<Begin>(dlsym(library, "orch_log_ggml_begin"));
    const auto node = reinterpret_cast<ggml_backend_sched_eval_callback>(dlsym(library, "orch_log_ggml_node"));
    if (begin == nullptr || node == nullptr) return complain("ORCH_LOG_GGML_LIBRARY is no capture library");

    const std::string architecture = model_text(model, "general.architecture");
    const std::int32_t n_head = llama_model_n_head(model);
    const std::int32_t per_head = n_head > 0 ? llama_model_n_embd(model) / n_head : 0;
    GgmlEngine engine{};
    engine.size = sizeof engine;
    engine.get_name = ggml_get_name;
    engine.op_desc = ggml_op_desc;
    engine.type_name = ggml_type_name;
    engine.nbytes = ggml_nbytes;
    engine.tensor_get = ggml_backend_tensor_get;
    engine.buffer_is_host = ggml_backend_buffer_is_host;
    engine.flags = offsetof(ggml_tensor, flags);
    engine.src = offsetof(ggml_tensor, src);
    engine.view_src = offsetof(ggml_tensor, view_src);
    engine.data = offsetof(ggml_tensor, data);
    engine.n_head = n_head;
    engine.n_head_kv = llama_model_n_head_kv(model);
    engine.key_length = model_number(model, architecture + ".attention.key_length", per_head);
    engine.value_length = model_number(model, architecture + ".attention.value_length", per_head);
    engine.n_layer = llama_model_n_layer(model);
    engine.architecture = architecture.c_str();
    engine.next = params.cb_eval;
    engine.next_user_data = params.cb_eval_user_data;

    void* capture = nullptr;
    if (const char* problem = begin(&engine, &capture)) std::fprintf(stderr, "orch_log: %s\n", problem);
    if (capture == nullptr) return;
    params.cb_eval = node;
    params.cb_eval_user_data = capture;
}

}  // namespace detail

/// Captures all passes of the context that will be made of `model` and `params`.
inline void capture_llama(const llama_model* model, llama_context_params& params) noexcept {
    try {
        detail::capture_llama(model, params);
    } catch (...) {
        detail::complain("out of memory");
    }
}

#endif

}  // namespace orch_log

#endif
