// A disk that fills up: the program goes on, the loss is counted and told, and when there is room again so is logging.
//
//     disk_full FOLDER       a small file system of its own, otherwise empty
#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>

#include <vector>

#include "check.hpp"
#include "json.hpp"
#include "orch_log.hpp"

namespace {

using orch_log::Event;
using orch_log::Status;

const std::vector<float> values(900, 0.5f);

orch_log::Settings settings_for(const std::string& path) {
    orch_log::Settings settings;
    settings.path = path;
    settings.team = "full";
    settings.values = 200;
    return settings;
}

/// Every line but the torn ones can be read; how many could and could not.
void count_lines(const std::string& path, std::size_t& whole, std::size_t& torn, std::size_t& told) {
    whole = torn = told = 0;
    for (const std::string& line : check::read_lines(path)) {
        if (line.empty()) continue;
        ++(json::is_valid(line) ? whole : torn);
        told += json::field(line, "checkpoint") == "orch_log.dropped";
    }
}

void full_disk(const std::string& folder) {
    const std::string filler = folder + "/filler";
    std::ofstream(filler) << std::string(64 << 10, 'x');
    const std::string path = folder + "/full.jsonl";
    orch_log::Recorder recorder;
    CHECK(recorder.open(settings_for(path)) == Status::written);
    int lost = 0;
    int written = 0;
    for (int i = 0; i < 2000; ++i) {
        const Status status = recorder.log(Event("x", i), values);
        lost += status == Status::write_failed;
        written += status == Status::written;
    }
    CHECK(lost > 0 && written > 0);
    CHECK_EQUAL(lost + written, 2000);
    CHECK_EQUAL(recorder.health().dropped, static_cast<std::uint64_t>(lost));
    CHECK_EQUAL(recorder.health().last_errno, ENOSPC);

    unlink(filler.c_str());  // room again
    for (int i = 2000; i < 2010; ++i) written += recorder.log(Event("x", i), values) == Status::written;
    std::size_t whole = 0;
    std::size_t torn = 0;
    std::size_t told = 0;
    count_lines(path, whole, torn, told);
    CHECK_EQUAL(recorder.health().written, static_cast<std::uint64_t>(written));
    CHECK_EQUAL(whole - told, static_cast<std::size_t>(written));
    CHECK(told >= 1);
    const std::vector<std::string> lines = check::read_lines(path);
    CHECK_EQUAL(json::field(lines.back(), "token_idx"), "2009");
    std::printf("%d written, %d lost, %zu half lines, %zu reports\n", written, lost, torn, told);
    recorder.close();
    unlink(path.c_str());
}

void full_payload(const std::string& folder) {
    const std::string path = folder + "/payload.jsonl";
    orch_log::Settings settings = settings_for(path);
    settings.detail = orch_log::Detail::full;
    orch_log::Recorder recorder;
    CHECK(recorder.open(settings) == Status::written);
    const std::vector<double> large(1 << 20);  // larger than the whole disk
    CHECK(recorder.log(Event("large", 0), large) != Status::buffered);
    CHECK_EQUAL(recorder.health().payloads_dropped, 1u);
}

/// SIGXFSZ would end the process.
void file_size_limit(const std::string& folder) {
    struct rlimit before;
    getrlimit(RLIMIT_FSIZE, &before);
    struct rlimit limit = before;
    limit.rlim_cur = 10000;
    CHECK(setrlimit(RLIMIT_FSIZE, &limit) == 0);
    const std::string path = folder + "/limit.jsonl";
    orch_log::Recorder recorder;
    CHECK(recorder.open(settings_for(path)) == Status::written);
    int lost = 0;
    for (int i = 0; i < 50; ++i) lost += recorder.log(Event("x", i), values) == Status::write_failed;
    CHECK(lost > 0);
    CHECK_EQUAL(recorder.health().last_errno, EFBIG);
    sigset_t pending;
    sigpending(&pending);
    CHECK(sigismember(&pending, SIGXFSZ) == 0);
    setrlimit(RLIMIT_FSIZE, &before);
    recorder.close();
    unlink(path.c_str());
}

void always_full() {
    orch_log::Recorder recorder;
    CHECK(recorder.open(settings_for("/dev/full")) == Status::written);
    CHECK(recorder.log(Event("x", 0), values) == Status::write_failed);
    CHECK_EQUAL(recorder.health().last_errno, ENOSPC);
}

/// Neither waits for a reader nor dies by SIGPIPE.
void no_pipes(const std::string& folder) {
    const std::string path = folder + "/pipe.jsonl";
    CHECK(mkfifo(path.c_str(), 0600) == 0);
    orch_log::Recorder recorder;
    CHECK(recorder.open(settings_for(path)) == Status::write_failed);
    unlink(path.c_str());
}

}  // namespace

int main(int argc, char** argv) {
    if (argc != 2) return 2;
    full_disk(argv[1]);
    file_size_limit(argv[1]);
    no_pipes(argv[1]);
    full_payload(argv[1]);
    always_full();
    return check::finish();
}
