#include "nn/rope.h"

#include "compare.h"

namespace foregate {
namespace {

using testing::expect_close;

// transformers' rotate_half form, in float64.
torch::Tensor reference(const torch::Tensor& rows, const torch::Tensor& positions, int64_t heads,
                        int64_t head_dim, double theta) {
  const auto options = torch::TensorOptions().dtype(torch::kFloat64);
  const torch::Tensor frequency =
      torch::pow(theta, -torch::arange(0, head_dim, 2, options) / head_dim);
  const torch::Tensor half_angle = torch::outer(positions.to(torch::kFloat64), frequency);
  const torch::Tensor angle = torch::cat({half_angle, half_angle}, -1).unsqueeze(1);
  torch::Tensor result = rows.to(torch::kFloat64).clone();
  torch::Tensor turned =
      result.narrow(1, 0, heads * head_dim).view({rows.size(0), heads, head_dim});
  const std::vector<torch::Tensor> halves = turned.chunk(2, -1);
  const torch::Tensor swapped = torch::cat({-halves[1], halves[0]}, -1);
  turned.copy_(turned * angle.cos() + swapped * angle.sin());
  return result;
}

class RopeTest : public testing::DtypeTest {};

TEST_P(RopeTest, RotatesOnlyTheFirstHeads) {
  for (const int64_t tokens : testing::kSizes) {
    for (const int64_t head_dim : {2, 16, 34}) {
      nn::Rope rope(head_dim, 1e4, torch::kCPU, GetParam());
      torch::Tensor rows = random({tokens, 5 * head_dim});
      const torch::Tensor positions = torch::arange(tokens) % 97;
      const torch::Tensor expected = reference(rows, positions, 3, head_dim, 1e4);
      const torch::Tensor values = rows.narrow(1, 3 * head_dim, 2 * head_dim).clone();
      rope.apply(rows, positions, 3, 96);
      expect_close(rows, expected, tolerance());
      EXPECT_TRUE(torch::equal(rows.narrow(1, 3 * head_dim, 2 * head_dim), values));
    }
  }
}

TEST_P(RopeTest, GrowsToLaterPositions) {
  nn::Rope rope(8, 1e6, torch::kCPU, GetParam());
  torch::Tensor rows = random({2, 8});
  const torch::Tensor positions = torch::tensor({0, 3000});
  const torch::Tensor expected = reference(rows, positions, 1, 8, 1e6);
  rope.apply(rows, positions, 1, 3000);
  // Angles of thousands of radians are taken in float32.
  expect_close(rows, expected, std::max(tolerance(), 1e-3));
}

INSTANTIATE_TEST_SUITE_P(Dtypes, RopeTest, testing::compute_dtypes());

}  // namespace
}  // namespace foregate
