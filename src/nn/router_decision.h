#pragma once

#include "nn/router.h"

namespace foregate::nn {

/// route() of logits on the CPU. Everything has been checked.
Routing route_cpu(const torch::Tensor& logits,  // [T, E] float32
                  const RouterSpec& spec, const RouterBiases& biases, int64_t k);

}  // namespace foregate::nn
