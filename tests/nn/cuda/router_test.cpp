#include <cmath>
#include <limits>

#include "gpu_test.h"
#include "nn/routed_rows.h"
#include "nn/router.h"

namespace foregate {
namespace {

using testing::gpu;

class RouterOnGpu : public testing::GpuTest {};

// The order of summation is part of nn/router.h: not close, equal.
TEST_P(RouterOnGpu, LogitsHaveTheBitsOfTheCpu) {
  for (const int64_t tokens : testing::kRowCounts) {
    for (const int64_t hidden : {1, 15, 16, 17, 64, 192, 250, 2048}) {
      if (tokens > 100 && hidden < 64) continue;
      for (const int64_t experts : {1, 7, 8, 60, 64, 65, 130}) {
        const torch::Tensor x = random({tokens, hidden});
        const torch::Tensor weight = torch::randn({experts, hidden});
        EXPECT_TRUE(torch::equal(nn::router_logits(gpu(x), gpu(weight)).cpu(),
                                 nn::router_logits(x, weight)))
            << tokens << " tokens, hidden " << hidden << ", " << experts << " experts";
      }
    }
  }
}

// Norm, logits and choice in one or two launches: the bits of the three by themselves, and counters
// that can be used again.
TEST_P(RouterOnGpu, RoutesFewRowsAtOnce) {
  const torch::Tensor counters =
      torch::zeros({nn::kRouteCounters}, torch::dtype(torch::kInt32).device(torch::kCUDA));
  constexpr int64_t kChosen = 4;
  for (const int64_t tokens : {1, 7, 8, 9, 32, 33}) {
    for (const int64_t hidden : {64, 136, 2048, 4096}) {
      for (const int64_t experts : {8, 60, 130, 300}) {
        const nn::RowsBeforeNorm rows{gpu(random({tokens, hidden})), gpu(random({hidden})), 1e-6};
        const torch::Tensor weight = torch::randn({experts, hidden});
        const nn::RouterSpec spec{.norm_topk = true};
        const nn::RoutedRows routed =
            nn::route_normalized(rows, gpu(weight), spec, {}, kChosen, counters);
        const torch::Tensor input = nn::rms_norm(rows.rows, rows.weight, rows.epsilon);
        const torch::Tensor logits = nn::router_logits(input.cpu(), weight);
        const nn::Routing expected = nn::route(logits, spec, {}, kChosen);
        EXPECT_TRUE(torch::equal(routed.input, input));
        EXPECT_TRUE(torch::equal(routed.logits.cpu(), logits))
            << tokens << " tokens, hidden " << hidden << ", " << experts << " experts";
        EXPECT_TRUE(torch::equal(routed.routing.experts.cpu(), expected.experts));
        testing::expect_close(routed.routing.gate_weights.cpu(), expected.gate_weights, 1e-5);
        EXPECT_EQ(counters.abs().sum().item<int64_t>(), 0);
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Dtypes, RouterOnGpu, testing::compute_dtypes());

class RouteOnGpu : public testing::GpuTest {};

TEST_P(RouteOnGpu, DecidesAsTheCpu) {
  for (const int64_t tokens : testing::kRowCounts) {
    for (const int64_t experts : {8, 33, 60, 64, 128, 256, 300}) {
      for (const int64_t k : {1, 2, 4, 8}) {
        // Few different values, so that there are many ties.
        const torch::Tensor logits =
            torch::randint(-20, 21, {tokens, experts}).to(torch::kFloat32) / 4;
        for (const bool norm : {false, true}) {
          const nn::Routing expected = nn::route(logits, {.norm_topk = norm}, {}, k);
          const nn::Routing actual = nn::route(gpu(logits), {.norm_topk = norm}, {}, k);
          EXPECT_TRUE(torch::equal(actual.experts.cpu(), expected.experts));
          testing::expect_close(actual.gate_weights.cpu(), expected.gate_weights, 1e-5);
        }
      }
    }
  }
}

TEST_P(RouteOnGpu, NotANumberRanksLastAndZerosTie) {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  const float inf = std::numeric_limits<float>::infinity();
  const torch::Tensor logits = torch::tensor({nan, -0.0F, nan, 0.0F, -inf, 2.0F}).unsqueeze(0);
  EXPECT_TRUE(torch::equal(nn::route(gpu(logits), {}, {}, 6).experts.cpu(),
                           torch::tensor({{5, 1, 3, 4, 0, 2}}, torch::kInt64)));
}

INSTANTIATE_TEST_SUITE_P(Float32, RouteOnGpu, ::testing::Values(torch::kFloat32));

}  // namespace
}  // namespace foregate
