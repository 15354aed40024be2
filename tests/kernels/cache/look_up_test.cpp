#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <numeric>
#include <string>
#include <vector>

#include "base/random.h"
#include "device_cache.h"
#include "kernels/cache/cache.h"
#include "offload/cache/expert_cache.h"
#include "random_choices.h"

// The device's books beside offload::ExpertCache's, event by event: the same misses, the same
// loads, the same victims.

namespace foregate::kernels {
namespace {

using offload::ExpertCache;
using testing::DeviceBytes;
using testing::DeviceCache;
using testing::RandomChoices;

struct Case {
  const char* policy;
  int layers;
  int experts;
  int slots;
  int tokens;
  int top_k;
  int steps;
};

void PrintTo(const Case& here, std::ostream* out) {
  *out << here.policy << " L" << here.layers << " E" << here.experts << " S" << here.slots << " T"
       << here.tokens << " k" << here.top_k;
}

CacheShape shape_of(const Case& here) {
  const offload::Policy policy = offload::parse_policy(here.policy);
  CacheShape shape{.layers = here.layers,
                   .experts = here.experts,
                   .slots = here.slots,
                   .staging = std::min(here.experts, here.tokens * here.top_k),
                   .by_layer = policy.by_layer,
                   .half_life = policy.half_life};
  using Kind = offload::Policy::Kind;
  shape.policy = policy.kind == Kind::kLru          ? SlotPolicy::kLru
                 : policy.kind == Kind::kLruByToken ? SlotPolicy::kLruByToken
                 : policy.kind == Kind::kLrfu       ? SlotPolicy::kLrfu
                 : policy.kind == Kind::kLeastStale ? SlotPolicy::kLeastStale
                                                    : SlotPolicy::kStatic;
  return shape;
}

/// What an event is to find, in the host's words.
struct Expected {
  std::vector<uint16_t> experts;
  std::vector<uint32_t> tokens;
};

Expected event_of(std::span<const int64_t> chosen) {
  Expected event;
  for (const int64_t expert : chosen) {
    const auto at = std::ranges::find(event.experts, static_cast<uint16_t>(expert));
    if (at == event.experts.end()) {
      event.experts.push_back(static_cast<uint16_t>(expert));
      event.tokens.push_back(1);
    } else {
      ++event.tokens[static_cast<size_t>(at - event.experts.begin())];
    }
  }
  return event;
}

class LookUp : public ::testing::TestWithParam<Case> {
 protected:
  void SetUp() override {
    int devices = 0;
    if (cudaGetDeviceCount(&devices) != cudaSuccess || devices == 0) {
      GTEST_SKIP() << "no CUDA device on this machine";
    }
  }
};

TEST_P(LookUp, DecidesAsTheHostDoes) {
  const Case here = GetParam();
  const CacheShape shape = shape_of(here);
  const offload::ExpertGrid grid{here.layers, here.experts};
  DeviceCache cache(shape, {16}, 16);
  Random random(7);
  std::vector<int64_t> counts(grid.size());
  for (int64_t& count : counts) count = static_cast<int64_t>(random.below(1000));
  ExpertCache reference(grid, offload::parse_policy(here.policy), here.slots, here.top_k, counts);
  std::vector<int64_t> owner(static_cast<size_t>(here.slots), -1);
  if (shape.policy == SlotPolicy::kStatic) {
    int slot = 0;
    for (size_t i = 0; i < grid.size(); ++i) {
      if (!reference.holds(static_cast<int>(i) / here.experts, static_cast<int>(i) % here.experts))
        continue;
      owner[static_cast<size_t>(slot)] = static_cast<int64_t>(i);
      cache.host().slots[slot].owner = static_cast<int32_t>(i);
      cache.host().slot_of[i] = slot++;
    }
    cache.upload();
  }

  const RandomChoices choices(here.layers, here.experts, here.tokens, here.top_k, here.steps);
  const DeviceBytes on_device(choices.all());
  int64_t misses = 0;
  for (int step = 0; step < here.steps; ++step) {
    testing::check_cuda(cache_begin_step(cache.tables(), nullptr));
    for (int layer = 0; layer < here.layers; ++layer) {
      const CacheEvent event{.layer = layer,
                             .tokens = here.tokens,
                             .top_k = here.top_k,
                             .chosen = on_device.as<int64_t>() + choices.offset(step, layer)};
      testing::check_cuda(cache_look_up(cache.tables(), event, cache.parts(), nullptr));
      cache.download();
      const Expected expected = event_of(choices.at(step, layer));
      const ExpertCache::Outcome& outcome =
          reference.serve({step, layer, expected.experts, expected.tokens});
      const CacheTables& found = cache.host();
      ASSERT_EQ(found.control->num_misses, static_cast<int>(outcome.misses.size()))
          << "step " << step << " layer " << layer;
      ASSERT_EQ(found.control->num_demands, found.control->num_misses);
      misses += found.control->num_misses;
      size_t load = 0;
      for (int i = 0; i < found.control->num_misses; ++i) {
        const Demand& demand = found.demands[i];
        ASSERT_EQ(demand.expert,
                  static_cast<int>(grid.index(layer, outcome.misses[static_cast<size_t>(i)])));
        ASSERT_EQ(found.slot_of[demand.expert], demand.slot);
        if (demand.slot >= here.slots) {
          ASSERT_LT(demand.slot, here.slots + shape.staging);
          continue;  // used once and not kept
        }
        ASSERT_LT(load, outcome.loads.size());
        ASSERT_EQ(static_cast<size_t>(demand.expert), outcome.loads[load].expert);
        ASSERT_EQ(owner[static_cast<size_t>(demand.slot)], outcome.loads[load].victim)
            << "step " << step << " layer " << layer << " miss " << i;
        if (outcome.loads[load].victim >= 0) {
          ASSERT_EQ(found.slot_of[outcome.loads[load].victim], -1);
        }
        owner[static_cast<size_t>(demand.slot)] = demand.expert;
        ++load;
      }
      ASSERT_EQ(load, outcome.loads.size());
    }
  }
  int64_t counted = 0;
  for (int layer = 0; layer < here.layers; ++layer) counted += cache.host().counts[layer].misses;
  EXPECT_EQ(counted, misses);
  EXPECT_GT(misses, 0);
}

INSTANTIATE_TEST_SUITE_P(
    Cache, LookUp,
    ::testing::Values(
        Case{"lru", 24, 60, 300, 1, 4, 120}, Case{"lru-token", 24, 60, 300, 1, 4, 120},
        Case{"lrfu-8", 24, 60, 300, 1, 4, 120},
        Case{"lrfu-0.4", 6, 60, 90, 1, 4, 260},  // scaled down on the way
        Case{"least-stale", 24, 60, 300, 1, 4, 120}, Case{"static", 24, 60, 300, 1, 4, 40},
        Case{"lru-token-layer", 24, 60, 301, 1, 4, 120},
        Case{"lrfu-32-layer", 5, 128, 133, 2, 8, 120}, Case{"lru-token", 4, 16, 4, 1, 4, 200},
        Case{"lru", 4, 16, 5, 1, 4, 200}, Case{"lru-token", 48, 128, 3000, 1, 8, 60},
        Case{"lrfu-8", 40, 256, 9000, 1, 8, 60}, Case{"lru-token", 12, 60, 200, 32, 4, 40},
        Case{"lrfu-8", 12, 128, 600, 32, 8, 40},
        Case{"least-stale", 3, 32, 20, 8, 4, 60},  // more experts than slots
        Case{"lru-token", 1, 8, 8, 1, 2, 50}));

TEST(CacheTables, FitTheirMemory) {
  const CacheShape shape{.layers = 3, .experts = 5, .slots = 7, .staging = 2};
  std::vector<std::max_align_t> memory(
      static_cast<size_t>(cache_table_bytes(shape)) / sizeof(std::max_align_t) + 8);
  const CacheTables tables = lay_out_cache(shape, memory.data());
  clear_cache(tables);
  EXPECT_EQ(tables.slot_of[14], -1);
  EXPECT_EQ(tables.slots[6].owner, -1);
  EXPECT_EQ(tables.control->step, -1);
  const auto* const end = reinterpret_cast<const char*>(tables.demands + kMostCachePairs);
  EXPECT_LE(end - reinterpret_cast<const char*>(memory.data()), cache_table_bytes(shape) + 15);
}

}  // namespace
}  // namespace foregate::kernels
