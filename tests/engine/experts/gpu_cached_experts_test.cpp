#include <gtest/gtest.h>
#include <torch/cuda.h>
#include <torch/types.h>

#include <algorithm>
#include <string>
#include <vector>

#include "../model_test.h"
#include "cached_run.h"
#include "engine/engine.h"
#include "faulty_lane.h"
#include "guesser.h"

// Decoding on a GPU with experts that come through a cache, beside the same with all experts on it:
// the same kernels, the same bits.

namespace foregate::engine {
namespace {

using tensor::Quantization;
using testing::Continued;
using testing::continued;
using testing::difference;

const torch::Device kGpu(torch::kCUDA, 0);
constexpr int kSteps = 24;

class GpuCachedExperts : public testing::ModelTest {
 protected:
  void SetUp() override {
    if (!torch::cuda::is_available()) GTEST_SKIP() << "no CUDA device that this libtorch can use";
    testing::ModelTest::SetUp();
  }
  Engine engine(torch::ScalarType dtype, Quantization quantization,
                const std::optional<ExpertCacheOptions>& cache = {}) const {
    return {directory_,
            {.compute = {.device = kGpu, .dtype = dtype, .quantization = quantization},
             .expert_cache = cache,
             .routing_only = false}};
  }
};

struct CacheCase {
  const char* policy;
  int64_t percent;  ///< of all experts; one layer's need at least
  bool prefetch;
};

ExpertCacheOptions cache_of(const CacheCase& each, const trace::Geometry& geometry, int64_t texts) {
  const offload::Policy policy = offload::parse_policy(each.policy);
  const int64_t layers = geometry.num_moe_layers;
  const int64_t least = geometry.top_k * (policy.by_layer ? layers : 1);
  ExpertCacheOptions options{
      .slots = std::max(least, layers * geometry.num_experts * each.percent / 100),
      .policy = policy,
      .passing_slots = 1};
  if (!each.prefetch) return options;
  options.prefetch =
      offload::PrefetchRule{.kind = offload::PrefetchRule::Kind::kThreshold, .threshold = 0.3};
  options.foresight = testing::guessers(geometry, 3);
  options.sequences = texts;
  options.lane = testing::faulty_lanes({.most_microseconds = 20, .reorders = true});
  return options;
}

// One text, whose experts take two launches; nine, four launches; forty, more than the thin
// products take. Of the smallest cache the experts, or the tokens, come apart.
TEST_P(GpuCachedExperts, GiveTheBitsOfResidentOnes) {
  struct Kept {
    torch::ScalarType dtype;
    Quantization quantization;
  };
  for (const auto& [dtype, quantization] :
       {Kept{torch::kBFloat16, Quantization::kNone}, Kept{torch::kBFloat16, Quantization::kInt8},
        Kept{torch::kBFloat16, Quantization::kNf4}, Kept{torch::kFloat32, Quantization::kNone}}) {
    for (const int64_t texts : {1, 9, 40}) {
      std::vector<int64_t> prompts;
      for (int64_t i = 0; i < texts; ++i) prompts.push_back(1 + i * 7 % 60);
      Engine resident = engine(dtype, quantization);
      const Continued expected = continued(resident, prompts, kSteps);
      for (const CacheCase& each : {CacheCase{"lrfu-8", 0, false}, CacheCase{"lrfu-8", 30, true},
                                    CacheCase{"lru-layer", 30, false}}) {
        Engine cached = engine(dtype, quantization, cache_of(each, resident.geometry(), texts));
        EXPECT_EQ(difference(continued(cached, prompts, kSteps), expected), "")
            << dtype << ", " << tensor::quantization_name(quantization) << ", " << texts
            << " texts, " << each.policy << ", " << each.percent << "%, prefetch " << each.prefetch;
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Trained, GpuCachedExperts, ::testing::Values("seed-geometry", "mini-qwen"),
                         testing::test_name);

}  // namespace
}  // namespace foregate::engine
