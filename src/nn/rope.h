#pragma once

#include <torch/types.h>

#include <cstdint>

#include "nn/rotary.h"

namespace foregate::nn {

/// Cosines and sines of rotary positions.
struct RotaryAngles {
  torch::Tensor cos;  ///< [positions, width / 2]
  torch::Tensor sin;  ///< [positions, width / 2]
};

/// Rotary position embedding: applies a Rotary.
class Rope {
 public:
  Rope(const Rotary& rotary, torch::Device device, torch::ScalarType dtype);

  /// Rotates the first width() elements of each head in place; the rest of a head stays. Angles and
  /// their cosines are taken in float32, multiplied by the factor, then rounded to the compute
  /// dtype.
  void apply(const torch::Tensor& heads,      // [T, n, >= width] compute dtype, the last dimension
                                              // contiguous: may be a part of wider rows
             const torch::Tensor& positions,  // [T] int64, on their device
             int64_t max_position);           // no position is larger

  /// In the compute dtype, for positions up to this one at least.
  const RotaryAngles& angles(int64_t max_position);
  /// Whether all of a head of this size turns, in halves: what kernels do that rotate by the way.
  bool turns_halves_of(int64_t head_dim) const {
    return pairs_ == Rotary::Pairs::kHalves && width_ == head_dim;
  }

 private:
  void grow(int64_t positions);

  int64_t width_;
  Rotary::Pairs pairs_;
  double factor_;
  torch::ScalarType dtype_;
  torch::Tensor inverse_frequency_;  ///< [width / 2] float32
  RotaryAngles angles_;              ///< of the positions so far
};

}  // namespace foregate::nn
