// Many threads, and many processes of many threads, into one trace: no torn line, no lost record.
//
//     threads TRACE PROCESSES THREADS RECORDS        (settings from the environment)
#include <sys/wait.h>
#include <unistd.h>

#include <map>
#include <thread>
#include <vector>

#include "check.hpp"
#include "json.hpp"
#include "orch_log.hpp"

namespace {

/// Records of different lengths, a different one for each thread and call.
void log_from(int process, int thread, int records) {
    std::vector<float> values(static_cast<std::size_t>(1 + 37 * (thread % 20)));
    for (int i = 0; i < records; ++i) {
        for (std::size_t at = 0; at < values.size(); ++at) values[at] = 0.25f * static_cast<float>(i) - static_cast<float>(at);
        const std::string name = "p" + std::to_string(process) + "_t" + std::to_string(thread);
        ORCH_LOG_JSON_TOKEN(name, values.data(), values.size(), "f32", "", i);
    }
}

void run_threads(int process, int threads, int records) {
    std::vector<std::thread> running;
    for (int thread = 0; thread < threads; ++thread) running.emplace_back(log_from, process, thread, records);
    for (std::thread& thread : running) thread.join();
}

}  // namespace

int main(int argc, char** argv) {
    if (argc != 5) return 2;
    const int processes = std::atoi(argv[2]);
    const int threads = std::atoi(argv[3]);
    const int records = std::atoi(argv[4]);
    if (processes <= 1) {
        run_threads(0, threads, records);
    } else {
        // Half of the children inherit an open recorder, half open their own.
        std::vector<pid_t> children;
        for (int process = 0; process < processes; ++process) {
            if (process == processes / 2) ORCH_LOG_JSON("parent", &records, 1, "i32", "");
            const pid_t child = fork();
            if (child == 0) {
                run_threads(process, threads, records);
                std::exit(orch_log::status().complete() ? 0 : 1);
            }
            children.push_back(child);
        }
        for (pid_t child : children) {
            int status = 0;
            waitpid(child, &status, 0);
            CHECK_EQUAL(status, 0);
        }
    }
    CHECK(orch_log::flush() == orch_log::Status::written || processes > 1);
    CHECK(orch_log::status().complete());

    std::map<std::string, int> next;
    std::size_t unexpected = 0;
    for (const std::string& line : check::read_lines(argv[1])) {
        // A process that opens the trace while another's large write is under way sees a half line at its end, and starts
        // with a line end of its own. Readers ignore empty lines.
        if (line.empty()) continue;
        if (!CHECK(json::is_valid(line))) break;
        const std::string name = json::field(line, "checkpoint");
        if (name == "parent") continue;
        // Records of one thread are in order, none is missing, none is there twice.
        if (std::stoi(json::field(line, "token_idx")) != next[name]++) ++unexpected;
    }
    CHECK_EQUAL(unexpected, 0u);
    CHECK_EQUAL(next.size(), static_cast<std::size_t>((processes > 1 ? processes : 1) * threads));
    for (const auto& [name, count] : next) {
        if (!CHECK_EQUAL(count, records)) break;
    }
    return check::finish();
}
