#include "engine/experts/cached_experts.h"

#include <gtest/gtest.h>
#include <torch/types.h>

#include <string>
#include <string_view>
#include <vector>

#include "../model_test.h"
#include "../routing_recorder.h"
#include "base/error.h"
#include "cached_run.h"
#include "faulty_lane.h"
#include "guesser.h"
#include "support/test_files.h"

// Decoding with experts that come through a cache, beside the same with all experts at hand: the
// same bits, whatever the cache, what is foreseen, and whatever becomes of the copies.

namespace foregate::engine {
namespace {

using tensor::Quantization;
using testing::Continued;
using testing::continued;
using testing::difference;
using testing::error_of;
using testing::Faults;

const std::vector<int64_t> kPrompts = {1, 5, 40};
constexpr int kSteps = 12;

class CachedExpertsTest : public testing::ModelTest {
 protected:
  void SetUp() override {
    testing::ModelTest::SetUp();
    if (IsSkipped()) return;
    geometry_ = Engine(directory_, {.routing_only = false}).geometry();
  }

  int64_t all() const { return int64_t{geometry_.num_moe_layers} * geometry_.num_experts; }
  int64_t least(const offload::Policy& policy) const {
    return policy.by_layer ? int64_t{geometry_.top_k} * geometry_.num_moe_layers : geometry_.top_k;
  }
  // Of the small model everything, of larger ones what differs most.
  bool thorough() const { return std::string_view(GetParam()) == "seed-geometry"; }
  std::vector<const char*> policies() const {
    if (!thorough()) return {"lru-layer", "lrfu-8", "static"};
    return {"lru",    "lru-layer",     "lru-token",   "lfu",    "lfu-layer",
            "lrfu-8", "lrfu-32-layer", "least-stale", "static", "static-layer"};
  }
  // One layer's need, 10, 30, 50 and 100%.
  std::vector<int64_t> budgets(const offload::Policy& policy) const {
    std::vector<int64_t> slots{least(policy)};
    for (const int64_t percent : {10, 30, 50, 100}) {
      if (!thorough() && percent != 30) continue;
      if (all() * percent / 100 > slots.back()) slots.push_back(all() * percent / 100);
    }
    return slots;
  }
  ExpertCacheOptions cache_of(const std::string& policy, int64_t slots) const {
    ExpertCacheOptions options{.slots = slots, .policy = offload::parse_policy(policy)};
    if (options.policy.kind == offload::Policy::Kind::kStatic) {
      Random random(3);
      for (int64_t i = 0; i < all(); ++i) options.counts.push_back(random.below(100));
    }
    return options;
  }
  ExpertCacheOptions prefetching(ExpertCacheOptions options, offload::PrefetchRule::Kind kind,
                                 int pieces, uint64_t seed) const {
    options.prefetch = offload::PrefetchRule{.kind = kind, .threshold = 0.3, .pieces = pieces};
    options.foresight = testing::guessers(geometry_, seed);
    options.sequences = std::ssize(kPrompts);
    return options;
  }
  Engine engine(const std::optional<ExpertCacheOptions>& cache = {},
                torch::ScalarType dtype = torch::kFloat32,
                Quantization quantization = Quantization::kNone) const {
    return {directory_,
            {.compute = {.dtype = dtype, .quantization = quantization},
             .expert_cache = cache,
             .routing_only = false}};
  }
  Continued run(const ExpertCacheOptions& cache) const {
    Engine cached = engine(cache);
    return continued(cached, kPrompts, kSteps);
  }
  Continued resident() const {
    Engine plain = engine();
    return continued(plain, kPrompts, kSteps);
  }

  trace::Geometry geometry_;
};

TEST_P(CachedExpertsTest, EveryPolicyAndBudgetGivesTheBitsOfResidentExperts) {
  const Continued expected = resident();
  for (const char* policy : policies()) {
    for (const int64_t slots : budgets(offload::parse_policy(policy))) {
      EXPECT_EQ(difference(run(cache_of(policy, slots)), expected), "")
          << policy << ", " << slots << " slots";
    }
  }
}

// A prompt's experts have neither slots nor room beside them: they come in parts, late and in any
// order.
TEST_P(CachedExpertsTest, SoDoExpertsThatComeInParts) {
  const Continued expected = resident();
  for (const char* policy : {"lru", "lrfu-8"}) {
    for (const bool prefetch : {false, true}) {
      ExpertCacheOptions options = cache_of(policy, geometry_.top_k);
      options.passing_slots = 1;
      options.lane = testing::faulty_lanes({.reorders = true});
      if (prefetch) options = prefetching(options, offload::PrefetchRule::Kind::kThreshold, 3, 2);
      Engine cached = engine(options);
      EXPECT_EQ(difference(continued(cached, kPrompts, kSteps), expected), "") << policy;
      EXPECT_GT(cached.expert_counts()->further_views, 0);
    }
  }
}

TEST_P(CachedExpertsTest, SoDoesEveryWayToKeepWeights) {
  for (const torch::ScalarType dtype : {torch::kFloat32, torch::kBFloat16}) {
    for (const Quantization quantization :
         {Quantization::kNone, Quantization::kInt8, Quantization::kNf4}) {
      Engine plain = engine({}, dtype, quantization);
      const Continued expected = continued(plain, kPrompts, kSteps);
      for (const int64_t slots : {int64_t{geometry_.top_k}, all() / 3}) {
        if (!thorough() && slots > geometry_.top_k) continue;
        Engine cached = engine(cache_of("lrfu-8", slots), dtype, quantization);
        EXPECT_EQ(difference(continued(cached, kPrompts, kSteps), expected), "")
            << dtype << ", " << tensor::quantization_name(quantization) << ", " << slots;
      }
    }
  }
}

// A thread moves what is foreseen while the layers run.
TEST_P(CachedExpertsTest, SoDoesPrefetchingWhateverItBrings) {
  using Kind = offload::PrefetchRule::Kind;
  const Continued expected = resident();
  int64_t prefetched = 0;
  for (const char* policy : policies()) {
    for (const int64_t slots : budgets(offload::parse_policy(policy))) {
      for (const Kind kind : {Kind::kThreshold, Kind::kValue}) {
        Engine cached =
            engine(prefetching(cache_of(policy, slots), kind, kind == Kind::kValue ? 1 : 8,
                               static_cast<uint64_t>(slots)));
        EXPECT_EQ(difference(continued(cached, kPrompts, kSteps), expected), "")
            << policy << ", " << slots << " slots";
        prefetched += cached.expert_counts()->prefetch_bytes;
      }
    }
  }
  EXPECT_GT(prefetched, 0);
}

// Copies that come late and in any order, into places that hold something else until then.
TEST_P(CachedExpertsTest, SoDoCopiesThatAreLateAndOutOfOrder) {
  const Continued expected = resident();
  for (uint64_t seed = 1; seed <= (thorough() ? 4 : 1); ++seed) {
    for (const int64_t slots : {int64_t{geometry_.top_k}, all() / 4, all() / 2}) {
      ExpertCacheOptions options = cache_of("lrfu-8", slots);
      options.lane =
          testing::faulty_lanes({.seed = seed, .most_microseconds = 30, .reorders = true});
      EXPECT_EQ(difference(run(options), expected), "") << "on demand, " << slots << " slots";
      EXPECT_EQ(
          difference(run(prefetching(options, offload::PrefetchRule::Kind::kThreshold, 4, seed)),
                     expected),
          "")
          << "prefetching, " << slots << " slots, seed " << seed;
    }
  }
}

TEST_P(CachedExpertsTest, ACopyThatFailsEndsInOneClearError) {
  for (const bool prefetch : {false, true}) {
    for (const int64_t number : {0, 17}) {
      ExpertCacheOptions options = cache_of("lru", all() / 4);
      options.lane = testing::faulty_lanes({.fails = number});
      if (prefetch) options = prefetching(options, offload::PrefetchRule::Kind::kThreshold, 2, 1);
      Engine cached = engine(options);
      const std::string error = error_of([&] { continued(cached, kPrompts, kSteps); });
      EXPECT_NE(error.find("of MoE layer"), std::string::npos) << error;
      EXPECT_NE(error.find("the cable was pulled"), std::string::npos) << error;
      EXPECT_EQ(error_of([&] { continued(cached, {3}, 1); }), error)
          << "what comes behind it is not what it was";
    }
  }
}

// What the cache counts is what the bookkeeping says of the same routing.
TEST_P(CachedExpertsTest, CountsAreThoseOfTheRouting) {
  for (const char* policy : policies()) {
    if (offload::parse_policy(policy).kind == offload::Policy::Kind::kStatic) continue;
    const int64_t slots = all() / 3;
    Engine cached = engine(cache_of(policy, slots));
    testing::RoutingRecorder recorder;
    continued(cached, {9}, kSteps, recorder);
    const ExpertCounts counts = *cached.expert_counts();
    offload::ExpertCache cache({geometry_.num_moe_layers, geometry_.num_experts},
                               offload::parse_policy(policy), slots, geometry_.top_k);
    offload::ExpertUnion experts_of(geometry_);
    std::vector<offload::FoundCount> prompt(counts.prompt.size());
    std::vector<offload::FoundCount> generated(counts.prompt.size());
    for (size_t i = 0; i < recorder.experts.size(); ++i) {
      const torch::Tensor& chosen = recorder.experts[i];
      std::vector<uint16_t> experts;
      std::vector<uint32_t> tokens;
      experts_of.append({chosen.const_data_ptr<int64_t>(), static_cast<size_t>(chosen.numel())},
                        experts, tokens);
      const int layer = recorder.moe_layers[i];
      const int64_t step = static_cast<int64_t>(i) / geometry_.num_moe_layers;
      const auto misses =
          static_cast<int64_t>(cache.serve({step, layer, experts, tokens}).misses.size());
      auto& found = (step == 0 ? prompt : generated)[static_cast<size_t>(layer)];
      found.misses += misses;
      found.hits += std::ssize(experts) - misses;
    }
    int64_t misses = 0;
    for (size_t layer = 0; layer < prompt.size(); ++layer) {
      EXPECT_EQ(counts.prompt[layer].hits, prompt[layer].hits) << policy << ", layer " << layer;
      EXPECT_EQ(counts.prompt[layer].misses, prompt[layer].misses);
      EXPECT_EQ(counts.generated[layer].hits, generated[layer].hits);
      EXPECT_EQ(counts.generated[layer].misses, generated[layer].misses);
      EXPECT_EQ(counts.generated[layer].late, 0);
      misses += prompt[layer].misses + generated[layer].misses;
    }
    EXPECT_EQ(counts.demand_bytes, misses * counts.expert_bytes) << policy;
    EXPECT_EQ(counts.prefetch_bytes, 0);
  }
}

// A step that ends in an error, here an observer's, leaves a cache that works.
TEST_P(CachedExpertsTest, AStepThatFailedIsForgotten) {
  class Thrower : public EngineObserver {
   public:
    void on_router(const RouterEvent& event) override {
      if (event.moe_layer == 3) throw std::runtime_error("enough");
    }
  };
  const Continued expected = resident();
  for (const bool prefetch : {false, true}) {
    ExpertCacheOptions options = cache_of("lru", all() / 3);
    if (prefetch) options = prefetching(options, offload::PrefetchRule::Kind::kThreshold, 3, 5);
    Engine cached = engine(options);
    Thrower thrower;
    for (int i = 0; i < 3; ++i) {
      EXPECT_THROW(continued(cached, kPrompts, kSteps, thrower), std::runtime_error);
      EXPECT_EQ(difference(continued(cached, kPrompts, kSteps), expected), "");
    }
  }
}

TEST_P(CachedExpertsTest, WhatCannotBeIsRefused) {
  EXPECT_NE(error_of([&] {
              engine(cache_of("lru", geometry_.top_k - 1));
            }).find("below what one layer needs"),
            std::string::npos);
  EXPECT_NE(error_of([&] { engine(cache_of("belady", all())); }).find("simulate"),
            std::string::npos);
}

INSTANTIATE_TEST_SUITE_P(Trained, CachedExpertsTest,
                         ::testing::Values("seed-geometry", "mini-qwen", "mini-gpt-oss",
                                           "mini-deepseek"),
                         testing::test_name);

}  // namespace
}  // namespace foregate::engine
