#pragma once

#include <torch/types.h>

#include "models/config.h"

namespace foregate::engine {

/// Floating-point operations of the matrix products that routing one token takes, in a text of
/// `length` tokens: those of attention over half the text on average, none in the last MoE layer's
/// experts and behind it.
double routing_flops_per_token(const models::ModelConfig& config, double length);

/// Operations a second of a large square matrix product on random values, measured.
double measured_gemm_rate(torch::Device device, torch::ScalarType dtype);

}  // namespace foregate::engine
