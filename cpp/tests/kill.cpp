// SIGKILL at random moments: every record whose call had returned is in the file, and every line before the last
// can be read.
//
//     kill FOLDER ROUNDS
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <random>
#include <thread>
#include <vector>

#include "check.hpp"
#include "json.hpp"
#include "orch_log.hpp"

namespace {

constexpr int threads = 4;

/// Shared with the child: how many calls have returned in each thread. Survives the child's death.
struct Returned {
    std::atomic<int> calls[threads];
};

[[noreturn]] void log_until_killed(const std::string& path, Returned& returned) {
    setenv("ORCH_LOG_FILE", path.c_str(), 1);
    std::vector<std::thread> running;
    for (int thread = 0; thread < threads; ++thread) {
        running.emplace_back([thread, &returned] {
            // From short records to such that span several pages.
            const std::vector<float> values(static_cast<std::size_t>(thread == 3 ? 1200 : 10 + 300 * thread), 1.5f);
            const std::string name = "t" + std::to_string(thread);
            for (int i = 0;; ++i) {
                ORCH_LOG_JSON_TOKEN(name, values, values.size(), "f32", "", i);
                returned.calls[thread].store(i + 1, std::memory_order_release);
            }
        });
    }
    for (std::thread& thread : running) thread.join();
    std::_Exit(1);
}

/// True when the trace holds all records that had returned. `records` counts what was there.
bool complete(const std::string& path, const Returned& returned, std::size_t& records, std::size_t& half_lines) {
    const std::string text = check::read_file(path);
    int seen[threads] = {};
    for (std::size_t from = 0; from < text.size();) {
        const std::size_t end = text.find('\n', from);
        const std::string line = text.substr(from, end == std::string::npos ? end : end - from);
        if (end == std::string::npos) {
            ++half_lines;  // the last one, cut off in the middle of its call
            break;
        }
        if (!CHECK(json::is_valid(line))) return false;
        const int thread = json::field(line, "checkpoint")[1] - '0';
        if (!CHECK_EQUAL(std::stoi(json::field(line, "token_idx")), seen[thread])) return false;
        ++seen[thread];
        ++records;
        from = end + 1;
    }
    for (int thread = 0; thread < threads; ++thread) {
        if (!CHECK(seen[thread] >= returned.calls[thread].load(std::memory_order_acquire))) return false;
    }
    return true;
}

}  // namespace

int main(int argc, char** argv) {
    if (argc != 3) return 2;
    const int rounds = std::atoi(argv[2]);
    void* shared = mmap(nullptr, sizeof(Returned), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (shared == MAP_FAILED) return 2;
    Returned& returned = *new (shared) Returned;
    std::minstd_rand random(20251007);
    std::size_t records = 0;
    std::size_t half_lines = 0;
    int died = 0;
    for (int round = 0; round < rounds; ++round) {
        for (auto& calls : returned.calls) calls.store(0);
        const std::string path = std::string(argv[1]) + "/kill_" + std::to_string(round % 8) + ".jsonl";
        unlink(path.c_str());
        const pid_t child = fork();
        if (child == 0) log_until_killed(path, returned);
        // From before the first record to some thousands of them.
        usleep(static_cast<useconds_t>(random() % 25000));
        kill(child, SIGKILL);
        int status = 0;
        waitpid(child, &status, 0);
        died += WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
        if (!complete(path, returned, records, half_lines)) break;
    }
    CHECK_EQUAL(died, rounds);
    CHECK(records > static_cast<std::size_t>(rounds));
    std::printf("%d kills, %zu records, none lost, %zu half lines at the end\n", died, records, half_lines);
    return check::finish();
}
