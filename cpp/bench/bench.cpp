// What a logged record costs, with the floor beside it: a bare write(2) of the same bytes, or a plain read of the same
// memory. And what people use otherwise.
//
//     bench FOLDER        a folder on the disk that a trace would go to
//
// Each line is the median of rounds in which all cases of its group take turns, so that a busy machine slows them alike;
// "× floor" is the median of the rounds' ratios.
#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include <fcntl.h>
#include <unistd.h>

#include "orch_log.hpp"

#if defined(HAVE_SPDLOG)
#include <spdlog/fmt/fmt.h>
#include <spdlog/sinks/basic_file_sink.h>
#include <spdlog/spdlog.h>
#endif
#if defined(HAVE_NLOHMANN)
#include <nlohmann/json.hpp>
#endif

namespace {

using orch_log::Detail;
using orch_log::Event;

std::string folder;

/// A tensor with ordinary numbers, the same each time and the same as in the Rust bench.
template <class T = float>
std::vector<T> tensor(std::size_t count) {
    std::vector<T> values(count);
    std::uint32_t state = 1;
    for (T& value : values) {
        state = state * 1664525u + 1013904223u;
        value = static_cast<T>(static_cast<float>(state >> 8) / (1 << 23) - 1.0f);
    }
    return values;
}

Event event() { return Event("layer_0_output", 7).n_tokens(1).step(3); }

double seconds_of(const std::function<void()>& work) {
    const auto start = std::chrono::steady_clock::now();
    work();
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

double median(std::vector<double> numbers) {
    std::nth_element(numbers.begin(), numbers.begin() + static_cast<std::ptrdiff_t>(numbers.size() / 2), numbers.end());
    return numbers[numbers.size() / 2];
}

/// One case of a group: makes what it needs, and returns what one of `threads` threads does `count` times.
struct Case {
    std::string name;
    std::function<std::function<void(int)>()> make;
};

/// The first case is the floor. Prints nanoseconds a call, all threads together.
void compare(const std::string& group, int threads, int calls, int rounds, const std::vector<Case>& cases) {
    std::vector<std::vector<double>> times(cases.size());
    for (int round = 0; round < rounds; ++round) {
        for (std::size_t i = 0; i < cases.size(); ++i) {
            const std::function<void(int)> work = cases[i].make();
            work(calls / 20 + 1);  // warm
            std::atomic<int> waiting{threads};
            std::vector<std::thread> running;
            double elapsed = 0;
            if (threads == 1) {
                elapsed = seconds_of([&] { work(calls); });
            } else {
                std::atomic<bool> go{false};
                for (int t = 0; t < threads; ++t) {
                    running.emplace_back([&] {
                        --waiting;
                        while (!go) std::this_thread::yield();
                        work(calls);
                    });
                }
                while (waiting > 0) std::this_thread::yield();
                elapsed = seconds_of([&] {
                    go = true;
                    for (std::thread& thread : running) thread.join();
                });
            }
            times[i].push_back(elapsed / calls / threads * 1e9);
        }
    }
    for (std::size_t i = 0; i < cases.size(); ++i) {
        std::vector<double> ratios;
        for (int round = 0; round < rounds; ++round) {
            ratios.push_back(times[i][static_cast<std::size_t>(round)] / times[0][static_cast<std::size_t>(round)]);
        }
        std::printf("%-24s %2d  %-34s %9.0f ns  %6.2f x floor\n", group.c_str(), threads, cases[i].name.c_str(),
                    median(times[i]), median(ratios));
    }
}

// ---- records -------------------------------------------------------------------------------

struct Open {
    explicit Open(Detail detail, std::uint64_t buffer) {
        path = folder + "/run.jsonl";
        orch_log::Settings settings;
        settings.path = path;
        settings.team = "bench";
        settings.detail = detail;
        settings.buffer = buffer;
        settings.truncate = true;
        if (recorder.open(settings) != orch_log::Status::written) std::abort();
    }
    std::string path;
    orch_log::Recorder recorder;
};

Case floor_write(std::size_t count, Detail detail) {
    return {"bare write(2) of the same bytes", [=] {
                std::string line;
                {
                    Open open(detail, 0);
                    (void)open.recorder.log(event(), tensor(count));
                    std::vector<char> text(1 << 20);
                    const int fd = ::open(open.path.c_str(), O_RDONLY);
                    line.assign(text.data(), static_cast<std::size_t>(::read(fd, text.data(), text.size())));
                    ::close(fd);
                }
                const int fd = ::open((folder + "/floor").c_str(), O_WRONLY | O_CREAT | O_APPEND | O_TRUNC, 0644);
                const auto close_it = std::shared_ptr<void>(nullptr, [fd](void*) { ::close(fd); });
                return [=](int calls) {
                    (void)close_it;
                    for (int i = 0; i < calls; ++i) (void)!::write(fd, line.data(), line.size());
                };
            }};
}

Case logged(const char* name, std::size_t count, Detail detail, std::uint64_t buffer) {
    return {name, [=] {
                const auto open = std::make_shared<Open>(detail, buffer);
                const auto values = std::make_shared<std::vector<float>>(tensor(count));
                return [=](int calls) {
                    for (int i = 0; i < calls; ++i) (void)open->recorder.log(event(), *values);
                };
            }};
}

#if defined(HAVE_SPDLOG)
/// Into one file, through fmt; `flush` makes a record as safe against a crash as ours.
Case with_spdlog(const char* name, bool flush) {
    return {name, [=] {
                const auto sink = std::make_shared<spdlog::sinks::basic_file_sink_mt>(folder + "/spdlog", true);
                const auto logger = std::make_shared<spdlog::logger>("bench", sink);
                logger->set_pattern("%v");
                if (flush) logger->flush_on(spdlog::level::info);
                const auto values = std::make_shared<std::vector<float>>(tensor(10));
                return [=](int calls) {
                    for (int i = 0; i < calls; ++i) {
                        logger->info("{{\"checkpoint\":\"{}\",\"team\":\"{}\",\"token_idx\":{},\"dtype\":\"{}\",\"shape\":\"{}\",\"values\":[{}],"
                                     "\"n_tokens\":{},\"step\":{}}}",
                                     "layer_0_output", "bench", 7, "f32", "[10]", fmt::join(*values, ","), 1, 3);
                    }
                };
            }};
}
#endif

#if defined(HAVE_NLOHMANN)
/// An ordered object, dumped, and one write(2) behind a mutex.
Case with_nlohmann() {
    return {"nlohmann/json, mutex, write(2)", [=] {
                const int fd = ::open((folder + "/nlohmann").c_str(), O_WRONLY | O_CREAT | O_APPEND | O_TRUNC, 0644);
                const auto close_it = std::shared_ptr<void>(nullptr, [fd](void*) { ::close(fd); });
                const auto values = std::make_shared<std::vector<float>>(tensor(10));
                const auto mutex = std::make_shared<std::mutex>();
                return [=](int calls) {
                    (void)close_it;
                    for (int i = 0; i < calls; ++i) {
                        const nlohmann::ordered_json record = {
                            {"checkpoint", "layer_0_output"}, {"team", "bench"}, {"token_idx", 7}, {"dtype", "f32"},
                            {"shape", "[10]"},                {"values", *values}, {"n_tokens", 1}, {"step", 3}};
                        const std::string line = record.dump() + "\n";
                        const std::lock_guard<std::mutex> lock(*mutex);
                        (void)!::write(fd, line.data(), line.size());
                    }
                };
            }};
}
#endif

void records() {
    for (int threads : {1, 2, 8}) {
        std::vector<Case> cases = {floor_write(10, Detail::values), logged("orch_log", 10, Detail::values, 0),
                                   logged("orch_log, ORCH_LOG_BUFFER=64K", 10, Detail::values, 64 << 10)};
#if defined(HAVE_SPDLOG)
        cases.push_back(with_spdlog("spdlog", false));
        cases.push_back(with_spdlog("spdlog, flushed", true));
#endif
#if defined(HAVE_NLOHMANN)
        cases.push_back(with_nlohmann());
#endif
        compare("10 values", threads, 4000 / threads, 41, cases);
    }
    for (std::size_t count : {std::size_t{10}, std::size_t{896}, std::size_t{4096}, std::size_t{151936}}) {
        for (int threads : {1, 2, 8}) {
            const int calls = (count > 10000 ? 200 : 2000) / threads;
            compare("stats of " + std::to_string(count), threads, calls, 21,
                    {floor_write(count, Detail::stats), logged("orch_log", count, Detail::stats, 0),
                     logged("orch_log, ORCH_LOG_BUFFER=64K", count, Detail::stats, 64 << 10)});
        }
    }
}

void off() {
    // The compiler must not see through the loop: the tensor's address is told to it anew each time.
    const std::vector<float> values = tensor(896);
    const float* data = values.data();
    compare("no ORCH_LOG_FILE", 1, 1000000, 21,
            {{"empty loop",
              [&] {
                  return [&](int calls) {
                      for (int i = 0; i < calls; ++i) __asm__ volatile("" : "+r"(data));
                  };
              }},
             {"ORCH_LOG_JSON_TOKEN", [&] {
                  return [&](int calls) {
                      for (int i = 0; i < calls; ++i) {
                          __asm__ volatile("" : "+r"(data));
                          ORCH_LOG_JSON_TOKEN("layer_0_output", data, 896, "f32", "[896]", i);
                      }
                  };
              }}});
}

// ---- statistics and sketch ---------------------------------------------------------------------

/// Reads every word once, doing as little with it as a processor can.
#if defined(__x86_64__)
__attribute__((target_clones("avx512f", "avx2", "default")))
#endif
std::uint64_t read_all(const void* data, std::size_t bytes) {
    typedef std::uint64_t Words __attribute__((vector_size(64)));
    Words sums[4] = {};
    for (std::size_t at = 0; at + 256 <= bytes; at += 256) {
        for (std::size_t i = 0; i < 4; ++i) {
            Words words;
            __builtin_memcpy(&words, static_cast<const char*>(data) + at + 64 * i, sizeof words);
            sums[i] += words;
        }
    }
    std::uint64_t total = 0;
    for (const Words& sum : sums) {
        for (int lane = 0; lane < 8; ++lane) total += sum[lane];
    }
    return total;
}

std::atomic<std::uint64_t> sink{0};

/// `tensors` of `count` elements in turn. One is in a cache, as right after it was computed; many are in memory.
void speed(const char* where, orch_log::Type type, std::size_t count, std::size_t tensors, int rounds) {
    const std::size_t bytes = count * orch_log::size_bytes(type);
    std::vector<unsigned char> memory(bytes * tensors);
    const std::vector<float> numbers = tensor(count);
    for (std::size_t i = 0; i < count * tensors; ++i) {
        const float number = numbers[i % count];
        const double wide = static_cast<double>(number);
        std::uint32_t bits;
        __builtin_memcpy(&bits, &number, 4);
        unsigned char* at = memory.data() + i * orch_log::size_bytes(type);
        if (type == orch_log::Type::f32) __builtin_memcpy(at, &number, 4);
        if (type == orch_log::Type::f64) __builtin_memcpy(at, &wide, 8);
        const auto upper = static_cast<std::uint16_t>(type == orch_log::Type::bf16 ? bits >> 16 : (bits >> 16 & 0x8000u) | 0x3400u | (bits >> 13 & 0x3ffu));
        if (orch_log::size_bytes(type) == 2) __builtin_memcpy(at, &upper, 2);
    }
    const int repeats = static_cast<int>(std::max<std::size_t>(1, (std::size_t{1} << 25) / (bytes * tensors)));
    std::vector<double> reads;
    std::vector<double> passes;
    for (int round = 0; round < rounds; ++round) {
        reads.push_back(seconds_of([&] {
            for (int repeat = 0; repeat < repeats; ++repeat) {
                for (std::size_t i = 0; i < tensors; ++i) sink += read_all(memory.data() + i * bytes, bytes);
            }
        }));
        passes.push_back(seconds_of([&] {
            for (int repeat = 0; repeat < repeats; ++repeat) {
                for (std::size_t i = 0; i < tensors; ++i) {
                    const auto view = orch_log::detail::make_view(memory.data() + i * bytes, type, {count}, nullptr);
                    sink += orch_log::detail::summarise(view).stats.zero;
                }
            }
        }));
    }
    std::vector<double> ratios;
    for (int round = 0; round < rounds; ++round) {
        ratios.push_back(reads[static_cast<std::size_t>(round)] / passes[static_cast<std::size_t>(round)]);
    }
    const double total = static_cast<double>(bytes * tensors) * repeats / 1e9;
    std::printf("%-11s %-4s %7zu  plain read %6.1f GB/s  statistics and sketch %6.1f GB/s  %5.2f of it\n", where,
                std::string(orch_log::dtype_name(type)).c_str(), count, total / median(reads), total / median(passes), median(ratios));
}

}  // namespace

int main(int argc, char** argv) {
    if (argc != 2) return 2;
    std::setvbuf(stdout, nullptr, _IOLBF, 0);
    folder = argv[1];
    unsetenv("ORCH_LOG_FILE");
    using orch_log::Type;
    for (Type type : {Type::f32, Type::f16, Type::bf16, Type::f64}) {
        for (std::size_t count : {std::size_t{896}, std::size_t{4096}, std::size_t{151936}}) speed("in cache", type, count, 1, 15);
    }
    for (Type type : {Type::f32, Type::f16, Type::bf16}) speed("from memory", type, 151936, (std::size_t{1} << 30) / (151936 * 4), 9);
    off();
    records();
    return 0;
}
