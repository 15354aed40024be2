#include "offload/time/model_cost.h"

#include <algorithm>

namespace foregate::offload {
namespace {

/// Roofline of a product with weights that are read once: two operations a weight and token.
double product_seconds(const HardwareProfile& hardware, double bytes, double bytes_per_weight,
                       int64_t tokens) {
  const double flops = 2 * bytes / bytes_per_weight * static_cast<double>(tokens);
  return std::max(bytes / hardware.device_bytes_per_second, flops / hardware.device_flops);
}

}  // namespace

double ModelCost::layer_seconds(const HardwareProfile& hardware, int64_t tokens) const {
  return std::max(hardware.layer_seconds,
                  product_seconds(hardware, dense_bytes / num_layers, bytes_per_weight, tokens));
}

double ModelCost::expert_seconds(const HardwareProfile& hardware, int64_t tokens) const {
  return product_seconds(hardware, expert_bytes, bytes_per_weight, tokens);
}

}  // namespace foregate::offload
