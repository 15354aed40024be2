#include "nn/mlp.h"

#include "compare.h"

namespace foregate {
namespace {

using testing::expect_close;

class MlpTest : public testing::DtypeTest {};

TEST_P(MlpTest, SiluAndMultiply) {
  for (const int64_t tokens : testing::kSizes) {
    for (const int64_t inner : {1, 31, 32, 33, 100}) {
      // Large values too: exp must neither overflow nor lose the sign.
      const torch::Tensor rows = random({tokens, 2 * inner}) * 20;
      const torch::Tensor values = rows.to(torch::kFloat64);
      const torch::Tensor expected =
          torch::silu(values.narrow(1, 0, inner)) * values.narrow(1, inner, inner);
      expect_close(nn::silu_and_multiply(rows), expected, tolerance());
    }
  }
}

TEST(SiluAndMultiply, ExtremeValues) {
  const float inf = std::numeric_limits<float>::infinity();
  const std::vector<float> gates = {-inf, -1e30F, -100, -88, 0, 88, 100, 1e30F};
  const torch::Tensor gate = torch::tensor(gates).unsqueeze(1);
  const torch::Tensor rows = torch::cat({gate, torch::ones_like(gate)}, 1);
  const torch::Tensor result = nn::silu_and_multiply(rows).squeeze(1);
  const torch::Tensor expected = torch::silu(gate).squeeze(1).nan_to_num(0.0);
  EXPECT_TRUE(torch::allclose(result.slice(0, 1), expected.slice(0, 1), 1e-5, 1e-30)) << result;
}

TEST_P(MlpTest, AddsTheScaledFormula) {
  for (const int64_t tokens : testing::kSizes) {
    for (const int64_t inner : {1, 16, 40}) {
      const torch::Tensor x = random({tokens, 24});
      const nn::MlpWeights weights{random({2 * inner, 24}) * 0.2, random({24, inner}) * 0.2};
      const torch::Tensor rows =
          torch::matmul(x.to(torch::kFloat64), weights.gate_up.to(torch::kFloat64).t());
      const torch::Tensor middle =
          torch::silu(rows.narrow(1, 0, inner)) * rows.narrow(1, inner, inner);
      const torch::Tensor product = torch::matmul(middle, weights.down.to(torch::kFloat64).t());
      const torch::Tensor start = random({tokens, 24});
      const torch::Tensor scale = torch::rand({tokens, 1});
      torch::Tensor sum = start.clone();
      const nn::Mlp mlp(weights);
      mlp.add_to(sum, x, scale);
      expect_close(sum, start.to(torch::kFloat64) + scale * product, tolerance());
      mlp.add_to(sum, x);
      expect_close(sum, start.to(torch::kFloat64) + (scale + 1) * product, tolerance());
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Dtypes, MlpTest, testing::compute_dtypes());

}  // namespace
}  // namespace foregate
