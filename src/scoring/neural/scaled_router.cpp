#include "scoring/neural/scaled_router.h"

#include "scoring/products.h"

namespace foregate::scoring {

ScaledRouter::ScaledRouter(const LayoutTensors& tensors, int64_t num_experts, int64_t hidden_size)
    : num_experts_(num_experts),
      hidden_size_(hidden_size),
      router_(tensors["router"]),
      gain_(tensors["gain"]) {}

void ScaledRouter::add_logits(int64_t row, std::span<const float* const> states,
                              std::span<float* const> outs) const {
  const float* gain = gain_ + row * hidden_size_;
  const BatchRows gained(states.size(), hidden_size_);
  for (size_t t = 0; t < states.size(); ++t) {
    for (int64_t h = 0; h < hidden_size_; ++h) gained[t][h] = gain[h] * states[t][h];
  }
  add_product(router_ + row * num_experts_ * hidden_size_, num_experts_, hidden_size_,
              gained.vectors(), outs);
}

}  // namespace foregate::scoring
