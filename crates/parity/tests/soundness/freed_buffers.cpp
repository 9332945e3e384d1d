// Logs what it has freed: buffers of floats are filled, given back, and only then printed as a trace.
//
//     freed_buffers SEED RECORDS VALUES FORMAT NAMES ORDER
//
// FORMAT is printf's, `%f` or `%.9g`; NAMES is the number of checkpoints; ORDER of the frees is `forward`, `backward` or
// `shuffled`. Unlike a logger with a mistake in its exit handler this program cannot crash of it: only the floats are read
// after they were freed. Nothing here is to be mended.
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <numeric>
#include <random>
#include <vector>

int main(int argc, char** argv) {
    if (argc != 7) return 2;
    std::mt19937 random(static_cast<unsigned>(std::atoi(argv[1])));
    const int records = std::atoi(argv[2]), values = std::atoi(argv[3]), names = std::atoi(argv[5]);
    std::vector<float*> buffers;
    std::normal_distribution<float> logit(1.0f, 3.0f);
    for (int i = 0; i < records; ++i) {
        buffers.push_back(static_cast<float*>(std::malloc(sizeof(float) * static_cast<std::size_t>(values))));
        // An engine allocates between two logging calls too.
        if (random() % 3 == 0) static_cast<void>(std::malloc(16 + random() % 200));
        for (int j = 0; j < values; ++j) buffers.back()[j] = logit(random);
    }
    std::vector<int> order(static_cast<std::size_t>(records));
    std::iota(order.begin(), order.end(), 0);
    if (std::strcmp(argv[6], "backward") == 0) std::reverse(order.begin(), order.end());
    if (std::strcmp(argv[6], "shuffled") == 0) std::shuffle(order.begin(), order.end(), random);
    static char output[1 << 20];
    std::setvbuf(stdout, output, _IOFBF, sizeof output);
    for (int i : order) std::free(buffers[static_cast<std::size_t>(i)]);
    for (int i = 0; i < records; ++i) {
        std::printf("{\"checkpoint\":\"%s%d\",\"team\":\"OLD\",\"token_idx\":%d,\"dtype\":\"f32\",\"shape\":\"[151936]\",\"values\":[",
                    names > 1 ? "tensor_" : "logits_", i % names, i / names);
        // The compiler may assume that freed memory is not read; through a volatile pointer it must read it.
        const volatile float* buffer = buffers[static_cast<std::size_t>(i)];
        for (int j = 0; j < values; ++j) {
            if (j > 0) std::putchar(',');
            std::printf(argv[4], static_cast<double>(buffer[j]));
        }
        std::printf("]}\n");
    }
    return 0;
}
