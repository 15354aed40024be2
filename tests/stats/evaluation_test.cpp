#include "stats/evaluation.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "base/error.h"

namespace foregate::stats {
namespace {

using ::testing::HasSubstr;

Evaluation sample_evaluation() {
  Evaluation evaluation;
  evaluation.trace = "t";
  evaluation.model = "m";
  evaluation.split = "test";
  evaluation.device = "cuda:1";
  evaluation.num_experts = 8;
  evaluation.top_k = 2;
  evaluation.num_moe_layers = 3;
  evaluation.has_control = true;
  evaluation.control_decisions = 1200;
  evaluation.control_matches = 1200;
  EvaluationRow row;
  row.predictor = "frequency";
  row.lead = "layer-1";
  row.decisions = 1200;
  row.texts = 9;
  row.metrics = {{"recall@2", {0.254, 0.25, 0.26}}, {"top-1", {0.125, 0.1, 0.2}}};
  row.slices = {{"layer", "1", 600, 9, {{"recall@2", {0.25, 0.125, 0.5}}}}};
  row.recall_by_dataset = {{"imdb", 0.25}};
  row.recall_by_layer = {{1, 0.2}, {2, 0.3}};
  row.recall_by_phase = {{"generated", 0.5}, {"prompt", 0.25}};
  row.baseline = "random";
  row.gain = {0.01, -0.02, 0.04};
  row.experts_for_recall = {{0.9, 6}, {0.99, 8}};
  row.calibration_error = 0.0125;
  row.reliability = {{700, 0.1, 0.125}, {3, 0.875, 1}};
  row.at_threshold = {0.1, 3.5, 0.75};
  row.microseconds = 2.5;
  row.flops = 2048;
  row.weight_bytes = 1'500'000;
  row.on_front = true;
  evaluation.rows = {row};
  evaluation.transfers = {{"frequency", "layer-1", "", {{"imdb", 0.25}, {"yelp", 0.5}}},
                          {"frequency", "layer-1", "imdb", {{"imdb", 0.25}, {"yelp", 0.125}}},
                          {"frequency", "layer-2", "imdb", {{"imdb", 0.25}}}};
  return evaluation;
}

TEST(EvaluationTest, JsonRoundTrip) {
  const Evaluation before = sample_evaluation();
  const Evaluation after = Evaluation::from_json(before.to_json(), "evaluation.json");
  EXPECT_EQ(after.to_json().dump(), before.to_json().dump());
  ASSERT_EQ(after.rows.size(), 1u);
  EXPECT_EQ(after.rows[0].metrics[0].first, "recall@2");
  EXPECT_EQ(after.rows[0].metrics[0].second.low, 0.25);
  EXPECT_EQ(after.rows[0].recall_by_layer, before.rows[0].recall_by_layer);
  EXPECT_EQ(after.rows[0].gain.low, -0.02);
  EXPECT_EQ(after.rows[0].recall(2), 0.254);
  EXPECT_EQ(after.rows[0].recall(4), 0);
  EXPECT_EQ(after.rows[0].reliability.at(1).pairs, 3);
  EXPECT_EQ(after.rows[0].slices.at(0).metrics.at(0).second.high, 0.5);
  EXPECT_EQ(after.transfers.at(1).recall_by_dataset, before.transfers[1].recall_by_dataset);
  EXPECT_TRUE(after.has_control);
}

TEST(EvaluationTest, ReadsWhatEarlierVersionsWrote) {
  Json json = sample_evaluation().to_json();
  for (const char* key :
       {"slices", "recall_by_phase", "gain", "experts_for_recall", "calibration_error",
        "reliability", "at_threshold", "microseconds_per_token", "flops_per_token", "weight_bytes",
        "on_front"}) {
    json["rows"][0].erase(key);
  }
  json.erase("transfers");
  json.erase("device");
  EXPECT_TRUE(Evaluation::from_json(json, "e").transfers.empty());
  const EvaluationRow row = Evaluation::from_json(json, "e").rows.at(0);
  EXPECT_TRUE(row.baseline.empty());
  EXPECT_TRUE(row.experts_for_recall.empty());
  EXPECT_FALSE(row.at_threshold.has_value());
}

TEST(EvaluationTest, FrontIsWhatNothingBeats) {
  const auto row = [](const char* lead, double recall, double flops) {
    EvaluationRow made;
    made.lead = lead;
    made.metrics = {{"recall@2", {recall, recall, recall}}};
    made.flops = flops;
    return made;
  };
  std::vector<EvaluationRow> rows = {row("layer-1", 0.5, 10), row("layer-1", 0.5, 20),
                                     row("layer-1", 0.7, 30), row("layer-1", 0.6, 30),
                                     row("layer-1", 0.2, 0),  row("layer-2", 0.1, 99)};
  mark_fronts(rows, 2);
  std::vector<bool> fronts;
  for (const EvaluationRow& each : rows) fronts.push_back(each.on_front);
  EXPECT_EQ(fronts, (std::vector<bool>{true, false, true, false, true, true}));
}

TEST(EvaluationTest, JsonWithoutControl) {
  Evaluation evaluation = sample_evaluation();
  evaluation.has_control = false;
  EXPECT_FALSE(Evaluation::from_json(evaluation.to_json(), "e").has_control);
}

TEST(EvaluationTest, BrokenJsonIsNamed) {
  Json json = sample_evaluation().to_json();
  json["rows"][0]["metrics"]["top-1"]["mean"] = 7;
  try {
    Evaluation::from_json(json, "e.json");
    FAIL() << "accepted a share of 7";
  } catch (const DataError& error) {
    EXPECT_THAT(error.what(), HasSubstr("e.json"));
    EXPECT_THAT(error.what(), HasSubstr("mean"));
  }
}

TEST(EvaluationTest, TransfersAreAMatrixForEachPredictorAndLead) {
  const Evaluation evaluation = sample_evaluation();
  const auto matrices = evaluation.transfer_matrices();
  ASSERT_EQ(matrices.size(), 2U);
  EXPECT_EQ(matrices[0].size(), 2U);
  EXPECT_EQ(matrices[1].at(0)->lead, "layer-2");
  const std::string table = evaluation.to_table();
  EXPECT_THAT(table, HasSubstr("frequency at layer-1: recall@2 on the test texts of each"));
  EXPECT_THAT(table, HasSubstr("  all                         25.0  50.0\n"));
  EXPECT_THAT(table, HasSubstr("  imdb                        25.0  12.5\n"));
}

TEST(EvaluationTest, TableSaysWhatAPersonNeeds) {
  Evaluation evaluation = sample_evaluation();
  EXPECT_THAT(evaluation.to_table(), HasSubstr("own router 100% of 1,200 decisions"));
  EXPECT_THAT(evaluation.to_table(), HasSubstr("25.4 [25.0, 26.0]"));
  EXPECT_THAT(evaluation.to_table(), HasSubstr("layer-1 (1,200 decisions in 9 texts)"));
  EXPECT_THAT(evaluation.to_table(), HasSubstr("+1.0 [-2.0, +4.0]"));
  EXPECT_THAT(evaluation.to_table(), HasSubstr("experts for 99%"));
  EXPECT_THAT(evaluation.to_table(), HasSubstr("3.50, recall 75.0"));
  EXPECT_THAT(evaluation.to_table(), HasSubstr("kFLOP/token"));
  evaluation.control_matches = 1199;
  EXPECT_THAT(evaluation.to_table(), HasSubstr("BROKEN"));
  evaluation.has_control = false;
  EXPECT_THAT(evaluation.to_table(), HasSubstr("own router not available"));
}

}  // namespace
}  // namespace foregate::stats
