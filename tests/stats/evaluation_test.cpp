#include "stats/evaluation/evaluation.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "sample_evaluation.h"
#include "stats/evaluation/pareto_front.h"

namespace foregate::stats {
namespace {

using ::testing::ElementsAre;
using ::testing::Pair;

TEST(EvaluationTest, RecallOfPartsComesFromTheirSlices) {
  const EvaluationRow row = sample_evaluation().rows.at(0);
  EXPECT_EQ(row.recall(2), 0.254);
  EXPECT_EQ(row.recall(4), 0);
  EXPECT_THAT(row.recall_by_dataset(2), ElementsAre(Pair("imdb", 0.254)));
  EXPECT_THAT(row.recalls(Part::By::kLayer, 2),
              ElementsAre(Pair(Part::moe_layer(1), 0.25), Pair(Part::moe_layer(2), 0.3)));
  EXPECT_THAT(row.recalls(Part::By::kPhase, 2),
              ElementsAre(Pair(Part::phase("generated"), 0.5), Pair(Part::phase("prompt"), 0.25)));
  EXPECT_TRUE(row.recall_by_dataset(4).empty());
}

TEST(EvaluationTest, RowsByLeadKeepBothOrders) {
  Evaluation evaluation = sample_evaluation();
  evaluation.rows.resize(4, evaluation.rows[0]);
  evaluation.rows[1].lead = "layer-2";
  evaluation.rows[3].lead = "layer-2";
  const auto groups = evaluation.rows_by_lead();
  ASSERT_EQ(groups.size(), 2U);
  EXPECT_EQ(groups[0].first, "layer-1");
  EXPECT_THAT(groups[1].second, ElementsAre(&evaluation.rows[1], &evaluation.rows[3]));
}

TEST(EvaluationTest, PartsAreSortedByKindThenByWhatTheyAre) {
  std::vector<Part> parts = {Part::phase("prompt"), Part::moe_layer(10),   Part::moe_layer(9),
                             Part::dataset("yelp"), Part::dataset("imdb"), Part()};
  std::sort(parts.begin(), parts.end());
  EXPECT_THAT(parts, ElementsAre(Part(), Part::dataset("imdb"), Part::dataset("yelp"),
                                 Part::moe_layer(9), Part::moe_layer(10), Part::phase("prompt")));
}

TEST(EvaluationTest, FrontIsWhatNothingBeats) {
  const auto row = [](const char* lead, double recall, double flops) {
    EvaluationRow made;
    made.lead = lead;
    made.whole().metrics = {{recall_at(2), {recall, recall, recall}}};
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

TEST(EvaluationTest, TransfersAreAMatrixForEachPredictorAndLead) {
  const Evaluation evaluation = sample_evaluation();
  const auto matrices = evaluation.transfer_matrices();
  ASSERT_EQ(matrices.size(), 2U);
  EXPECT_EQ(matrices[0].size(), 2U);
  EXPECT_EQ(matrices[1].at(0)->lead, "layer-2");
}

}  // namespace
}  // namespace foregate::stats
