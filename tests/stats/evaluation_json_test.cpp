#include "stats/evaluation/json.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "base/error.h"
#include "sample_evaluation.h"

namespace foregate::stats {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

TEST(EvaluationJsonTest, RoundTrip) {
  const Evaluation before = sample_evaluation();
  const Evaluation after = evaluation_from_json(evaluation_json(before), "evaluation.json");
  EXPECT_EQ(evaluation_json(after).dump(), evaluation_json(before).dump());
  ASSERT_EQ(after.rows.size(), 1u);
  const EvaluationRow& row = after.rows[0];
  EXPECT_EQ(row.whole().metrics.front().first, recall_at(2));
  EXPECT_EQ(row.whole().metrics.front().second.low, 0.25);
  EXPECT_EQ(row.whole().decisions, 1200);
  EXPECT_EQ(row.whole().texts, 9);
  EXPECT_EQ(row.gain.low, -0.02);
  EXPECT_EQ(row.recall(2), 0.254);
  EXPECT_EQ(row.recall(4), 0);
  EXPECT_EQ(row.reliability.at(1).pairs, 3);
  ASSERT_EQ(row.slices.size(), before.rows[0].slices.size());
  for (size_t i = 0; i < row.slices.size(); ++i) {
    EXPECT_EQ(row.slices[i].part, before.rows[0].slices[i].part);
    EXPECT_EQ(row.slices[i].decisions, before.rows[0].slices[i].decisions);
  }
  EXPECT_EQ(row.slices.at(2).metrics.find(recall_at(2))->high, 0.5);
  EXPECT_EQ(after.transfers.at(1).recall_by_dataset, before.transfers[1].recall_by_dataset);
  EXPECT_TRUE(after.has_control);
}

TEST(EvaluationJsonTest, OneTextGivesNoInterval) {
  Evaluation before = sample_evaluation();
  before.rows[0].slices[0].texts = 1;
  before.rows[0].slices[1].texts = 2;
  before.rows[0].kept_start = true;
  const Json json = evaluation_json(before);
  const Json& row = json["rows"][0];
  EXPECT_EQ(row["metrics"]["recall@2"].dump(), R"({"mean":0.254,"low":null,"high":null})");
  EXPECT_TRUE(row["gain"]["low"].is_null());
  EXPECT_EQ(row["slices"][0]["metrics"]["recall@2"]["low"], 0.25);
  const EvaluationRow after = evaluation_from_json(json, "evaluation.json").rows.at(0);
  EXPECT_EQ(*after.whole().metrics.find(recall_at(2)), (Interval{0.254, 0.254, 0.254}));
  EXPECT_EQ(after.gain, (Interval{0.01, 0.01, 0.01}));
  EXPECT_TRUE(after.kept_start);
}

TEST(EvaluationJsonTest, ReadsWhatEarlierVersionsWrote) {
  Json json = evaluation_json(sample_evaluation());
  for (const char* key :
       {"slices", "recall_by_phase", "gain", "experts_for_recall", "calibration_error",
        "reliability", "at_threshold", "microseconds_per_token", "flops_per_token", "weight_bytes",
        "on_front"}) {
    json["rows"][0].erase(key);
  }
  json.erase("transfers");
  json.erase("device");
  EXPECT_TRUE(evaluation_from_json(json, "e").transfers.empty());
  const EvaluationRow row = evaluation_from_json(json, "e").rows.at(0);
  EXPECT_TRUE(row.baseline.empty());
  EXPECT_TRUE(row.experts_for_recall.empty());
  EXPECT_FALSE(row.at_threshold.has_value());
}

/// A row as they were before slices.
constexpr const char* kOldEvaluation = R"({
  "trace": "t", "model": "m", "split": "test", "num_experts": 8, "top_k": 2, "num_moe_layers": 3, "control": null,
  "rows": [{"predictor": "frequency", "lead": "layer-1", "decisions": 1200, "texts": 9,
            "learned_texts": 0, "metrics": {"recall@2": {"mean": 0.25, "low": 0.125, "high": 0.5}},
            "recall_by_dataset": {"imdb": 0.25, "yelp": 0.5},
            "recall_by_layer": [{"moe_layer": 1, "recall": 0.75}, {"moe_layer": 2, "recall": 1}],
            "recall_by_phase": {"generated": 0.5, "prompt": 0.125}}]})";

TEST(EvaluationJsonTest, PartsOfEarlierVersionsAreSlicesOfRecallAlone) {
  const Json json = parse_json(kOldEvaluation, "old.json");
  const EvaluationRow row = evaluation_from_json(json, "old.json").rows.at(0);
  ASSERT_EQ(row.slices.size(), 7U);
  EXPECT_EQ(row.recall(2), 0.25);
  EXPECT_EQ(row.recall_by_dataset(2),
            (std::map<std::string, double>{{"imdb", 0.25}, {"yelp", 0.5}}));
  EXPECT_EQ(row.recalls(Part::By::kLayer, 2).at(1), std::pair(Part::moe_layer(2), 1.0));
  EXPECT_EQ(row.recalls(Part::By::kPhase, 2).at(1), std::pair(Part::phase("prompt"), 0.125));
  EXPECT_EQ(row.slices.at(1).decisions, 0);  // Not known.
  EXPECT_EQ(*row.slices.at(1).metrics.find(recall_at(2)), (Interval{0.25, 0.25, 0.25}));
}

/// What the version before this layout of the program wrote, byte by byte.
constexpr const char* kWritten =
    R"({"trace":"t","model":"m","split":"test","num_experts":8,"top_k":2,"num_moe_layers":3,"device":"cuda:1",)"
    R"("control":{"decisions":1200,"matches":1200},"rows":[{"predictor":"frequency","lead":"layer-1",)"
    R"("decisions":1200,"texts":9,"learned_texts":0,"metrics":{)"
    R"("recall@2":{"mean":0.254,"low":0.25,"high":0.26},"top-1":{"mean":0.125,"low":0.1,"high":0.2}},"slices":[)"
    R"({"by":"dataset","part":"imdb","decisions":1200,"texts":9,"metrics":{"recall@2":{"mean":0.254,"low":0.25,"high":0.26}}},)"
    R"({"by":"layer","part":"1","decisions":600,"texts":9,"metrics":{"recall@2":{"mean":0.25,"low":0.125,"high":0.5}}},)"
    R"({"by":"layer","part":"2","decisions":600,"texts":9,"metrics":{"recall@2":{"mean":0.3,"low":0.25,"high":0.375}}},)"
    R"({"by":"phase","part":"generated","decisions":400,"texts":5,"metrics":{"recall@2":{"mean":0.5,"low":0.4,"high":0.6}}},)"
    R"({"by":"phase","part":"prompt","decisions":800,"texts":9,"metrics":{"recall@2":{"mean":0.25,"low":0.2,"high":0.3}}}],)"
    R"("recall_by_dataset":{"imdb":0.254},"recall_by_layer":[{"moe_layer":1,"recall":0.25},{"moe_layer":2,"recall":0.3}],)"
    R"("recall_by_phase":{"generated":0.5,"prompt":0.25},)"
    R"("experts_for_recall":[{"recall":0.9,"experts":6},{"recall":0.99,"experts":8}],"calibration_error":0.0125,)"
    R"("reliability":[{"pairs":700,"stated":0.1,"chosen":0.125},{"pairs":3,"stated":0.875,"chosen":1.0}],)"
    R"("microseconds_per_token":2.5,"flops_per_token":2048.0,"weight_bytes":1500000,"on_front":true,)"
    R"("gain":{"mean":0.01,"low":-0.02,"high":0.04,"over":"random"},)"
    R"("at_threshold":{"probability":0.1,"experts":3.5,"recall":0.75}}],"transfers":[)"
    R"({"predictor":"frequency","lead":"layer-1","learned_from":"","recall_by_dataset":{"imdb":0.25,"yelp":0.5}},)"
    R"({"predictor":"frequency","lead":"layer-1","learned_from":"imdb","recall_by_dataset":{"imdb":0.25,"yelp":0.125}},)"
    R"({"predictor":"frequency","lead":"layer-2","learned_from":"imdb","recall_by_dataset":{"imdb":0.25}}]})";

TEST(EvaluationJsonTest, WritesTheSameBytesAsEver) {
  EXPECT_EQ(evaluation_json(sample_evaluation()).dump(), kWritten);
  const Json json = parse_json(kWritten, "e.json");
  EXPECT_EQ(evaluation_json(evaluation_from_json(json, "e.json")).dump(), kWritten);
}

TEST(EvaluationJsonTest, WithoutControl) {
  Evaluation evaluation = sample_evaluation();
  evaluation.has_control = false;
  EXPECT_FALSE(evaluation_from_json(evaluation_json(evaluation), "e").has_control);
}

TEST(EvaluationJsonTest, WhatIsBrokenIsNamed) {
  Json json = evaluation_json(sample_evaluation());
  json["rows"][0]["metrics"]["top-1"]["mean"] = 7;
  try {
    evaluation_from_json(json, "e.json");
    FAIL() << "accepted a share of 7";
  } catch (const DataError& error) {
    EXPECT_THAT(error.what(), HasSubstr("e.json"));
    EXPECT_THAT(error.what(), HasSubstr("mean"));
  }
}

TEST(EvaluationJsonTest, UnknownMetricsAndPartsAreRefused) {
  const auto message = [](const auto& change) -> std::string {
    Json json = evaluation_json(sample_evaluation());
    change(json["rows"][0]);
    try {
      evaluation_from_json(json, "e.json");
    } catch (const DataError& error) {
      return error.what();
    }
    return "no error";
  };
  EXPECT_THAT(message([](Json& row) { row["metrics"]["luck@4"] = row["metrics"]["recall@2"]; }),
              AllOf(HasSubstr("luck@4"), HasSubstr("gate-mass@M")));
  EXPECT_THAT(message([](Json& row) { row["slices"][0]["by"] = "author"; }),
              AllOf(HasSubstr("author"), HasSubstr("dataset, layer or phase")));
  EXPECT_THAT(message([](Json& row) { row["slices"][1]["part"] = "first"; }),
              AllOf(HasSubstr("first"), HasSubstr("MoE layer")));
}

}  // namespace
}  // namespace foregate::stats
