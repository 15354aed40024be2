#pragma once

#include <torch/types.h>

#include <cstdint>

namespace foregate::nn {

/// Cosines and sines of rotary positions.
struct RotaryAngles {
  torch::Tensor cos;  ///< [positions, D/2]
  torch::Tensor sin;  ///< [positions, D/2]
};

/// Rotary position embedding (Su et al. 2021) in the halves layout of transformers: element i of a
/// head is rotated together with element i + D/2 by the angle position * theta^(-2i/D).
class Rope {
 public:
  Rope(int64_t head_dim, double theta, torch::Device device, torch::ScalarType dtype);

  /// Rotates the first `heads` heads of each row in place; the rest of the row (values) stays.
  /// Angles and their cosines are taken in float32, then rounded to the compute dtype.
  void apply(torch::Tensor& rows,             // [T, >= heads * D] contiguous, compute dtype
             const torch::Tensor& positions,  // [T] int64, on the rows' device
             int64_t heads,
             int64_t max_position);  // no position is larger

  /// In the compute dtype, for positions up to this one at least.
  const RotaryAngles& angles(int64_t max_position);

 private:
  void grow(int64_t positions);

  int64_t head_dim_;
  torch::ScalarType dtype_;
  torch::Tensor inverse_frequency_;  ///< [D/2] float32
  RotaryAngles angles_;              ///< of the positions so far
};

}  // namespace foregate::nn
