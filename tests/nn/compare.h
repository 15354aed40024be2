#pragma once

#include <gtest/gtest.h>
#include <torch/types.h>
#include <torch/utils.h>

#include <vector>

namespace foregate::testing {

/// Numbers of tokens every op is tried with.
inline const std::vector<int64_t> kSizes = {0, 1, 31, 32, 33, 500};

/// How far an op may be from its reference in float64, relative to the largest value.
inline double tolerance_of(torch::ScalarType dtype) {
  if (dtype == torch::kFloat32) return 1e-5;
  return dtype == torch::kFloat16 ? 4e-3 : 3e-2;
}

inline void expect_close(const torch::Tensor& actual, const torch::Tensor& expected,
                         double tolerance) {
  ASSERT_EQ(actual.sizes(), expected.sizes());
  if (actual.numel() == 0) return;
  const torch::Tensor reference = expected.to(torch::kFloat64);
  const double error = (actual.to(torch::kFloat64) - reference).abs().max().item<double>();
  EXPECT_LE(error, tolerance * reference.abs().max().item<double>());
}

/// An op's test, run in each compute dtype.
class DtypeTest : public ::testing::TestWithParam<torch::ScalarType> {
 protected:
  void SetUp() override { torch::manual_seed(1); }
  torch::Tensor random(at::IntArrayRef shape) const { return torch::randn(shape).to(GetParam()); }
  double tolerance() const { return tolerance_of(GetParam()); }
};

inline auto compute_dtypes() {
  return ::testing::Values(torch::kFloat32, torch::kBFloat16, torch::kFloat16);
}

}  // namespace foregate::testing
