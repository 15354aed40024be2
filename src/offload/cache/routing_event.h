#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>

namespace foregate::offload {

/// The experts that a cache chooses from: E of them in each of L MoE layers.
struct ExpertGrid {
  int num_layers = 0;   ///< L
  int num_experts = 0;  ///< E

  size_t size() const { return static_cast<size_t>(num_layers) * num_experts; }
  /// Index of an expert among all, [L][E].
  size_t index(int layer, int expert) const {
    return static_cast<size_t>(layer) * num_experts + static_cast<size_t>(expert);
  }
};

/// No event asks for the expert again.
inline constexpr int64_t kNeverUsed = std::numeric_limits<int64_t>::max();

/// What a step of the engine asks of one MoE layer: the experts that its tokens chose. A step is
/// one token of one sequence, or a piece of a prompt.
struct RoutingEvent {
  int64_t step = 0;  ///< counts steps; never falls from event to event
  int layer = 0;
  std::span<const uint16_t> experts;  ///< each once, in the order of first use
  /// How many of the step's tokens chose each. [experts]; empty: one.
  std::span<const uint32_t> tokens = {};
  /// Number of the next event that asks for each, kNeverUsed without one. [experts]; only Belady's
  /// policies read it, and only a replay knows it.
  std::span<const int64_t> next_use = {};
};

}  // namespace foregate::offload
