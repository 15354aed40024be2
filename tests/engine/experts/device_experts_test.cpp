#include "engine/experts/device_experts.h"

#include <gtest/gtest.h>
#include <torch/cuda.h>
#include <torch/types.h>

#include <string>
#include <vector>

#include "../model_test.h"
#include "base/error.h"
#include "cached_run.h"
#include "support/test_files.h"

// Decoding on a GPU that keeps the expert cache by itself, in recorded steps, beside the same with
// all experts at hand: the same bits.

namespace foregate::engine {
namespace {

using tensor::Quantization;
using testing::Continued;
using testing::continued;
using testing::difference;
using testing::error_of;

constexpr int kSteps = 24;  // of which the third and later are replayed

TEST(DeviceExperts, NeedAGpu) {
  const std::string directory = testing::model_directory("seed-geometry");
  if (directory.empty()) GTEST_SKIP() << "no model seed-geometry; set FOREGATE_SHARED";
  EXPECT_NE(error_of([&] {
              Engine(
                  directory,
                  {.expert_cache = ExpertCacheOptions{.slots = 8, .policy = {}, .on_device = true},
                   .routing_only = false});
            }).find("needs a GPU"),
            std::string::npos);
}

class DeviceExpertsTest : public testing::ModelTest {
 protected:
  void SetUp() override {
    if (!torch::cuda::is_available()) GTEST_SKIP() << "no CUDA device that this libtorch can use";
    testing::ModelTest::SetUp();
    if (IsSkipped()) return;
    geometry_ = Engine(directory_, {.routing_only = false}).geometry();
  }
  int64_t all() const { return int64_t{geometry_.num_moe_layers} * geometry_.num_experts; }
  Engine engine(Quantization quantization,
                const std::optional<ExpertCacheOptions>& cache = {}) const {
    return {directory_,
            {.compute = {.device = torch::Device(torch::kCUDA, 0),
                         .dtype = torch::kBFloat16,
                         .quantization = quantization},
             .expert_cache = cache,
             .routing_only = false}};
  }
  ExpertCacheOptions cache_of(const std::string& policy, int64_t slots, int depths) const {
    ExpertCacheOptions options{
        .slots = slots, .policy = offload::parse_policy(policy), .on_device = true};
    options.next_gate.depths.resize(static_cast<size_t>(depths), {.threshold = 0.3F});
    if (options.policy.kind == offload::Policy::Kind::kStatic) {
      Random random(3);
      for (int64_t i = 0; i < all(); ++i) options.counts.push_back(random.below(100));
    }
    return options;
  }
  /// 10, 30, 50 and 100%, but no less than a layer of three texts needs.
  std::vector<int64_t> budgets() const {
    std::vector<int64_t> slots{3 * geometry_.top_k};
    for (const int64_t percent : {10, 30, 50, 100}) {
      if (all() * percent / 100 > slots.back()) slots.push_back(all() * percent / 100);
    }
    return slots;
  }

  trace::Geometry geometry_;
};

TEST_P(DeviceExpertsTest, GiveTheBitsOfResidentExperts) {
  for (const Quantization quantization :
       {Quantization::kNone, Quantization::kInt8, Quantization::kNf4}) {
    for (const std::vector<int64_t>& prompts :
         {std::vector<int64_t>{9}, std::vector<int64_t>{1, 5, 40}}) {
      Engine plain = engine(quantization);
      const Continued expected = continued(plain, prompts, kSteps);
      for (const int64_t slots : budgets()) {
        for (const int depths : {0, 1, 3}) {
          // Of what is quantised, ends and middle.
          if (quantization != Quantization::kNone && (depths == 1 || slots == budgets()[1]))
            continue;
          Engine cached = engine(quantization, cache_of("lrfu-8", slots, depths));
          // Twice: the second time the cache is warm and steps are recorded.
          for (int round = 0; round < 2; ++round) {
            EXPECT_EQ(difference(continued(cached, prompts, kSteps), expected), "")
                << tensor::quantization_name(quantization) << ", " << prompts.size() << " texts, "
                << slots << " slots, " << depths << " depths, round " << round;
          }
        }
      }
    }
  }
}

TEST_P(DeviceExpertsTest, SoDoesEveryPolicy) {
  Engine plain = engine(Quantization::kNone);
  const std::vector<int64_t> prompts{9};
  const Continued expected = continued(plain, prompts, kSteps);
  for (const char* policy :
       {"lru", "lru-token", "lrfu-8", "least-stale", "static", "lru-token-layer"}) {
    for (const int depths : {0, 2}) {
      Engine cached = engine(Quantization::kNone, cache_of(policy, all() / 2, depths));
      EXPECT_EQ(difference(continued(cached, prompts, kSteps), expected), "")
          << policy << ", " << depths << " depths";
    }
  }
}

// The device counts what the host counts, of steps of both.
TEST_P(DeviceExpertsTest, CountAsTheHostDoes) {
  const std::vector<int64_t> prompts{9};
  for (const char* policy : {"lru", "lru-token", "lrfu-8", "least-stale", "lru-token-layer"}) {
    ExpertCacheOptions options = cache_of(policy, all() / 3, 0);
    Engine on_device = engine(Quantization::kNone, options);
    options.on_device = false;
    Engine on_host = engine(Quantization::kNone, options);
    for (int round = 0; round < 2; ++round) {
      continued(on_device, prompts, kSteps);
      continued(on_host, prompts, kSteps);
    }
    const ExpertCounts found = *on_device.expert_counts();
    const ExpertCounts expected = *on_host.expert_counts();
    for (size_t layer = 0; layer < expected.generated.size(); ++layer) {
      EXPECT_EQ(found.generated[layer].hits, expected.generated[layer].hits) << policy << layer;
      EXPECT_EQ(found.generated[layer].misses, expected.generated[layer].misses) << policy;
      EXPECT_EQ(found.prompt[layer].hits, expected.prompt[layer].hits) << policy << layer;
      EXPECT_EQ(found.prompt[layer].misses, expected.prompt[layer].misses) << policy;
    }
    EXPECT_EQ(found.demand_bytes, expected.demand_bytes) << policy;
  }
}

TEST_P(DeviceExpertsTest, UseWhatTheyForesaw) {
  Engine cached = engine(Quantization::kNone, cache_of("lrfu-8", all() / 2, 3));
  continued(cached, {9}, kSteps);
  const ExpertCounts counts = *cached.expert_counts();
  EXPECT_GT(counts.prefetch_bytes, 0);
  EXPECT_GT(counts.prefetch.useful_bytes, 0);
  EXPECT_LE(counts.prefetch.useful_bytes + counts.prefetch.wasted_bytes,
            static_cast<double>(counts.prefetch_bytes));
}

TEST_P(DeviceExpertsTest, AStepThatFailedIsForgotten) {
  class Thrower : public EngineObserver {
   public:
    void on_router(const RouterEvent& event) override {
      if (event.moe_layer == 1 && ++calls > 2) throw std::runtime_error("enough");
    }
    int calls = 0;
  };
  Engine plain = engine(Quantization::kNone);
  const Continued expected = continued(plain, {9}, kSteps);
  Engine cached = engine(Quantization::kNone, cache_of("lru", all() / 3, 2));
  for (int i = 0; i < 3; ++i) {
    Thrower thrower;
    EXPECT_THROW(continued(cached, {9}, kSteps, thrower), std::runtime_error);
    EXPECT_EQ(difference(continued(cached, {9}, kSteps), expected), "");
  }
}

TEST_P(DeviceExpertsTest, RefuseWhatTheDeviceDoesNotDecide) {
  EXPECT_NE(error_of([&] {
              engine(Quantization::kNone, cache_of("lfu", all() / 2, 0));
            }).find("does not decide"),
            std::string::npos);
}

INSTANTIATE_TEST_SUITE_P(Trained, DeviceExpertsTest,
                         ::testing::Values("seed-geometry", "mini-qwen"), testing::test_name);

}  // namespace
}  // namespace foregate::engine
