#pragma once

#include <cstdint>

namespace foregate::trace {

/// Instruction sets that the CPU router kernel is written for; all give the same bits.
enum class RouterIsa { kPortable, kAvx2, kAvx512 };

/// The widest one that this processor has.
RouterIsa best_router_isa();

/// Logits of `tokens` rows of x by `experts` rows of weight, in the order of summation that
/// nn/router.h gives. Rows are contiguous; single-threaded.
void router_logits_kernel(RouterIsa isa,
                          const float* x,       // [tokens, hidden]
                          const float* weight,  // [experts, hidden]
                          float* logits,        // [tokens, experts]
                          int64_t tokens, int64_t experts, int64_t hidden);

}  // namespace foregate::trace
