#pragma once

#include <torch/types.h>

#include <cstdint>
#include <string>

namespace foregate::predict {

/// One text with its whole routing, as tensors on the CPU. Predictors are handed all of it at once,
/// so that they can batch over tokens; to use only what their lead allows is their duty, and
/// tests/predict/causality_test.cpp holds them to it.
struct RoutedText {
  std::string dataset;
  int64_t sample = 0;           ///< row in its source
  uint64_t hash = 0;            ///< of the token ids: tells whether a text was trained on
  int64_t prompt_tokens = 0;    ///< the first ones; the rest was generated
  torch::Tensor token_ids;      ///< [n] int64
  torch::Tensor experts;        ///< [n, L, k] int64, ranked by gate weight
  torch::Tensor gate_weights;   ///< [n, L, k] float32; undefined if the trace has none
  torch::Tensor router_inputs;  ///< [n, L, H] compute dtype; undefined without features
  torch::Tensor residual;       ///< [n, L, H] bfloat16; undefined without features

  int64_t num_tokens() const { return token_ids.size(0); }
};

}  // namespace foregate::predict
