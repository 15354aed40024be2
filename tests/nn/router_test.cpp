#include "nn/router.h"

#include <ATen/Parallel.h>

#include <cmath>
#include <limits>

#include "compare.h"
#include "trace/router_kernel.h"

namespace foregate {
namespace {

using testing::expect_close;

// The summation order of router.h, spelled out.
float reference_logit(const float* x, const float* w, int64_t hidden) {
  std::vector<float> sum(16, 0.0F);
  for (int64_t h = 0; h < hidden; ++h) sum[h % 16] = std::fma(x[h], w[h], sum[h % 16]);
  for (const int width : {8, 4, 2, 1}) {
    for (int i = 0; i < width; ++i) sum[i] += sum[i + width];
  }
  return sum[0];
}

class RouterTest : public testing::DtypeTest {};

TEST_P(RouterTest, FollowsTheOrderOfSummation) {
  for (const int64_t tokens : testing::kSizes) {
    for (const int64_t hidden : {1, 15, 16, 17, 64, 250}) {
      for (const int64_t experts : {1, 7, 8, 60}) {
        const torch::Tensor x = random({tokens, hidden});
        const torch::Tensor weight = torch::randn({experts, hidden});
        const torch::Tensor logits = nn::router_logits(x, weight);
        const torch::Tensor rows = x.to(torch::kFloat32);
        for (int64_t t = 0; t < tokens; t += 13) {
          for (int64_t e = 0; e < experts; ++e) {
            ASSERT_EQ(logits[t][e].item<float>(),
                      reference_logit(rows[t].const_data_ptr<float>(),
                                      weight[e].const_data_ptr<float>(), hidden));
          }
        }
        const torch::Tensor exact =
            torch::matmul(rows.to(torch::kFloat64), weight.to(torch::kFloat64).t());
        expect_close(logits, exact, 1e-5);
      }
    }
  }
}

TEST_P(RouterTest, BitsDoNotDependOnTheBatch) {
  const torch::Tensor x = random({333, 200});
  const torch::Tensor weight = torch::randn({60, 200});
  const torch::Tensor whole = nn::router_logits(x, weight);
  for (const int64_t first : {0, 1, 30, 100, 332}) {
    for (const int64_t count : {1, 2, 33, 150}) {
      if (first + count > 333) continue;
      const torch::Tensor part = nn::router_logits(x.narrow(0, first, count).clone(), weight);
      EXPECT_TRUE(torch::equal(part, whole.narrow(0, first, count)));
    }
  }
  // Nor on strides or on the other experts.
  EXPECT_TRUE(torch::equal(nn::router_logits(x.t().contiguous().t(), weight), whole));
  EXPECT_TRUE(torch::equal(nn::router_logits(x, weight.narrow(0, 3, 5)), whole.narrow(1, 3, 5)));
}

TEST_P(RouterTest, BitsDoNotDependOnThreads) {
  const torch::Tensor x = random({333, 200});
  const torch::Tensor weight = torch::randn({60, 200});
  const int threads = at::get_num_threads();
  const torch::Tensor many = nn::router_logits(x, weight);
  at::set_num_threads(1);
  const torch::Tensor one = nn::router_logits(x, weight);
  at::set_num_threads(threads);
  EXPECT_TRUE(torch::equal(one, many));
}

INSTANTIATE_TEST_SUITE_P(Dtypes, RouterTest, testing::compute_dtypes());

TEST(RouterKernel, InstructionSetsGiveTheSameBits) {
  for (const int64_t hidden : {1, 15, 16, 17, 64, 2048}) {
    const torch::Tensor x = torch::randn({37, hidden});
    const torch::Tensor weight = torch::randn({13, hidden});
    std::vector<torch::Tensor> results;
    for (const trace::RouterIsa isa :
         {trace::RouterIsa::kPortable, trace::RouterIsa::kAvx2, trace::RouterIsa::kAvx512}) {
      if (static_cast<int>(isa) > static_cast<int>(trace::best_router_isa())) continue;
      results.push_back(torch::empty({37, 13}));
      trace::router_logits_kernel(isa, x.const_data_ptr<float>(), weight.const_data_ptr<float>(),
                                  results.back().mutable_data_ptr<float>(), 37, 13, hidden);
    }
    for (const torch::Tensor& result : results) EXPECT_TRUE(torch::equal(result, results[0]));
  }
}

TEST(Route, RanksTiesByLowestIndex) {
  const torch::Tensor logits =
      torch::tensor({{1.0F, 3.0F, 3.0F, 1.0F, 3.0F}, {0.0F, 0.0F, 0.0F, 0.0F, 0.0F}});
  EXPECT_TRUE(torch::equal(nn::route(logits, {}, {}, 4).experts,
                           torch::tensor({{1, 2, 4, 0}, {0, 1, 2, 3}}, torch::kInt64)));
}

TEST(Route, MatchesStableSortAndSoftmax) {
  for (const int64_t tokens : testing::kSizes) {
    for (const int64_t k : {1, 2, 8}) {
      // Few different values, so that there are many ties.
      const torch::Tensor logits = torch::randint(-4, 5, {tokens, 8}).to(torch::kFloat32);
      const torch::Tensor order =
          std::get<1>(logits.sort(/*stable=*/true, -1, /*descending=*/true));
      const torch::Tensor gates = logits.to(torch::kFloat64).softmax(-1);
      for (const bool norm : {false, true}) {
        const nn::Routing routing = nn::route(logits, {.norm_topk = norm}, {}, k);
        EXPECT_TRUE(torch::equal(routing.experts, order.narrow(1, 0, k)));
        torch::Tensor expected = gates.gather(1, routing.experts);
        if (norm) expected = expected / expected.sum(-1, true);
        expect_close(routing.gate_weights, expected, 1e-6);
      }
    }
  }
}

TEST(Route, NotANumberRanksLast) {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  const float inf = std::numeric_limits<float>::infinity();
  const torch::Tensor logits = torch::tensor({nan, -1.0F, nan, 2.0F, -inf}).unsqueeze(0);
  EXPECT_TRUE(torch::equal(nn::route(logits, {}, {}, 5).experts,
                           torch::tensor({{3, 1, 4, 0, 2}}, torch::kInt64)));
}

}  // namespace
}  // namespace foregate
