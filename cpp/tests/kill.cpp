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

struct Count {
    std::size_t records = 0;     // whole ones
    std::size_t half_lines = 0;  // cut off at the end of the file
    std::size_t joined = 0;      // cut off, and the next thread's record on the same line
};

/// True when the trace holds all records whose call had returned, and every line before the last can be read.
///
/// The kernel ends a write that is under way at the next page, and tells the threads of a process one after the other to
/// die: on a machine with many processors another thread, not yet told, can write its record in that moment. It
/// then follows the half record on the same line. Only records that were under way when the signal came can do that, so
/// such a line is among the last ones, one or two for each thread.
bool complete(const std::string& path, const Returned& returned, Count& count) {
    const std::string text = check::read_file(path);
    int seen[threads] = {};
    int records_after_joined = -1;
    for (std::size_t from = 0; from < text.size();) {
        const std::size_t end = text.find('\n', from);
        if (end == std::string::npos) {
            ++count.half_lines;
            break;
        }
        std::string line = text.substr(from, end - from);
        from = end + 1;
        if (!json::is_valid(line)) {
            const std::size_t next = line.find("{\"checkpoint\":", 1);
            if (!CHECK(next != std::string::npos)) return false;
            line = line.substr(next);
            if (!check::that(json::is_valid(line), "a record follows the half one", __FILE__, __LINE__, line)) return false;
            ++count.joined;
            records_after_joined = 0;
        }
        const int thread = json::field(line, "checkpoint")[1] - '0';
        if (!CHECK_EQUAL(std::stoi(json::field(line, "token_idx")), seen[thread])) return false;
        ++seen[thread];
        ++count.records;
        if (records_after_joined >= 0 && !CHECK(++records_after_joined <= 2 * threads)) return false;
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
    Count count;
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
        if (!complete(path, returned, count)) break;
    }
    CHECK_EQUAL(died, rounds);
    CHECK(count.records > static_cast<std::size_t>(rounds));
    std::printf("%d kills, %zu records, none lost; cut off at the end %zu, before another thread's record %zu\n", died,
                count.records, count.half_lines, count.joined);
    return check::finish();
}
