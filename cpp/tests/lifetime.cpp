// Logging before main, after main, at the end of threads, after a fork, and in threads that are cancelled.
//
//     lifetime TRACE write    logs, as the environment says
//     lifetime TRACE check    what must have come of it
#include <pthread.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstring>
#include <map>
#include <thread>

#include "check.hpp"
#include "json.hpp"
#include "orch_log.hpp"

namespace {

void log_moment(const char* name) {
    const float values[] = {1.0f, 2.0f};
    ORCH_LOG_JSON(name, values, 2, "f32", "[2]");
}

bool writing = true;  // constant: before every constructor

struct Static {
    const char* name;
    explicit Static(const char* moment) : name(moment) { log_moment("static_constructor"); }
    ~Static() {
        if (writing) log_moment(name);
    }
};

// One that is destroyed after everything that the first logging call may have registered, and one before.
Static destroyed_last("static_destructor_last");
Static destroyed_first("static_destructor_first");

struct OfThread {
    ~OfThread() { log_moment("thread_local_destructor"); }
};

/// Made before the thread's first logging call, so destroyed after the logger's own end of thread.
void log_in_thread() {
    static thread_local OfThread late;
    (void)late;
    log_moment("thread");
}

/// `write` is a cancellation point; inside a call that cannot throw, a cancelled thread would end the program.
void* log_until_cancelled(void*) {
    for (;;) {
        log_moment("cancelled");
        pthread_testcancel();
    }
}

void cancelled() {
    for (int i = 0; i < 50; ++i) {
        pthread_t thread;
        pthread_create(&thread, nullptr, log_until_cancelled, nullptr);
        usleep(300);
        pthread_cancel(thread);
        pthread_join(thread, nullptr);
    }
}

void forked() {
    log_moment("before_fork");
    const pid_t child = fork();
    if (child == 0) {
        log_moment("in_child");
        ORCH_LOG_FLUSH();
        std::_Exit(0);  // no exit handler: nothing but the flush saves a buffered record
    }
    int status = 0;
    waitpid(child, &status, 0);
    log_moment("after_fork");
}

volatile sig_atomic_t handled = 0;

/// A handler that logs in the middle of a logging call is turned away, not let in.
void logging_handler(int) {
    handled = handled + 1;
    const float one[] = {1.0f};
    (void)orch_log::log(orch_log::Event("handler", 0), one);
}

void interrupted() {
    struct sigaction action = {};
    action.sa_handler = logging_handler;
    sigaction(SIGALRM, &action, nullptr);
    ualarm(200, 200);
    const std::vector<float> values(5000, 1.0f);
    int i = 0;
    for (; handled < 200; ++i) (void)orch_log::log(orch_log::Event("interrupted", i), values);
    ualarm(0, 0);
}

int check_trace(const char* path) {
    writing = false;
    std::map<std::string, int> count;
    for (const std::string& line : check::read_lines(path)) {
        if (!CHECK(json::is_valid(line))) return check::finish();
        ++count[json::field(line, "checkpoint")];
    }
    CHECK_EQUAL(count["static_constructor"], 2);
    CHECK_EQUAL(count["main"], 1);
    CHECK_EQUAL(count["thread"], 8);
    CHECK_EQUAL(count["thread_local_destructor"], 8);
    CHECK_EQUAL(count["before_fork"], 1);
    CHECK_EQUAL(count["in_child"], 1);
    CHECK_EQUAL(count["after_fork"], 1);
    CHECK_EQUAL(count["atexit"], 1);
    CHECK_EQUAL(count["static_destructor_first"], 1);
    CHECK_EQUAL(count["static_destructor_last"], 1);
    CHECK(count["interrupted"] > 0);
    CHECK(count["cancelled"] > 0);
    return check::finish();
}

}  // namespace

int main(int argc, char** argv) {
    if (argc != 3) return 2;
    if (std::strcmp(argv[2], "check") == 0) {
        // Without ORCH_LOG_FILE, so the static objects of this run have logged nothing.
        return check_trace(argv[1]);
    }
    log_moment("main");
    std::atexit([] { log_moment("atexit"); });
    std::vector<std::thread> threads;
    for (int i = 0; i < 8; ++i) threads.emplace_back(log_in_thread);
    for (std::thread& thread : threads) thread.join();
    cancelled();
    forked();
    interrupted();
    return 0;
}
