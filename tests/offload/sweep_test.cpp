#include "offload/replay/sweep.h"

#include <gmock/gmock.h>

#include <cmath>

#include "memory_texts.h"
#include "support/random_trace.h"
#include "support/test_files.h"

namespace foregate::offload {
namespace {

using stats::small_geometry;
using ::testing::HasSubstr;

SweepOptions options_of(std::vector<const char*> policies, std::vector<int64_t> slots) {
  SweepOptions options;
  for (const char* name : policies) options.policies.push_back(parse_policy(name));
  options.slots = std::move(slots);
  return options;
}

std::vector<trace::Trace> random_texts(const trace::Geometry& geometry, std::vector<int> lengths) {
  Random random(3);
  std::vector<trace::Trace> texts;
  for (const int length : lengths)
    texts.push_back(stats::random_trace(geometry, "d", length, random));
  return texts;
}

TEST(Sweep, HoldsNothingOfNothing) {
  testing::MemoryTexts texts({});
  const auto geometry = small_geometry(2, 8, 2);
  const SweepResult result = sweep(geometry, texts, options_of({"lru", "lfu", "belady"}, {4}));
  EXPECT_EQ(result.tokens, 0);
  for (const SweepCell& cell : result.cells) {
    EXPECT_EQ(cell.generated.requests, 0);
    EXPECT_TRUE(std::isnan(cell.generated.rate()));
  }
}

TEST(Sweep, SaysWhyACellIsEmpty) {
  const auto geometry = small_geometry(4, 8, 2);
  testing::MemoryTexts texts(random_texts(geometry, {5}));
  const SweepResult result = sweep(geometry, texts, options_of({"lru-layer", "static"}, {7, 8}));
  EXPECT_THAT(result.cells[0].impossible, HasSubstr("give at least 8"));
  EXPECT_EQ(result.cells[1].impossible, "");
  EXPECT_THAT(result.cells[3].impossible, HasSubstr("only one text"));
}

TEST(Sweep, EverythingFitsIntoAFullCache) {
  const auto geometry = small_geometry(3, 8, 2);
  std::vector<int> lengths(40, 20);
  testing::MemoryTexts texts(random_texts(geometry, lengths));
  auto options = options_of({"lru", "lru-token", "lfu", "lrfu-8", "least-stale", "belady"}, {24});
  const SweepResult result = sweep(geometry, texts, options);
  EXPECT_EQ(result.texts, 40);
  for (const SweepCell& cell : result.cells) {
    EXPECT_EQ(cell.generated.misses(), 24) << policy_name(cell.policy);  // each once
  }
}

TEST(Sweep, BeladyIsNeverBeaten) {
  const auto geometry = small_geometry(4, 16, 2);
  testing::MemoryTexts texts(random_texts(geometry, {50, 30, 70, 1, 20}));
  auto options = options_of({"belady", "belady-demand", "lru", "lru-layer", "lru-token", "lfu",
                             "lrfu-2", "lrfu-32", "least-stale"},
                            {8, 16, 32, 50});
  options.threads = 2;
  const SweepResult result = sweep(geometry, texts, options);
  for (size_t i = 0; i < result.cells.size(); ++i) {
    const SweepCell& cell = result.cells[i];
    ASSERT_EQ(cell.impossible, "");
    EXPECT_LE(cell.generated.hits, result.cells[i % 4].generated.hits) << policy_name(cell.policy);
  }
}

TEST(Sweep, ThreadsChangeNothing) {
  const auto geometry = small_geometry(3, 12, 3);
  testing::MemoryTexts texts(random_texts(geometry, {40, 50}));
  auto options = options_of({"lru", "lfu", "lrfu-8", "static", "belady"}, {9, 12, 20});
  const SweepResult one = sweep(geometry, texts, options);
  texts.rewind();
  options.threads = 4;
  const SweepResult four = sweep(geometry, texts, options);
  for (size_t i = 0; i < one.cells.size(); ++i)
    EXPECT_EQ(one.cells[i].hits_by_layer, four.cells[i].hits_by_layer);
}

}  // namespace
}  // namespace foregate::offload
