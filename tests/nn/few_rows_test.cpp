#include "nn/few_rows.h"

#include <gtest/gtest.h>
#include <torch/types.h>

namespace foregate::nn {
namespace {

TEST(FewRows, AreMultipliedAsALibraryDoes) {
  const torch::NoGradGuard guard;
  torch::manual_seed(1);
  for (const int64_t rows : {0, 1, 3, 8}) {
    for (const int64_t inner : {1, 31, 32, 33, 300}) {
      for (const int64_t outer : {1, 3, 33, 1000}) {
        const torch::Tensor x = torch::randn({rows, inner});
        const torch::Tensor weight = torch::randn({outer, inner});
        const torch::Tensor bias = torch::randn({outer});
        ASSERT_TRUE(has_few_rows(x, weight));
        torch::Tensor result = torch::empty({rows, outer});
        few_rows_linear(result, x, weight, bias);
        const torch::Tensor expected =
            at::linear(x.to(torch::kFloat64), weight.to(torch::kFloat64), bias.to(torch::kFloat64));
        EXPECT_TRUE(result.to(torch::kFloat64).allclose(expected, 1e-5, 1e-4))
            << rows << " " << inner << " " << outer;
      }
    }
  }
}

// What a text's next token follows from does not depend on what else is in the step.
TEST(FewRows, ARowDoesNotDependOnTheOthers) {
  const torch::NoGradGuard guard;
  torch::manual_seed(2);
  const torch::Tensor x = torch::randn({8, 77});
  const torch::Tensor weight = torch::randn({301, 77});
  torch::Tensor together = torch::empty({8, 301});
  few_rows_linear(together, x, weight);
  for (int64_t row = 0; row < 8; ++row) {
    torch::Tensor alone = torch::empty({1, 301});
    few_rows_linear(alone, x.narrow(0, row, 1), weight);
    EXPECT_TRUE(alone.equal(together.narrow(0, row, 1))) << row;
  }
}

TEST(FewRows, OthersAreNotTaken) {
  const torch::Tensor weight = torch::randn({4, 6});
  EXPECT_FALSE(has_few_rows(torch::randn({1, 6}), weight)) << "with gradients";
  const torch::NoGradGuard guard;
  EXPECT_TRUE(has_few_rows(torch::randn({1, 6}), weight));
  EXPECT_FALSE(has_few_rows(torch::randn({9, 6}), weight));
  EXPECT_FALSE(has_few_rows(torch::randn({6, 1}).t(), weight.t()));
  EXPECT_FALSE(has_few_rows(torch::randn({1, 6}), weight.to(torch::kBFloat16)));
}

}  // namespace
}  // namespace foregate::nn
