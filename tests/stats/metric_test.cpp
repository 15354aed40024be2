#include "stats/evaluation/metric.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace foregate::stats {
namespace {

TEST(MetricTest, KeysHaveNamesAndNamesHaveKeys) {
  const std::pair<MetricKey, const char*> named[] = {
      {{Metric::kRecall, 4}, "recall@4"},
      {{Metric::kExactSet, 8}, "exact-set@8"},
      {{Metric::kGateMass, 128}, "gate-mass@128"},
      {{Metric::kTop1, 0}, "top-1"},
  };
  for (const auto& [key, name] : named) {
    EXPECT_EQ(metric_name(key), name);
    EXPECT_EQ(parse_metric(name), key) << name;
  }
}

TEST(MetricTest, WhatIsNoNameHasNoKey) {
  for (const char* name :
       {"", "recall", "recall@", "recall@0", "recall@-4", "recall@4 ", "recall@4x",
        "recall@99999999999", "Recall@4", "top-1@4", "top-2", "@4", "gate@4"}) {
    EXPECT_EQ(parse_metric(name), std::nullopt) << name;
  }
}

TEST(MetricTest, KeysAreInTheOrderInWhichTheyAreShown) {
  std::vector<std::string> names;
  for (const MetricKey& key : metric_keys({4, 8})) names.push_back(metric_name(key));
  EXPECT_THAT(names, ::testing::ElementsAre("recall@4", "exact-set@4", "gate-mass@4", "recall@8",
                                            "exact-set@8", "gate-mass@8", "top-1"));
}

TEST(MetricTest, ATableKeepsItsOrderAndFindsByKey) {
  const MetricTable table = {{{Metric::kTop1, 0}, {0.5, 0.25, 0.75}}, {recall_at(4), {1, 1, 1}}};
  EXPECT_EQ(table.front().first.kind, Metric::kTop1);
  ASSERT_NE(table.find(recall_at(4)), nullptr);
  EXPECT_EQ(table.find(recall_at(4))->mean, 1);
  EXPECT_EQ(table.find(recall_at(8)), nullptr);
  EXPECT_EQ(table.find({Metric::kExactSet, 4}), nullptr);
}

}  // namespace
}  // namespace foregate::stats
