#pragma once

#include <cstdint>
#include <span>

namespace foregate::trace {

/// Puts one decision's experts into the order of their weights, largest first; equal weights keep
/// their order. Weights that are no numbers are left for the checks behind.
void rank_by_weight(std::span<uint16_t> experts, std::span<float> weights);

}  // namespace foregate::trace
