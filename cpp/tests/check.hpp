// The least that a test needs: say what failed, go on, and fail at the end.
#ifndef ORCH_LOG_TESTS_CHECK_HPP
#define ORCH_LOG_TESTS_CHECK_HPP

#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

namespace check {

inline int failures = 0;
inline int checks = 0;

inline bool that(bool ok, const char* what, const char* file, int line, const std::string& detail = "") {
    ++checks;
    if (ok) return true;
    ++failures;
    std::fprintf(stderr, "%s:%d: %s%s%s\n", file, line, what, detail.empty() ? "" : ": ", detail.c_str());
    return false;
}

template <class A, class B>
inline bool equal(const A& a, const B& b, const char* what, const char* file, int line) {
    if (a == b) return that(true, what, file, line);
    std::ostringstream text;
    text << "`" << a << "` is not `" << b << "`";
    return that(false, what, file, line, text.str());
}

/// The exit status of the test, which must have checked something.
inline int finish() {
    if (checks == 0) std::fprintf(stderr, "nothing was checked\n");
    return failures == 0 && checks > 0 ? 0 : 1;
}

inline std::string read_file(const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

/// The lines of a file; what comes after the last line end, if anything, is the last one.
inline std::vector<std::string> read_lines(const std::string& path) {
    std::vector<std::string> lines;
    std::istringstream text(read_file(path));
    for (std::string line; std::getline(text, line);) lines.push_back(line);
    return lines;
}

}  // namespace check

#define CHECK(condition) check::that((condition), #condition, __FILE__, __LINE__)
#define CHECK_EQUAL(a, b) check::equal((a), (b), #a " == " #b, __FILE__, __LINE__)

#endif
