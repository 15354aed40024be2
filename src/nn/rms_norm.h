#pragma once

#include <torch/types.h>

namespace foregate::nn {

/// x / sqrt(mean(x^2) + epsilon), in float32, rounded to x's dtype, then times weight
/// (Zhang and Sennrich 2019; the order of rounding is that of transformers).
torch::Tensor rms_norm(const torch::Tensor& x,       // [T, H] compute dtype
                       const torch::Tensor& weight,  // [H] compute dtype
                       double epsilon);              // -> [T, H] compute dtype

/// Rows in front of a norm, for those who normalise them by the way.
struct RowsBeforeNorm {
  torch::Tensor rows{};    ///< [T, H] compute dtype
  torch::Tensor weight{};  ///< [H]; undefined: the rows are taken as they are
  double epsilon = 0;
};

}  // namespace foregate::nn
