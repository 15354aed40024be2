#pragma once

#include <torch/types.h>

#include <utility>

#include "nn/qkv.h"

namespace foregate::testing {

/// Weights of a small attention layer, and its queries, keys and values on any device.
struct QkvCase {
  nn::AttentionShape shape;
  torch::Tensor projection;
  torch::Tensor bias;
  torch::Tensor query_norm;
  torch::Tensor key_norm;
  torch::Tensor input_norm{};

  /// In the dtype and on the device of x.
  torch::Tensor run(const torch::Tensor& x, const torch::Tensor& positions) const {
    const auto moved = [&](const torch::Tensor& weight) {
      return weight.defined() ? weight.to(x.device(), x.scalar_type()) : weight;
    };
    nn::Rope rope(nn::plain_rotary(shape.head_dim, 1e4), x.device(), x.scalar_type());
    const int64_t last = positions.numel() == 0 ? 0 : positions.max().item<int64_t>();
    return nn::rotated_qkv(x,
                           {moved(projection), moved(bias), moved(query_norm), moved(key_norm),
                            1e-6, moved(input_norm)},
                           shape, rope, positions.to(x.device()), last);
  }
};

}  // namespace foregate::testing
