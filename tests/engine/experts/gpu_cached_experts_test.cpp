#include <gtest/gtest.h>
#include <torch/cuda.h>
#include <torch/types.h>

#include <string>
#include <vector>

#include "../test_models.h"
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

class GpuCachedExperts : public ::testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    if (!torch::cuda::is_available()) GTEST_SKIP() << "no CUDA device that this libtorch can use";
    directory_ = testing::model_directory(GetParam());
    if (directory_.empty()) GTEST_SKIP() << "no model " << GetParam() << "; set FOREGATE_SHARED";
  }
  Engine engine(torch::ScalarType dtype, Quantization quantization,
                const std::optional<ExpertCacheOptions>& cache = {}) const {
    return {directory_,
            {.compute = {.device = kGpu, .dtype = dtype, .quantization = quantization},
             .expert_cache = cache,
             .routing_only = false}};
  }

  std::filesystem::path directory_;
};

// One text, whose experts take two launches; nine, four launches; forty, more than the thin
// products take. Of the smallest caches the experts, or the tokens, come apart.
TEST_P(GpuCachedExperts, GiveTheBitsOfResidentOnes) {
  for (const torch::ScalarType dtype : {torch::kBFloat16, torch::kFloat32}) {
    for (const Quantization quantization :
         {Quantization::kNone, Quantization::kInt8, Quantization::kNf4}) {
      for (const int64_t texts : {1, 9, 40}) {
        std::vector<int64_t> prompts;
        for (int64_t i = 0; i < texts; ++i) prompts.push_back(1 + i * 7 % 60);
        Engine resident = engine(dtype, quantization);
        const Continued expected = continued(resident, prompts, kSteps);
        const trace::Geometry& geometry = resident.geometry();
        const int64_t all = int64_t{geometry.num_moe_layers} * geometry.num_experts;
        for (const char* policy : {"lrfu-8", "lru-layer", "lfu", "least-stale"}) {
          const offload::Policy parsed = offload::parse_policy(policy);
          const int64_t least =
              parsed.by_layer ? int64_t{geometry.top_k} * geometry.num_moe_layers : geometry.top_k;
          for (const int64_t slots : {least, all * 3 / 10, all}) {
            for (const bool prefetch : {false, true}) {
              ExpertCacheOptions options{
                  .slots = std::max(least, slots), .policy = parsed, .passing_slots = 1};
              if (prefetch) {
                options.prefetch = offload::PrefetchRule{
                    .kind = offload::PrefetchRule::Kind::kThreshold, .threshold = 0.3};
                options.foresight = testing::guessers(geometry, 3);
                options.sequences = texts;
                options.lane = testing::faulty_lanes({.most_microseconds = 20, .reorders = true});
              }
              Engine cached = engine(dtype, quantization, options);
              EXPECT_EQ(difference(continued(cached, prompts, kSteps), expected), "")
                  << dtype << ", " << tensor::quantization_name(quantization) << ", " << texts
                  << " texts, " << policy << ", " << slots << " slots, prefetch " << prefetch;
            }
          }
        }
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Trained, GpuCachedExperts, ::testing::Values("seed-geometry", "mini-qwen"),
                         testing::named_by_model);

}  // namespace
}  // namespace foregate::engine
