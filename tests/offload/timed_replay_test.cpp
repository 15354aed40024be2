#include "offload/time/timed_replay.h"

#include <gtest/gtest.h>

#include "support/test_files.h"
#include "time_texts.h"

namespace foregate::offload {
namespace {

using stats::small_geometry;
using testing::plain_options;
using testing::run_timed;
using testing::sticky_texts;

PrefetchRule threshold_of(double threshold, int depth = 8) {
  PrefetchRule rule;
  rule.kind = PrefetchRule::Kind::kThreshold;
  rule.threshold = threshold;
  rule.depth = depth;
  return rule;
}

TEST(TimedReplay, AddsUpByHand) {
  // Two layers of one expert each; the second token asks for another expert of layer 1.
  const auto geometry = small_geometry(2, 4, 1);
  const auto text = stats::trace_of(geometry, "d", {0, 1, 0, 2});
  const TimedResult result = run_timed(geometry, {text}, plain_options("lru", 4, 2));
  EXPECT_EQ(result.generated.misses, 3);
  EXPECT_EQ(result.generated.hits, 1);
  EXPECT_NEAR(result.seconds, 4 * 51e-6 + 3 * 100e-6, 1e-12);
  EXPECT_NEAR(result.compute_seconds, 4 * 51e-6, 1e-12);
  EXPECT_NEAR(result.demand_seconds, 3 * 100e-6, 1e-12);
  EXPECT_NEAR(result.bound_seconds, 200e-6 + 102e-6, 1e-12);
  EXPECT_DOUBLE_EQ(result.demand_bytes, 3e6);
}

TEST(TimedReplay, OverlapsHitsWithTransfers) {
  // Both experts at once: the one that is there computes while the other comes.
  const auto geometry = small_geometry(1, 4, 2);
  const auto text = stats::trace_of(geometry, "d", {0, 1, 0, 2});
  auto options = plain_options("lru", 4, 1);
  options.model.expert_bytes = 1e6;
  options.hardware.device_bytes_per_second = 2e10;  // 50 us an expert
  const TimedResult result = run_timed(geometry, {text}, options);
  // First token: 50 + max(100) + 50 | 200 + 50. Second: 50 + max(50, 100) + 50.
  EXPECT_NEAR(result.seconds, (50 + 200 + 50 + 50 + 100 + 50) * 1e-6, 1e-12);
}

TEST(TimedReplay, PrefetchHidesWhatItCan) {
  const auto geometry = small_geometry(2, 8, 1);
  const auto text = stats::trace_of(geometry, "d", {0, 1, 2, 3, 4, 5});
  auto options = plain_options("lru", 8, 2);
  options.prefetch = threshold_of(0.5);
  options.prefetch->pieces = 1;
  const TimedResult result = run_timed(geometry, {text}, options, make_oracle(geometry, 2));
  // A token: both experts from its beginning on, at 100 and 200 us; 50 us compute before each.
  EXPECT_NEAR(result.seconds, 3 * 201e-6, 1e-12);
  EXPECT_EQ(result.generated.late, 6);
  EXPECT_DOUBLE_EQ(result.useful_bytes, 6e6);
  EXPECT_DOUBLE_EQ(result.wasted_bytes, 0);
}

TEST(TimedReplay, InfiniteLinkIsResident) {
  const auto geometry = small_geometry(4, 16, 2);
  const auto texts = sticky_texts(geometry, 3, 40);
  auto options = plain_options("lru-token", 8, 4);
  options.hardware.host_to_device.points = {{1e6, 1e30}};
  const TimedResult small = run_timed(geometry, texts, options);
  EXPECT_GT(small.generated.misses, 100);
  EXPECT_NEAR(small.seconds, small.compute_seconds, 1e-12);
  options.slots = 64;
  EXPECT_NEAR(run_timed(geometry, texts, options).seconds, small.seconds, 1e-12);
}

TEST(TimedReplay, BytesWithoutCostAreCompute) {
  const auto geometry = small_geometry(3, 8, 2);
  auto options = plain_options("lru", 6, 3);
  options.model.expert_bytes = 0;
  const TimedResult result = run_timed(geometry, sticky_texts(geometry, 2, 30), options);
  EXPECT_NEAR(result.seconds, 60 * 3 * 50e-6, 1e-9);
}

/// Foresees three experts a layer that no text ever uses: recall 0, for good. (A wrong guess of a
/// real predictor may be of use later.)
class Worthless : public Foresight {
 public:
  Worthless(int num_layers, int lead, int first_unused)
      : num_layers_(num_layers), lead_(lead), first_unused_(first_unused) {}

  void at_step(const Step& step, std::vector<Guess>& guesses) override {
    for (int layer = 0; layer < lead_; ++layer) guess(step, layer, guesses);
  }
  void at_router(const Step& step, int layer, std::vector<Guess>& guesses) override {
    if (layer + lead_ < num_layers_) guess(step, layer + lead_, guesses);
  }

 private:
  void guess(const Step& step, int layer, std::vector<Guess>& guesses) const {
    for (int i = 0; i < 3; ++i) {
      const auto expert = first_unused_ + (static_cast<int>(step.number) + i) % 8;
      guesses.push_back({layer, static_cast<uint16_t>(expert), 1});
    }
  }

  int num_layers_;
  int lead_;
  int first_unused_;
};

TEST(TimedReplay, OracleIsNeverSlowerAndWorthlessForesightNeverFaster) {
  const auto used = small_geometry(6, 24, 3);
  const auto geometry = small_geometry(6, 32, 3);
  for (const uint64_t seed : {1, 2, 3}) {
    const auto texts = sticky_texts(used, 4, 60, seed);
    for (const char* policy : {"lru", "lru-token", "lrfu-8", "lfu", "least-stale", "lru-layer"}) {
      for (const int64_t slots : {30, 60, 100, 192}) {
        for (const double expert_megabytes : {0.1, 0.5, 2.0}) {
          auto options = plain_options(policy, slots, 6);
          options.model.expert_bytes = expert_megabytes * 1e6;
          const double on_demand = run_timed(geometry, texts, options).seconds;
          for (const int depth : {1, 3}) {
            options.prefetch = threshold_of(0, depth);
            const auto oracle = run_timed(geometry, texts, options, make_oracle(geometry, depth));
            EXPECT_LE(oracle.seconds, on_demand) << policy << " " << slots << " depth " << depth;
            const auto blind =
                run_timed(geometry, texts, options, std::make_unique<Worthless>(6, depth, 24));
            EXPECT_GE(blind.seconds, on_demand) << policy << " " << slots << " depth " << depth;
            EXPECT_EQ(blind.useful_bytes, 0);
          }
        }
      }
    }
  }
}

TEST(TimedReplay, NeverBeatsItsBound) {
  const auto geometry = small_geometry(5, 16, 2);
  const auto texts = sticky_texts(geometry, 3, 50);
  for (const int64_t slots : {10, 30, 60}) {
    auto options = plain_options("lrfu-8", slots, 5);
    options.prefetch = threshold_of(0.5);
    const auto result = run_timed(geometry, texts, options, make_oracle(geometry, 5));
    EXPECT_GE(result.seconds, result.bound_seconds);
    EXPECT_GE(result.bound_seconds, result.resident_seconds);
  }
}

TEST(TimedReplay, CountsLikeTheCacheAlone) {
  const auto geometry = small_geometry(4, 16, 2);
  const auto texts = sticky_texts(geometry, 5, 40);
  for (const char* policy : {"lru", "lru-token", "lfu", "lrfu-8", "least-stale", "lru-layer"}) {
    const TimedResult timed = run_timed(geometry, texts, plain_options(policy, 24, 4));
    ExpertCache cache({4, 16}, parse_policy(policy), 24, 2);
    testing::MemoryTexts source(texts);
    StepStream steps(source, {});
    ExpertUnion experts_of(geometry);
    int64_t misses = 0;
    for (Step step; steps.next(step);) {
      for (int layer = 0; layer < 4; ++layer) {
        std::vector<uint16_t> experts;
        std::vector<uint32_t> counts;
        experts_of.append(step, layer, experts, counts);
        misses += static_cast<int64_t>(cache.serve({step.number, layer, experts}).misses.size());
      }
    }
    EXPECT_EQ(timed.generated.misses, misses) << policy;
  }
}

TEST(TimedReplay, CpuTakesWhatTheLinkWouldHoldUp) {
  const auto geometry = small_geometry(3, 16, 4);
  const auto texts = sticky_texts(geometry, 2, 40);
  auto options = plain_options("lru", 12, 3);
  const double on_demand = run_timed(geometry, texts, options).seconds;
  options.cpu_experts = true;
  EXPECT_EQ(run_timed(geometry, texts, options).seconds, on_demand);  // a host without a rate
  options.hardware.host_bytes_per_second = 2e10;
  options.hardware.host_bytes_per_second_beside_link = 1e10;
  const TimedResult both = run_timed(geometry, texts, options);
  EXPECT_LT(both.seconds, on_demand);
  EXPECT_GT(both.generated.on_cpu, 0);
  options.hardware.host_seconds = 1;  // never worth it
  EXPECT_EQ(run_timed(geometry, texts, options).generated.on_cpu, 0);
}

TEST(TimedReplay, StorageIsSlowerThanHostMemory) {
  const auto geometry = small_geometry(3, 16, 2);
  const auto texts = sticky_texts(geometry, 2, 40);
  auto options = plain_options("lru", 12, 3);
  const double in_memory = run_timed(geometry, texts, options).seconds;
  options.hardware.storage_to_host = {0, {{1e6, 2e9}}};
  options.host_slots = 48;
  EXPECT_EQ(run_timed(geometry, texts, options).seconds, in_memory);
  options.host_slots = 24;
  const TimedResult tiered = run_timed(geometry, texts, options);
  EXPECT_GT(tiered.storage_reads, 0);
  EXPECT_GT(tiered.seconds, in_memory);
}

TEST(TimedReplay, PromptsGiveTheTimeToTheFirstToken) {
  const auto geometry = small_geometry(2, 8, 2);
  auto texts = sticky_texts(geometry, 2, 10);
  for (trace::Trace& text : texts) text.prompt_tokens = 6;
  const TimedResult result =
      run_timed(geometry, texts, plain_options("lru", 16, 2), nullptr, {1, false, 4});
  EXPECT_EQ(result.first_token_seconds.count(), 2);
  EXPECT_EQ(result.token_seconds.count(), 8);
  EXPECT_GT(result.prompt.requests(), 0);
}

TEST(StandIn, HasThePrecisionAndRecallAskedFor) {
  const auto geometry = small_geometry(4, 64, 6);
  const auto texts = sticky_texts(geometry, 1, 500);
  const auto stand_in = make_stand_in(geometry, {0.7, 0.5, 1, 3});
  testing::MemoryTexts source(texts);
  StepStream steps(source, {});
  int64_t right = 0, told = 0, needed = 0;
  for (Step step; steps.next(step);) {
    std::vector<Guess> guesses;
    stand_in->at_step(step, guesses);
    for (int layer = 0; layer < 4; ++layer) stand_in->at_router(step, layer, guesses);
    for (const Guess& guess : guesses) {
      const auto first = step.text->experts.begin() + (step.first_token * 4 + guess.layer) * 6;
      right += std::find(first, first + 6, guess.expert) != first + 6;
    }
    told += static_cast<int64_t>(guesses.size());
    needed += 24;
  }
  EXPECT_NEAR(static_cast<double>(right) / static_cast<double>(needed), 0.7, 0.02);
  EXPECT_NEAR(static_cast<double>(right) / static_cast<double>(told), 0.5, 0.02);
}

}  // namespace
}  // namespace foregate::offload
