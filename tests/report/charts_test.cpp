#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "report/charts/bar_chart.h"
#include "report/charts/heat_map.h"
#include "report/charts/line_chart.h"
#include "report/charts/path_map.h"
#include "report/charts/xy_chart.h"
#include "report/sections/layers.h"

namespace foregate::report {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

size_t occurrences(const std::string& text, const std::string& part) {
  size_t count = 0;
  for (size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++count;
  return count;
}

TEST(ColorScaleTest, Classes) {
  const ColorScale shares = sequential_scale(0.4);
  EXPECT_EQ(shares.num_classes(), 10);
  EXPECT_EQ(shares.class_of(0), 0);
  EXPECT_EQ(shares.class_of(0.4), 9);
  EXPECT_EQ(shares.class_of(7), 9);
  EXPECT_EQ(shares.class_of(std::nan("")), -1);
  EXPECT_EQ(ratio_scale().class_of(1), 4);
  EXPECT_EQ(ratio_scale().class_of(0), 0);
  EXPECT_EQ(ratio_scale().class_of(100), 8);
}

TEST(ColorScaleTest, FilesKnowNoVariables) {
  const Chart chart{"label", "description", 10, 10, "", "<g/>"};
  EXPECT_THAT(standalone_svg(chart), Not(HasSubstr("var(")));
}

TEST(LineChartTest, RoundTicks) {
  EXPECT_THAT(round_ticks(0, 1), ElementsAre(0, 0.2, 0.4, 0.6000000000000001, 0.8, 1));
  EXPECT_GE(round_ticks(0.131, 0.87).back(), 0.87);
  EXPECT_LE(round_ticks(0.131, 0.87).front(), 0.131);
  EXPECT_EQ(tick_label(0.05, 0.05, Unit::kPercent), "5%");
  EXPECT_EQ(tick_label(0.025, 0.025, Unit::kPercent), "2.5%");
}

TEST(LineChartTest, GapsAndSinglePoints) {
  LineChart chart;
  chart.x_labels = {"0", "1", "2", "3"};
  chart.series = {{"a<b", {0.5, std::nan(""), 0.25, 0.25}}};
  const std::string body = draw(chart).body;
  EXPECT_EQ(occurrences(body, "<circle"), 3u);
  EXPECT_THAT(body, HasSubstr("a&lt;b"));
  EXPECT_THAT(body, Not(HasSubstr("nan")));
  chart.x_labels = {"0"};
  chart.series = {{"one", {0.5}}};
  EXPECT_EQ(occurrences(draw(chart).body, "<circle"), 1u);
}

TEST(LineChartTest, ConstantAndMissingValuesHaveAnAxis) {
  for (const double value : {0.0, 0.3, 1.0, std::nan("")}) {
    for (const bool from_zero : {false, true}) {
      LineChart chart;
      chart.x_labels = {"0", "1"};
      chart.series = {{"a", {value, value}}};
      chart.from_zero = from_zero;
      const std::string body = draw(chart).body;
      EXPECT_THAT(body, Not(HasSubstr("nan"))) << value;
      EXPECT_THAT(body, Not(HasSubstr("inf"))) << value;
    }
  }
}

TEST(HeatMapTest, RunsOfEqualCellsAreOneStroke) {
  HeatMap map;
  map.row_labels = {"r"};
  map.column_labels = {"0", "1", "2", "3", "4"};
  map.values = {0.9, 0.9, 0.9, std::nan(""), 0.9};
  map.scale = sequential_scale(1);
  map.titles = false;
  const Chart runs = draw(map);
  EXPECT_THAT(runs.body, HasSubstr("<path class=\"s9\" d=\"M0 0h3M4 0h1\"/>"));
  EXPECT_THAT(runs.attributes, HasSubstr("data-cells=\"______..__\""));
  map.titles = true;
  EXPECT_EQ(occurrences(draw(map).body, "<title>"), 5u);
}

TEST(HeatMapTest, NumbersInTheCells) {
  HeatMap map;
  map.row_labels = {"r"};
  map.column_labels = {"a long name of a column", "b"};
  map.values = {0.25, std::nan("")};
  map.scale = sequential_scale(1);
  EXPECT_EQ(occurrences(draw(map).body, "25.0%<"), 1u);  // the title
  map.numbers = true;
  EXPECT_EQ(occurrences(draw(map).body, "25.0%<"), 2u);
  // Wide enough for all names.
  EXPECT_THAT(draw(map).body, HasSubstr(">a long name of a column</text>"));
  EXPECT_THAT(draw(map).body, HasSubstr(">b</text>"));
}

TEST(BarChartTest, WhiskersOnlyWithAnInterval) {
  BarChart chart;
  chart.bars = {{"a", 0.5, 0.4, 0.6, ""}, {"b", 0.5, 0, 0, ""}};
  EXPECT_EQ(occurrences(draw(chart).body, "whisker"), 1u);
}

TEST(XyChartTest, PointsOnALogarithmicAxisWithZeroApart) {
  XyChart chart;
  chart.log_x = true;
  chart.series = {{"free", {{0, 0.1, "nothing"}}},
                  {"dear", {{1000, 0.5, "a thousand"}, {1e6, 0.9, "a million"}}},
                  {"front", {{0, 0.1, ""}, {1e6, 0.9, ""}}, true, true}};
  const std::string body = draw(chart).body;
  // Two legend points and three of the data: a yardstick has none.
  EXPECT_EQ(occurrences(body, "<circle"), 5u);
  EXPECT_EQ(occurrences(body, "<title>"), 3u);
  EXPECT_THAT(body, HasSubstr("<title>a million</title>"));
  for (const char* tick : {">0<", ">1k<", ">10k<", ">1M<"}) EXPECT_THAT(body, HasSubstr(tick));
  EXPECT_THAT(body, Not(HasSubstr(">10M<")));
  EXPECT_THAT(body, HasSubstr("<g class=\"l1\" data-series=\"dear\">"));
  EXPECT_THAT(body, HasSubstr("cx=\"86.0\""));   // zero, left of the break
  EXPECT_THAT(body, HasSubstr("cx=\"112.0\""));  // 1k at the left end
  EXPECT_THAT(body, HasSubstr("cx=\"832.0\""));  // 1M at the right end
}

TEST(XyChartTest, OnlyZerosOrNothingStillHaveAxes) {
  XyChart chart;
  chart.log_x = true;
  for (const bool point : {false, true}) {
    if (point) chart.series = {{"a", {{0, 1, "t"}}}};
    const std::string body = draw(chart).body;
    EXPECT_THAT(body, Not(HasSubstr("nan")));
    EXPECT_THAT(body, Not(HasSubstr("inf")));
  }
}

TEST(PathMapTest, MarksDecisionsWithMissedExperts) {
  PathMap map;
  map.layers = {"0", "1"};
  map.tokens = {"a", "b", "c"};
  map.top_k = 2;
  map.experts.assign(12, 3);
  EXPECT_THAT(draw(map).attributes, Not(HasSubstr("data-found")));
  EXPECT_EQ(occurrences(draw(map).body, "class=\"mark\""), 0u);
  map.first_layer = 1;
  map.found = {0, 0, 1, 1, 0, 0, 1, 0, 0, 0, 0, 0};  // at layer 1: all, one, none
  const Chart chart = draw(map);
  EXPECT_THAT(chart.attributes, HasSubstr("data-found=\"------111000\""));
  EXPECT_THAT(chart.body, HasSubstr("class=\"mark\" stroke-width=\"4\""));
  EXPECT_THAT(chart.body, HasSubstr("class=\"mark\" stroke-width=\"9\""));
  EXPECT_THAT(chart.body, HasSubstr("runs pale"));
}

TEST(LayersTest, Spread) {
  EXPECT_THAT(spread(5, 10), ElementsAre(0, 1, 2, 3, 4));
  EXPECT_THAT(spread(5, 2), ElementsAre(0, 4));
  EXPECT_THAT(spread(5, 0), ElementsAre(0));
  EXPECT_TRUE(spread(0, 3).empty());
}

}  // namespace
}  // namespace foregate::report
