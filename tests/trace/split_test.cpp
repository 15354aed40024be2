#include "trace/split/split.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <set>

#include "base/error.h"
#include "base/random.h"
#include "support/temporary_folder.h"
#include "support/trace_fixture.h"
#include "trace/split/duplicates.h"

namespace foregate::trace {
namespace {

using ::testing::HasSubstr;

/// Texts without anything in common.
void add_texts(std::vector<SplitText>& texts, const std::string& dataset, int count,
               int tokens = 30) {
  for (int i = 0; i < count; ++i) {
    SplitText text{dataset, i, {}};
    const auto start = static_cast<int32_t>(texts.size()) * 1000;
    for (int t = 0; t < tokens; ++t) text.token_ids.push_back(start + t);
    texts.push_back(text);
  }
}

struct Counts {
  int train = 0;
  int validation = 0;
  int test = 0;
  bool operator==(const Counts&) const = default;
};

std::map<std::string, Counts> counts_of(const std::vector<SplitText>& texts,
                                        const std::vector<Split>& splits) {
  std::map<std::string, Counts> counts;
  for (size_t i = 0; i < texts.size(); ++i) {
    Counts& of_dataset = counts[texts[i].dataset];
    if (splits[i] == Split::kTrain) ++of_dataset.train;
    if (splits[i] == Split::kValidation) ++of_dataset.validation;
    if (splits[i] == Split::kTest) ++of_dataset.test;
  }
  return counts;
}

TEST(SplitTest, SharesAreExactInEveryDataset) {
  std::vector<SplitText> texts;
  add_texts(texts, "a", 1000);
  add_texts(texts, "b", 95);
  add_texts(texts, "c", 14);
  auto counts = counts_of(texts, split_texts(texts, 1));
  EXPECT_EQ(counts["a"], (Counts{800, 100, 100}));
  EXPECT_EQ(counts["b"], (Counts{75, 10, 10}));
  EXPECT_EQ(counts["c"], (Counts{12, 1, 1}));
  counts = counts_of(texts, split_texts(texts, 1, {.validation = 0.25, .test = 0}));
  EXPECT_EQ(counts["a"], (Counts{750, 250, 0}));
}

TEST(SplitTest, SmallDatasets) {
  const std::map<int, Counts> expected = {
      {1, {1, 0, 0}}, {2, {2, 0, 0}}, {3, {1, 1, 1}}, {4, {2, 1, 1}}, {5, {3, 1, 1}}};
  for (const auto& [size, counts] : expected) {
    std::vector<SplitText> texts;
    add_texts(texts, "a", size);
    EXPECT_EQ(counts_of(texts, split_texts(texts, 3))["a"], counts) << size;
  }
  EXPECT_TRUE(split_texts({}, 0).empty());
}

TEST(SplitTest, LargeHeldOutSharesLeaveATextToTrainOn) {
  std::vector<SplitText> texts;
  add_texts(texts, "a", 3);
  EXPECT_EQ(counts_of(texts, split_texts(texts, 0, {.validation = 0.45, .test = 0.5}))["a"].train,
            1);
}

TEST(SplitTest, SeedDecidesAndOrderDoesNot) {
  std::vector<SplitText> texts;
  add_texts(texts, "a", 200);
  add_texts(texts, "b", 100);
  const auto test_texts = [&](uint64_t seed) {
    std::set<std::pair<std::string, int64_t>> chosen;
    const std::vector<Split> splits = split_texts(texts, seed);
    for (size_t i = 0; i < texts.size(); ++i) {
      if (splits[i] == Split::kTest) chosen.insert({texts[i].dataset, texts[i].sample});
    }
    return chosen;
  };
  const auto first = test_texts(7);
  EXPECT_EQ(test_texts(7), first);
  EXPECT_NE(test_texts(8), first);
  Random random(1);
  random.shuffle(texts);
  EXPECT_EQ(test_texts(7), first);
}

TEST(SplitTest, IsKeptBetweenVersions) {
  // Numbers measured on one split are compared with later ones: the rule must not change silently.
  std::vector<SplitText> texts;
  add_texts(texts, "a", 20);
  std::string letters;
  for (const Split split : split_texts(texts, 42)) letters += split_name(split)[1];
  EXPECT_EQ(letters, "rrrrrrrrrarrrraerrer");
}

TEST(SplitTest, DuplicatesStayOnOneSide) {
  Random random(9);
  std::vector<SplitText> texts;
  add_texts(texts, "a", 400, 100);
  add_texts(texts, "b", 400, 100);
  for (int i = 0; i < 60; ++i) {
    SplitText copy = texts[random.below(800)];
    copy.sample = 1000 + i;
    if (i % 3 == 1) copy.dataset = "b";
    if (i % 3 == 2) copy.token_ids[80] = 9'000'000 + i;
    texts.push_back(copy);
  }
  const std::vector<size_t> groups = duplicate_groups(texts);
  const std::vector<Split> splits = split_texts(texts, 5);
  for (size_t i = 0; i < texts.size(); ++i) EXPECT_EQ(splits[i], splits[groups[i]]);
  for (size_t i = 800; i < texts.size(); ++i) EXPECT_NE(groups[i], i);
  for (const auto& [dataset, counts] : counts_of(texts, splits)) {
    const int size = counts.train + counts.validation + counts.test;
    EXPECT_NEAR(counts.test, size / 10.0, 1) << dataset;
    EXPECT_NEAR(counts.validation, size / 10.0, 1) << dataset;
  }
}

TEST(SplitTest, BigGroupsLeaveNoSplitEmptyIfThreeExist) {
  std::vector<SplitText> texts;
  add_texts(texts, "a", 3, 100);
  for (int i = 0; i < 9; ++i) {
    SplitText copy = texts[static_cast<size_t>(i % 3)];
    copy.sample = 100 + i;
    texts.push_back(copy);
  }
  const Counts counts = counts_of(texts, split_texts(texts, 1))["a"];
  EXPECT_EQ(counts, (Counts{4, 4, 4}));
}

TEST(SplitTest, OneGroupIsTrainedOn) {
  const std::vector<SplitText> texts(10, SplitText{"a", 0, {1, 2, 3}});
  EXPECT_EQ(counts_of(texts, split_texts(texts, 1))["a"], (Counts{10, 0, 0}));
}

TEST(SplitTest, ImpossibleSharesAreRefused) {
  for (const SplitOptions& options : {SplitOptions{-0.1, 0.1}, SplitOptions{0.5, 0.5}}) {
    EXPECT_THROW(split_texts({}, 0, options), UsageError);
  }
}

TEST(SplitTest, SplitsADirectoryInReadingOrder) {
  const testing::TemporaryFolder folder;
  const Manifest manifest =
      write_fixture(folder.path(), fixture_manifest(fixture_geometry()), 3, 20);
  std::vector<SplitText> texts;
  for (int i = 0; i < 60; ++i) {
    const Trace trace = fixture_trace(manifest, i, fixture_tokens(i));
    texts.push_back({trace.dataset, trace.sample, trace.token_ids});
  }
  const TraceDirectory directory(folder.path());
  EXPECT_EQ(split_traces(directory), split_texts(texts, manifest.seed));
}

TEST(SplitTest, Names) {
  EXPECT_EQ(split_name(Split::kTrain), "train");
  EXPECT_EQ(split_name(Split::kValidation), "validation");
  EXPECT_EQ(split_name(Split::kTest), "test");
}

}  // namespace
}  // namespace foregate::trace
