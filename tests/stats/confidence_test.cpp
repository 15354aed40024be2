#include "stats/evaluation/confidence.h"

#include <gtest/gtest.h>

#include <array>

namespace foregate::stats {
namespace {

TEST(Confidence, ErrorOfWhatWasStated) {
  ConfidenceScore score(0.5);
  EXPECT_EQ(score.calibration_error(), 0);
  EXPECT_EQ(score.recall(), 0);
  const std::array<float, 4> stated = {0.9F, 0.52F, 0.1F, 0.02F};
  const std::array<uint16_t, 2> chosen = {0, 2};
  score.add(stated, chosen);
  // Every pair has a bin of its own: |0.9 - 1|, |0.52 - 0|, |0.1 - 1|, |0.02 - 0|.
  EXPECT_NEAR(score.calibration_error(), (0.1 + 0.52 + 0.9 + 0.02) / 4, 1e-6);
  EXPECT_EQ(score.mean_fetched(), 2);
  EXPECT_EQ(score.recall(), 0.5);
}

TEST(Confidence, WhatHoldsOnAverageIsNoError) {
  ConfidenceScore score;
  const std::array<float, 2> stated = {0.5F, 0.5F};
  const std::array<uint16_t, 1> first = {0};
  const std::array<uint16_t, 1> second = {1};
  score.add(stated, first);
  ConfidenceScore other;
  other.add(stated, second);
  score.add(other);
  EXPECT_NEAR(score.calibration_error(), 0, 1e-9);
  EXPECT_EQ(score.mean_fetched(), 0);
}

TEST(Confidence, BinsHoldWhatWasStatedAndWhatCame) {
  ConfidenceScore score;
  EXPECT_TRUE(score.reliability().empty());
  const std::array<float, 4> stated = {0.91F, 0.93F, 0.12F, 0.0F};
  const std::array<uint16_t, 1> first = {0};
  score.add(stated, first);
  const std::vector<ReliabilityBin> bins = score.reliability();
  ASSERT_EQ(bins.size(), 3U);
  EXPECT_EQ(bins[0].pairs, 1);
  EXPECT_EQ(bins[0].chosen, 0);
  EXPECT_NEAR(bins[1].stated, 0.12, 1e-6);
  EXPECT_EQ(bins[2].pairs, 2);
  EXPECT_NEAR(bins[2].stated, 0.92, 1e-6);
  EXPECT_EQ(bins[2].chosen, 0.5);
}

TEST(Confidence, CertaintyFallsIntoTheLastBin) {
  ConfidenceScore score(1);
  const std::array<float, 2> stated = {1.0F, 0.0F};
  const std::array<uint16_t, 1> chosen = {0};
  score.add(stated, chosen);
  EXPECT_EQ(score.calibration_error(), 0);
  EXPECT_EQ(score.recall(), 1);
}

}  // namespace
}  // namespace foregate::stats
