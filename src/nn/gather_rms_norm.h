#pragma once

#include <torch/types.h>

namespace foregate::nn {

/// x / sqrt(mean(x^2) + epsilon) of some tokens' rows, layer by layer: a batch drawn from states
/// that were recorded token by token. Computed in float32 and rounded once.
torch::Tensor gather_rms_norm(const torch::Tensor& states,  // [N, L, H]
                              const torch::Tensor& tokens,  // [B] int64, each below N
                              double epsilon,
                              torch::ScalarType dtype);  // -> [L, B, H] dtype

}  // namespace foregate::nn
