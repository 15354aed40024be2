#include "nn/rms_norm.h"

#include "compare.h"

namespace foregate {
namespace {

using testing::expect_close;

class RmsNormTest : public testing::DtypeTest {};

TEST_P(RmsNormTest, MatchesTheFormula) {
  for (const int64_t tokens : testing::kSizes) {
    for (const int64_t hidden : {1, 31, 32, 33, 256}) {
      const torch::Tensor x = 3 * random({tokens, hidden});
      const torch::Tensor weight = random({hidden});
      const torch::Tensor values = x.to(torch::kFloat64);
      const torch::Tensor expected =
          weight.to(torch::kFloat64) * values / (values.square().mean(-1, true) + 1e-6).sqrt();
      expect_close(nn::rms_norm(x, weight, 1e-6), expected, tolerance());
    }
  }
}

TEST_P(RmsNormTest, ZeroRowsStayFinite) {
  const torch::Tensor x = torch::zeros({2, 8}, GetParam());
  EXPECT_TRUE(torch::equal(nn::rms_norm(x, torch::ones({8}, GetParam()), 1e-6), x));
}

INSTANTIATE_TEST_SUITE_P(Dtypes, RmsNormTest, testing::compute_dtypes());

}  // namespace
}  // namespace foregate
