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

TEST_P(MlpTest, MatchesTheFormula) {
  for (const int64_t tokens : testing::kSizes) {
    const torch::Tensor x = random({tokens, 24});
    const nn::MlpWeights weights{random({2 * 40, 24}) * 0.2, random({24, 40}) * 0.2};
    const torch::Tensor rows =
        torch::matmul(x.to(torch::kFloat64), weights.gate_up.dense().to(torch::kFloat64).t());
    const torch::Tensor inner = torch::silu(rows.narrow(1, 0, 40)) * rows.narrow(1, 40, 40);
    expect_close(nn::mlp(x, weights),
                 torch::matmul(inner, weights.down.dense().to(torch::kFloat64).t()), tolerance());
  }
}

INSTANTIATE_TEST_SUITE_P(Dtypes, MlpTest, testing::compute_dtypes());

}  // namespace
}  // namespace foregate
