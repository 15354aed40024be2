#pragma once

#include <cstdint>

#include "offload/time/hardware.h"

namespace foregate::offload {

/// What of a model its run time depends on, beside the routing.
struct ModelCost {
  double expert_bytes = 0;  ///< one expert's weights, as they are kept
  double dense_bytes = 0;   ///< weights read for every token beside routed experts, all layers
  int num_layers = 0;       ///< MoE layers, which share the dense bytes
  double bytes_per_weight = 2;

  /// Seconds the device computes in a layer's attention, router and shared expert, for a step of so
  /// many tokens: the larger of reading the weights, multiplying by them, and the floor of a layer.
  double layer_seconds(const HardwareProfile& hardware, int64_t tokens) const;
  /// The same of one expert for so many tokens, without a floor.
  double expert_seconds(const HardwareProfile& hardware, int64_t tokens) const;
};

}  // namespace foregate::offload
