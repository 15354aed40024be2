#include "nn/experts.h"

#include "compare.h"
#include "nn/expert_grouping.h"

namespace foregate {
namespace {

using testing::expect_close;

class ExpertsTest : public testing::DtypeTest {
 protected:
  nn::ExpertWeights random_weights(int64_t experts) const {
    return {random({experts, 2 * kInner, kHidden}) * 0.2, random({experts, kHidden, kInner}) * 0.2};
  }

  // Token by token, expert by expert, in float64.
  static torch::Tensor reference(const torch::Tensor& x, const nn::Routing& routing,
                                 const nn::ExpertWeights& weights) {
    torch::Tensor result = torch::zeros(x.sizes(), torch::kFloat64);
    for (int64_t t = 0; t < x.size(0); ++t) {
      for (int64_t rank = 0; rank < routing.experts.size(1); ++rank) {
        const int64_t e = routing.experts[t][rank].item<int64_t>();
        const torch::Tensor rows =
            torch::mv(weights.gate_up[e].to(torch::kFloat64), x[t].to(torch::kFloat64));
        const torch::Tensor inner = torch::silu(rows.slice(0, 0, kInner)) * rows.slice(0, kInner);
        result[t] += torch::mv(weights.down[e].to(torch::kFloat64), inner) *
                     routing.gate_weights[t][rank].item<double>();
      }
    }
    return result;
  }

  void expect_sum(const torch::Tensor& x, const nn::Routing& routing,
                  const nn::ExpertWeights& weights) const {
    const torch::Tensor start = random(x.sizes());
    torch::Tensor sum = start.clone();
    nn::Experts(weights).add_to(sum, x, routing);
    expect_close(sum, start.to(torch::kFloat64) + reference(x, routing, weights), tolerance());
  }

  static constexpr int64_t kHidden = 24;
  static constexpr int64_t kInner = 10;
};

TEST_P(ExpertsTest, MatchesTheFormula) {
  for (const int64_t tokens : {0, 1, 31, 32, 33, 200}) {
    for (const int64_t k : {1, 4}) {
      const torch::Tensor x = random({tokens, kHidden});
      const nn::ExpertWeights experts = random_weights(7);
      const nn::Routing routing = nn::route(torch::randn({tokens, 7}), k, false);
      expect_sum(x, routing, experts);
    }
  }
}

TEST_P(ExpertsTest, AllTokensToOneExpert) {
  const torch::Tensor x = random({433, kHidden});
  const nn::ExpertWeights experts = random_weights(5);
  const nn::Routing routing{torch::full({433, 1}, 4, torch::kInt64), torch::ones({433, 1})};
  expect_sum(x, routing, experts);
}

TEST(ExpertGrouping, SortsPairsAndSplitsThem) {
  const torch::Tensor chosen = torch::tensor({{2, 0}, {0, 2}, {2, 3}}, torch::kInt64);
  const nn::ExpertGrouping grouping = nn::group_by_expert(chosen, 5);
  EXPECT_EQ(grouping.offsets, (std::vector<int64_t>{0, 2, 2, 5, 6, 6}));
  EXPECT_EQ(grouping.pairs, (std::vector<int64_t>{1, 2, 0, 3, 4, 5}));
  const std::vector<nn::ExpertTask> tasks = nn::expert_tasks(grouping, 2);
  ASSERT_EQ(tasks.size(), 4U);
  int64_t slots = 0;
  for (size_t i = 0; i < tasks.size(); ++i) {
    EXPECT_LE(tasks[i].count, i == 0 ? 2 : tasks[i - 1].count);
    slots += tasks[i].count;
  }
  EXPECT_EQ(slots, 6);
}

INSTANTIATE_TEST_SUITE_P(Dtypes, ExpertsTest, testing::compute_dtypes());

}  // namespace
}  // namespace foregate
