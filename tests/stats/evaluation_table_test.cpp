#include "stats/evaluation/table.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "sample_evaluation.h"

namespace foregate::stats {
namespace {

using ::testing::HasSubstr;

TEST(EvaluationTableTest, TransfersAreAMatrix) {
  const std::string table = evaluation_table(sample_evaluation());
  EXPECT_THAT(table, HasSubstr("frequency at layer-1: recall@2 on the test texts of each"));
  EXPECT_THAT(table, HasSubstr("  all                         25.0  50.0\n"));
  EXPECT_THAT(table, HasSubstr("  imdb                        25.0  12.5\n"));
}

TEST(EvaluationTableTest, TableSaysWhatAPersonNeeds) {
  Evaluation evaluation = sample_evaluation();
  EXPECT_THAT(evaluation_table(evaluation), HasSubstr("own router 100% of 1,200 decisions"));
  EXPECT_THAT(evaluation_table(evaluation), HasSubstr("25.4 [25.0, 26.0]"));
  EXPECT_THAT(evaluation_table(evaluation), HasSubstr("layer-1 (1,200 decisions in 9 texts)"));
  EXPECT_THAT(evaluation_table(evaluation), HasSubstr("+1.0 [-2.0, +4.0]"));
  EXPECT_THAT(evaluation_table(evaluation), HasSubstr("experts for 99%"));
  EXPECT_THAT(evaluation_table(evaluation), HasSubstr("3.50, recall 75.0"));
  EXPECT_THAT(evaluation_table(evaluation), HasSubstr("kFLOP/token"));
  evaluation.control_matches = 1199;
  EXPECT_THAT(evaluation_table(evaluation), HasSubstr("BROKEN"));
  evaluation.has_control = false;
  EXPECT_THAT(evaluation_table(evaluation), HasSubstr("own router not available"));
}

}  // namespace
}  // namespace foregate::stats
