#pragma once

#include <gtest/gtest.h>
#include <torch/cuda.h>
#include <torch/types.h>
#include <torch/utils.h>

#include "../compare.h"

namespace foregate::testing {

/// An op's test on the first GPU, in each compute dtype; skips where there is none.
class GpuTest : public ::testing::TestWithParam<torch::ScalarType> {
 protected:
  void SetUp() override {
    if (!torch::cuda::is_available()) GTEST_SKIP() << "no CUDA device on this machine";
    torch::manual_seed(1);
  }
  /// Normal values that the dtype holds exactly, on the CPU.
  torch::Tensor random(at::IntArrayRef shape) const { return torch::randn(shape).to(GetParam()); }
  double tolerance() const { return tolerance_of(GetParam()); }
};

inline torch::Tensor gpu(const torch::Tensor& tensor) {
  return tensor.to(torch::kCUDA);
}

/// Rows of a real model and sizes around a warp.
inline const std::vector<int64_t> kRowCounts = {0, 1, 31, 32, 33, 3000};

}  // namespace foregate::testing
