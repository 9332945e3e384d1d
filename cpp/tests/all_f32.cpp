// The two fast paths of f32, one number and four at a time, against the general one, which follows the proof of its
// source step by step: the same text for every f32, or for every STEP-th.
//
//     all_f32 [STEP]        STEP 1, all of them, takes minutes
#include <cstring>

#include "check.hpp"
#include "orch_log/f32_batch.hpp"
#include "orch_log/number.hpp"

int main(int argc, char** argv) {
    const std::uint32_t step = argc > 1 ? static_cast<std::uint32_t>(std::atoi(argv[1])) : 1;
    std::size_t compared = 0;
    std::size_t different = 0;
    const std::uint32_t infinity = 0x7f800000u;
    for (std::uint64_t first = 1; first + 4 * std::uint64_t{step} < infinity; first += 4 * std::uint64_t{step}) {
        char general[256];
        char single[256];
        char batch[256];
        float numbers[4];
        char* general_end = general;
        char* single_end = single;
        for (std::uint32_t i = 0; i < 4; ++i) {
            // Every other number negative; the general path knows no sign.
            const std::uint32_t magnitude = static_cast<std::uint32_t>(first) + i * step;
            const std::uint32_t bits = magnitude | (i % 2) << 31;
            std::memcpy(&numbers[i], &bits, 4);
            if (i % 2 == 1) *general_end++ = '-';
            general_end = orch_log::detail::put_any_f32(general_end, magnitude);
            *general_end++ = ',';
            single_end = orch_log::detail::put_f32(single_end, numbers[i]);
            *single_end++ = ',';
        }
        const char* batch_end = orch_log::detail::put_f32_list(batch, numbers, 4);
        const auto length = static_cast<std::size_t>(general_end - general);
        different += single_end - single != general_end - general || std::memcmp(single, general, length) != 0;
        different += batch_end - batch != general_end - general || std::memcmp(batch, general, length) != 0;
        compared += 4;
    }
    CHECK_EQUAL(different, 0u);
    std::printf("%zu numbers\n", compared);
    return check::finish();
}
