#include "offload/cache/expert_cache.h"

#include <gmock/gmock.h>

#include "base/random.h"
#include "support/test_files.h"

namespace foregate::offload {
namespace {

using ::testing::ElementsAre;
using testing::error_of;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr ExpertGrid kGrid{2, 4};

/// Serves one event; the experts that were missing.
std::vector<uint16_t> serve(ExpertCache& cache, int64_t step, int layer,
                            std::vector<uint16_t> experts) {
  return cache.serve({step, layer, experts}).misses;
}

TEST(Policy, NamesAreReadBack) {
  for (const char* name : {"lru", "lru-layer", "lru-token", "lfu", "lrfu-8", "lrfu-0.5",
                           "lrfu-32-layer", "least-stale", "static", "belady", "belady-demand"}) {
    EXPECT_EQ(policy_name(parse_policy(name)), name);
  }
  for (const Policy& policy : default_policies()) {
    EXPECT_EQ(parse_policy(policy_name(policy)), policy);
  }
}

TEST(Policy, RefusesOtherNames) {
  for (const char* name : {"", "LRU", "lrfu", "lrfu-", "lrfu-0", "lrfu--1", "lrfu-nan", "fifo"}) {
    EXPECT_THAT(error_of([&] { parse_policy(name); }),
                HasSubstr(std::string("there is no cache policy '") + name + "'"));
  }
}

TEST(ExpertCache, TellsWhatLeavesItsSlot) {
  ExpertCache cache(kGrid, parse_policy("lru"), 3, 2);
  const std::vector<uint16_t> first{0, 1};
  const ExpertCache::Outcome& outcome = cache.serve({0, 0, first});
  EXPECT_THAT(outcome.misses, ElementsAre(0, 1));
  ASSERT_EQ(outcome.loads.size(), 2u);
  EXPECT_EQ(outcome.loads[0].victim, ExpertCache::kFreeSlot);
  const std::vector<uint16_t> second{2, 3};
  cache.serve({0, 1, second});
  ASSERT_EQ(outcome.loads.size(), 2u);
  EXPECT_EQ(outcome.loads[0].victim, ExpertCache::kFreeSlot);
  EXPECT_EQ(outcome.loads[1].expert, kGrid.index(1, 3));
  EXPECT_EQ(outcome.loads[1].victim, static_cast<int64_t>(kGrid.index(0, 0)));
  EXPECT_FALSE(cache.holds(0, 0));
  EXPECT_TRUE(cache.holds(0, 1));
}

TEST(ExpertCache, NeverEvictsWhatTheEventUses) {
  for (const char* name : {"lru", "lru-token", "lfu", "lrfu-1", "least-stale"}) {
    ExpertCache cache(kGrid, parse_policy(name), 2, 2);
    serve(cache, 0, 0, {0, 1});
    EXPECT_THAT(serve(cache, 1, 0, {2, 1}), ElementsAre(2)) << name;
    EXPECT_TRUE(cache.holds(0, 1)) << name;
    EXPECT_TRUE(cache.holds(0, 2)) << name;
  }
}

TEST(ExpertCache, ByTokenKeepsWhatIsNeededNext) {
  // One slot less than a token's cycle. A plain LRU cache loses all of it, this one a single layer
  // and whatever takes its place.
  for (const auto& [name, misses] : {std::pair{"lru", 3}, std::pair{"lru-token", 2}}) {
    ExpertCache cache({3, 2}, parse_policy(name), 2, 1);
    size_t found = 0;
    for (int64_t step = 0; step < 2; ++step) {
      found = 0;
      for (int layer = 0; layer < 3; ++layer) found += serve(cache, step, layer, {0}).size();
    }
    EXPECT_EQ(found, static_cast<size_t>(misses)) << name;
  }
}

TEST(ExpertCache, LrfuForgetsAtItsHalfLife) {
  ExpertCache cache({1, 8}, parse_policy("lrfu-1"), 2, 1);
  for (int64_t step = 0; step < 5; ++step) serve(cache, step, 0, {0});  // worth almost 2 then
  serve(cache, 5, 0, {1});
  serve(cache, 6, 0, {2});  // 0 is worth less than 1/2 by now, 1 exactly that
  EXPECT_TRUE(cache.holds(0, 1));
  EXPECT_FALSE(cache.holds(0, 0));
}

TEST(ExpertCache, LrfuStandsLongRuns) {
  ExpertCache cache({1, 4}, parse_policy("lrfu-0.01"), 2, 1);
  for (int64_t step = 0; step < 1000; ++step) {
    const auto misses = serve(cache, step, 0, {static_cast<uint16_t>(step % 2)});
    EXPECT_EQ(misses.size(), step < 2 ? 1u : 0u);
  }
  EXPECT_THAT(serve(cache, 1000, 0, {3}), ElementsAre(3));
  EXPECT_FALSE(cache.holds(0, 0));
  EXPECT_TRUE(cache.holds(0, 1));
}

TEST(ExpertCache, LargePromptsPassThrough) {
  ExpertCache cache(kGrid, parse_policy("lru"), 3, 2);
  serve(cache, 0, 1, {0, 1});
  EXPECT_THAT(serve(cache, 1, 0, {0, 1, 2, 3}), ElementsAre(0, 1, 2, 3));
  EXPECT_TRUE(cache.holds(1, 0));
  EXPECT_TRUE(cache.holds(1, 1));
  EXPECT_TRUE(cache.holds(0, 0));  // in the slot that was free
  EXPECT_FALSE(cache.holds(0, 1));
}

TEST(ExpertCache, BypassKeepsTheMoreValuable) {
  ExpertCache cache({1, 4}, parse_policy("belady"), 1, 1);
  const std::vector<uint16_t> first{0}, second{1};
  const std::vector<int64_t> soon{2}, never{kNeverUsed};
  cache.serve({0, 0, first, {}, soon});
  EXPECT_THAT(cache.serve({1, 0, second, {}, never}).loads, IsEmpty());
  EXPECT_TRUE(cache.holds(0, 0));
}

TEST(ExpertCache, PinnedExpertsStay) {
  ExpertCache cache(kGrid, parse_policy("lru"), 2, 1);
  const auto load = cache.insert(kGrid.index(1, 3), 0);
  ASSERT_TRUE(load);
  EXPECT_EQ(load->victim, ExpertCache::kFreeSlot);
  serve(cache, 0, 0, {0});
  serve(cache, 0, 0, {1});
  serve(cache, 0, 0, {2});
  EXPECT_TRUE(cache.holds(1, 3));
  cache.unpin(kGrid.index(1, 3));
  serve(cache, 0, 0, {3});
  EXPECT_FALSE(cache.holds(1, 3));
  EXPECT_TRUE(cache.holds(0, 2));
}

TEST(ExpertCache, PassesThroughWhereAllIsPinned) {
  ExpertCache cache(kGrid, parse_policy("lru"), 2, 1);
  ASSERT_TRUE(cache.insert(kGrid.index(1, 0), 0));
  ASSERT_TRUE(cache.insert(kGrid.index(1, 1), 0));
  EXPECT_FALSE(cache.insert(kGrid.index(1, 2), 0));
  const std::vector<uint16_t> experts{0};
  EXPECT_THAT(cache.serve({0, 0, experts}).loads, IsEmpty());
  cache.remove(kGrid.index(1, 0));
  EXPECT_EQ(cache.serve({0, 0, experts}).loads.size(), 1u);
}

TEST(ExpertCache, RefusesLessThanOneLayerNeeds) {
  EXPECT_EQ(error_of([] { ExpertCache(kGrid, parse_policy("lru"), 1, 2); }),
            "a cache of 1 expert is below what one layer needs under lru (2); give at least 2");
  EXPECT_THAT(error_of([] { ExpertCache(kGrid, parse_policy("lru-layer"), 3, 2); }),
              HasSubstr("2 in each of 2 layers); give at least 4"));
}

TEST(ExpertCache, StaticHoldsTheMostUsed) {
  const std::vector<int64_t> counts{1, 9, 0, 5, 7, 5, 0, 0};
  ExpertCache global(kGrid, parse_policy("static"), 3, 1, counts);
  EXPECT_THAT(serve(global, 0, 0, {0, 1, 2, 3}), ElementsAre(0, 2));
  EXPECT_THAT(serve(global, 0, 1, {0, 1, 2, 3}), ElementsAre(1, 2, 3));
  ExpertCache layered(kGrid, parse_policy("static-layer"), 2, 1, counts);
  EXPECT_THAT(serve(layered, 0, 0, {0, 1}), ElementsAre(0));
  EXPECT_THAT(serve(layered, 0, 1, {0, 1}), ElementsAre(1));
}

// A cache that is told what another remembers decides as that one does.
TEST(ExpertCache, GoesOnWhereAnotherStopped) {
  constexpr ExpertGrid kWide{3, 12};
  for (const char* name : {"lru", "lru-layer", "lru-token", "lfu", "lfu-layer", "lrfu-0.3",
                           "lrfu-4-layer", "least-stale"}) {
    Random random(5);
    ExpertCache one(kWide, parse_policy(name), 14, 2);
    ExpertCache other(kWide, parse_policy(name), 14, 2);
    for (int64_t step = 0; step < 300; ++step) {
      if (step % 7 == 3) {
        other.reset();
        other.remember(one.memory());
      }
      for (int layer = 0; layer < kWide.num_layers; ++layer) {
        const auto first = static_cast<uint16_t>(random.below(12));
        const auto second = static_cast<uint16_t>((first + 1 + random.below(11)) % 12);
        EXPECT_EQ(serve(other, step, layer, {first, second}),
                  serve(one, step, layer, {first, second}))
            << name << ", step " << step;
      }
    }
  }
}

}  // namespace
}  // namespace foregate::offload
