#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace foregate::scoring {

/// The `count` highest-scored experts, highest first, equals by lowest index; what is no number
/// comes last. `order` [E] is scratch.
void best_experts(std::span<const float> scores,  // [E]
                  size_t count, std::span<int32_t> order,
                  int32_t* experts);  // [count]

}  // namespace foregate::scoring
