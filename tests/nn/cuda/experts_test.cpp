#include "nn/experts.h"

#include "../stacked_experts.h"
#include "gpu_test.h"
#include "nn/cuda/expert_rows.h"

namespace foregate {
namespace {

using testing::expect_close;
using testing::gpu;

class ExpertsOnGpu : public testing::GpuTest {};

// Pair i's slot is its place in a stable sort by expert.
TEST_P(ExpertsOnGpu, SortIsStable) {
  for (const int64_t tokens : {0, 1, 31, 32, 33, 255, 256, 257, 40000}) {
    // The last are more than the kernel holds.
    for (const int64_t experts : {1, 8, 60, 256, 257, 400}) {
      const int64_t k = std::min<int64_t>(4, experts);
      const torch::Tensor chosen = torch::randint(experts, {tokens, k}, torch::kInt64);
      const nn::ExpertOrder order = nn::sort_by_expert_cuda(gpu(chosen), experts);
      const torch::Tensor sorted =
          std::get<1>(chosen.view(-1).sort(/*stable=*/true, /*dim=*/0, /*descending=*/false));
      torch::Tensor slots = torch::empty({tokens * k}, torch::kInt64);
      slots.index_copy_(0, sorted, torch::arange(tokens * k));
      EXPECT_TRUE(torch::equal(order.slots.cpu().view(-1).to(torch::kInt64), slots))
          << tokens << " tokens, " << experts << " experts";
      EXPECT_TRUE(torch::equal(order.tokens.cpu().to(torch::kInt64), sorted.floor_divide(k)));
      const torch::Tensor ends = torch::bincount(chosen.view(-1), {}, experts).cumsum(0);
      EXPECT_TRUE(torch::equal(order.ends.cpu().to(torch::kInt64), ends));
    }
  }
}

TEST_P(ExpertsOnGpu, RowsGoThereAndBack) {
  for (const int64_t tokens : testing::kRowCounts) {
    for (const int64_t hidden : {1, 33, 2048}) {
      const torch::Tensor x = random({tokens, hidden});
      const torch::Tensor chosen = torch::randint(60, {tokens, 4}, torch::kInt64);
      const torch::Tensor gates = torch::rand({tokens, 4});
      const nn::ExpertOrder order = nn::sort_by_expert_cuda(gpu(chosen), 60);
      const torch::Tensor rows = nn::dispatch_rows_cuda(gpu(x), order.slots);
      const torch::Tensor back =
          rows.cpu().index_select(0, order.slots.cpu().view(-1).to(torch::kInt64));
      EXPECT_TRUE(torch::equal(back, x.repeat_interleave(4, 0)));
      torch::Tensor residual = gpu(x);
      nn::combine_rows_cuda(residual, rows, order.slots, gpu(gates));
      const torch::Tensor values = x.to(torch::kFloat64);
      expect_close(residual.cpu(), values + values * gates.to(torch::kFloat64).sum(1, true),
                   tolerance());
    }
  }
}

TEST_P(ExpertsOnGpu, MatchTheCpu) {
  constexpr int64_t kHidden = 64;
  constexpr int64_t kInner = 40;
  for (const int64_t tokens : {0, 1, 31, 32, 33, 500}) {
    for (const int64_t k : {1, 4}) {
      const torch::Tensor x = random({tokens, kHidden});
      const nn::ExpertWeights weights{random({7, 2 * kInner, kHidden}) * 0.2,
                                      random({7, kHidden, kInner}) * 0.2};
      const nn::Routing routing = nn::route(torch::randn({tokens, 7}), {}, {}, k);
      torch::Tensor expected = x.to(torch::kFloat64);
      nn::add_experts(
          expected, expected.clone(), {routing.experts, routing.gate_weights},
          {weights.gate_up.dense().to(torch::kFloat64), weights.down.dense().to(torch::kFloat64)});
      torch::Tensor actual = gpu(x);
      nn::add_experts(actual, actual.clone(), {gpu(routing.experts), gpu(routing.gate_weights)},
                      {gpu(weights.gate_up.dense()), gpu(weights.down.dense())});
      expect_close(actual.cpu(), expected, tolerance());
    }
  }
}

// Matrices that lie in any order in a larger stack: no bit changes, all at once and, of more tokens
// than the thin products take, in two parts.
TEST_P(ExpertsOnGpu, StackedMatricesRunAsTheExpertsOwn) {
  constexpr int64_t kHidden = 128;
  constexpr int64_t kInner = 64;
  constexpr int64_t kExperts = 20;
  for (const tensor::Quantization kind :
       {tensor::Quantization::kNone, tensor::Quantization::kInt8, tensor::Quantization::kNf4}) {
    const nn::ExpertWeights host = testing::quantized(
        {random({kExperts, 2 * kInner, kHidden}) * 0.2, random({kExperts, kHidden, kInner}) * 0.2},
        kind);
    nn::ExpertWeights own = host;
    for (const auto member : {&nn::ExpertWeights::gate_up, &nn::ExpertWeights::down}) {
      own.*member = (host.*member).empty_like(torch::kCUDA);
      (own.*member).copy_from(host.*member);
    }
    const testing::StackedExperts stacked = testing::stacked(own, 33);
    for (const int64_t tokens : {1, 2, 9, 32, 33, 500}) {
      const torch::Tensor x = gpu(random({tokens, kHidden}));
      const nn::Routing routed = nn::route(torch::randn({tokens, kExperts}), {}, {}, 4);
      const nn::Routing routing{gpu(routed.experts), gpu(routed.gate_weights)};
      torch::Tensor expected = x.clone();
      nn::add_experts(expected, x, routing, own);
      torch::Tensor actual = x.clone();
      nn::add_experts(actual, x, routing, stacked.all);
      EXPECT_TRUE(torch::equal(actual, expected)) << tokens << " tokens";
      if (tokens <= 32) continue;
      const auto outputs = nn::make_expert_outputs(x, routing, kExperts);
      outputs->run(stacked.first);
      outputs->run(stacked.rest);
      actual = x.clone();
      outputs->add_to(actual);
      EXPECT_TRUE(torch::equal(actual, expected)) << tokens << " tokens in two parts";
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Dtypes, ExpertsOnGpu, testing::compute_dtypes());

}  // namespace
}  // namespace foregate
