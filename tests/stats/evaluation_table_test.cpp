#include "stats/evaluation/table.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <sstream>

#include "sample_evaluation.h"
#include "stats/evaluation/text_table.h"

namespace foregate::stats {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

std::vector<std::string> lines_of(const std::string& text) {
  std::istringstream stream(text);
  std::vector<std::string> lines;
  for (std::string line; std::getline(stream, line);) lines.push_back(line);
  return lines;
}

size_t widest(const std::string& text) {
  size_t width = 0;
  for (const std::string& line : lines_of(text)) width = std::max(width, line.size());
  return width;
}

/// As many predictors and leads as `evaluate` measures by itself, with features, of texts that
/// nothing was added to.
Evaluation usual_evaluation() {
  Evaluation evaluation = sample_evaluation();
  evaluation.model = "Qwen1.5-MoE-A2.7B";
  evaluation.transfers.clear();
  const EvaluationRow sample = evaluation.rows[0];
  evaluation.rows.clear();
  const std::vector<const char*> names = {"random", "frequency", "previous-token", "token-table",
                                          "statistics"};
  for (const auto& [lead, count] : {std::pair("next-token", 5), std::pair("layer-1", 5),
                                    std::pair("layer-2", 5), std::pair("pre-attention", 3)}) {
    for (int i = 0; i < count; ++i) {
      EvaluationRow row = sample;
      row.predictor = names[static_cast<size_t>(i)];
      row.lead = lead;
      row.at_threshold.reset();
      std::erase_if(row.slices,
                    [](const Slice& slice) { return slice.part.by == Part::By::kPhase; });
      row.gain = {-0.55, -0.556, -0.542};
      row.whole().metrics = {{recall_at(2), {0.254, 0.25, 0.26}},
                             {{Metric::kExactSet, 2}, {0.125, 0.1, 0.2}},
                             {{Metric::kGateMass, 2}, {0.3, 0.1, 0.4}},
                             {recall_at(4), {0.945, 0.94, 0.95}}};
      evaluation.rows.push_back(row);
    }
  }
  return evaluation;
}

TEST(EvaluationTableTest, TransfersAreAMatrix) {
  const std::string table = evaluation_table(sample_evaluation());
  EXPECT_THAT(table, HasSubstr("frequency at layer-1: recall@2 on the test texts of each"));
  EXPECT_THAT(table, HasSubstr("  all                         25.0  50.0\n"));
  EXPECT_THAT(table, HasSubstr("  imdb                        25.0  12.5\n"));
}

TEST(EvaluationTableTest, PhasesStandSideBySide) {
  Evaluation evaluation = sample_evaluation();
  for (const std::string& table : {evaluation_table(evaluation), evaluation_summary(evaluation)}) {
    EXPECT_THAT(table, HasSubstr("recall@2 of prompt and of generated tokens\n"
                                 "lead     predictor              prompt           generated\n"
                                 "layer-1  frequency   25.0 [20.0, 30.0]   50.0 [40.0, 60.0]\n"));
  }
  EXPECT_THAT(evaluation_summary(usual_evaluation()), Not(HasSubstr("generated")));
}

TEST(EvaluationTableTest, TableSaysWhatAPersonNeeds) {
  Evaluation evaluation = sample_evaluation();
  EXPECT_THAT(evaluation_table(evaluation), HasSubstr("own router 100% of 1,200 decisions"));
  EXPECT_THAT(evaluation_table(evaluation), HasSubstr("25.4 [25.0, 26.0]"));
  EXPECT_THAT(evaluation_table(evaluation), HasSubstr("test split, 9 texts; percent with 95%"));
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

TEST(EvaluationTableTest, OneTextGivesNoIntervals) {
  Evaluation evaluation = sample_evaluation();
  evaluation.rows[0].whole().texts = 1;
  for (const std::string& table : {evaluation_table(evaluation), evaluation_summary(evaluation)}) {
    EXPECT_THAT(table, HasSubstr("test split, 1 text; percent, without intervals"));
    EXPECT_THAT(table, HasSubstr("25.4"));
    EXPECT_THAT(table, HasSubstr("+1.0"));
    EXPECT_THAT(table, Not(HasSubstr("[")));
  }
  evaluation.rows[0].whole().texts = 2;
  EXPECT_THAT(evaluation_summary(evaluation), HasSubstr("25.4 [25.0, 26.0]"));
}

TEST(EvaluationSummaryTest, FitsAHundredColumnsAndAScreen) {
  const Evaluation evaluation = usual_evaluation();
  const std::string table = evaluation_summary(evaluation);
  EXPECT_LE(widest(table), 100U) << table;
  EXPECT_LE(lines_of(table).size(), 23U) << table;
  EXPECT_THAT(table, HasSubstr("lead           predictor                 recall@2  exact-set@2  "
                               "recall@4                  gain\n"));
  EXPECT_THAT(table, HasSubstr("next-token     random           25.4 [25.0, 26.0]         12.5"
                               "      94.5  -55.0 [-55.6, -54.2]\n"));
}

TEST(EvaluationSummaryTest, WhatWasAskedForStays) {
  Evaluation evaluation = usual_evaluation();
  for (EvaluationRow& row : evaluation.rows) {
    row.at_threshold = {0.1, 3.5, 0.75};
    row.whole().metrics.add(recall_at(6), {0.99, 0.98, 1});
  }
  const std::string table = evaluation_summary(evaluation);
  EXPECT_LE(widest(table), 100U) << table;
  EXPECT_THAT(table, HasSubstr("at p >= 0.1"));
  EXPECT_THAT(table, HasSubstr("3.5 experts, 75.0"));
  EXPECT_THAT(table, HasSubstr("more columns than fit: see --wide"));
}

TEST(EvaluationSummaryTest, LongNamesLoseTheirBeginning) {
  Evaluation evaluation = usual_evaluation();
  const std::string folder = "/a/long/way/down/to/where/experiments/are/";
  evaluation.rows[0].predictor = folder + "gate-adapter";
  std::string table = evaluation_summary(evaluation);
  EXPECT_LE(widest(table), 100U) << table;
  EXPECT_THAT(table, HasSubstr(" gate-adapter "));
  EXPECT_THAT(table, Not(HasSubstr("/a/long")));
  // Names that would look alike stay whole.
  evaluation.rows[1].predictor = "/another" + folder + "gate-adapter";
  table = evaluation_summary(evaluation);
  EXPECT_THAT(table, HasSubstr(" " + evaluation.rows[0].predictor + " "));
  EXPECT_THAT(table, HasSubstr(" " + evaluation.rows[1].predictor + " "));
}

TEST(EvaluationSummaryTest, MarksAreExplained) {
  Evaluation evaluation = usual_evaluation();
  EXPECT_THAT(evaluation_summary(evaluation), Not(HasSubstr("*")));
  evaluation.rows[1].learned_texts = 4;
  evaluation.rows[2].kept_start = true;
  const std::string table = evaluation_summary(evaluation);
  EXPECT_THAT(table, HasSubstr("frequency* "));
  EXPECT_THAT(table, HasSubstr("* learned from some of these texts: not held out"));
  EXPECT_THAT(table, HasSubstr("previous-token+ "));
  EXPECT_THAT(table, HasSubstr("+ kept its start: no step of its training was better"));
  EXPECT_THAT(evaluation_table(evaluation), HasSubstr("frequency (learned from 4 of 9 texts)"));
  EXPECT_THAT(evaluation_table(evaluation), HasSubstr("previous-token (kept its start)"));
}

TEST(EvaluationSummaryTest, TransfersFitToo) {
  Evaluation evaluation = usual_evaluation();
  for (const char* from : {"", "amazon_polarity", "dbpedia_14", "yelp_review_full"}) {
    TransferRow row{"frequency", "layer-1", from, {}};
    for (const char* on : {"ag_news", "amazon_polarity", "dbpedia_14", "imdb",
                           "squad_v2_paragraphs", "yelp_review_full"})
      row.recall_by_dataset[on] = 0.25;
    evaluation.transfers.push_back(row);
  }
  const std::string table = evaluation_summary(evaluation);
  EXPECT_LE(widest(table), 100U) << table;
  EXPECT_THAT(table, HasSubstr("amazon_pol.."));
  EXPECT_THAT(evaluation_table(evaluation), HasSubstr("squad_v2_paragraphs"));
}

TEST(TextTableTest, IsAlignedWithoutBlanksBehind) {
  EXPECT_EQ(aligned({{"a", "bb"}, {"ccc", ""}}), "  a    bb\n  ccc\n");
  EXPECT_EQ(aligned({{"a", "bb"}, {"ccc", "d"}}, {.indent = 0, .left = 2}), "a    bb\nccc  d\n");
  EXPECT_EQ(aligned_width({{"a", "bb"}, {"ccc", ""}}), 9U);
  EXPECT_EQ(aligned_width({{"a", "bb"}, {"ccc", ""}}, {.indent = 0}), 7U);
}

TEST(TextTableTest, ShortenedAtEitherEnd) {
  EXPECT_EQ(shortened_in_front("abcdef", 6), "abcdef");
  EXPECT_EQ(shortened_in_front("abcdef", 5), "..def");
  EXPECT_EQ(shortened_behind("abcdef", 5), "abc..");
  EXPECT_EQ(shortened_behind("abcdef", 2), "..");
}

}  // namespace
}  // namespace foregate::stats
