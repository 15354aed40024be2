#include "report/report.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <set>

#include "base/files.h"
#include "report/sections/sections.h"
#include "sample_input.h"
#include "support/temporary_folder.h"

namespace foregate::report {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

/// Empty if every element is closed in order, else where it breaks. Enough of HTML for our pages.
std::string balance_problem(const std::string& html) {
  static const std::set<std::string> kVoid = {"!DOCTYPE", "meta", "?xml"};
  std::vector<std::string> open;
  for (size_t at = html.find('<'); at != std::string::npos; at = html.find('<', at)) {
    const size_t end = html.find('>', at);
    if (end == std::string::npos) return "tag without end";
    const bool closing = html[at + 1] == '/';
    const size_t begin = at + (closing ? 2 : 1);
    const std::string name = html.substr(begin, html.find_first_of(" />\n", begin) - begin);
    at = end;
    if (closing) {
      if (open.empty() || open.back() != name) return "unexpected </" + name + ">";
      open.pop_back();
    } else if (html[end - 1] != '/' && !kVoid.contains(name)) {
      open.push_back(name);
      if (name == "script" || name == "style") at = html.find("</" + name, end);
    }
  }
  return open.empty() ? "" : "<" + open.back() + "> stays open";
}

std::string page_of(const SampleShape& shape) {
  return render_report(sample_input(shape));
}

TEST(ReportTest, PagesAreBalancedWhateverTheShape) {
  const std::vector<SampleShape> shapes = {
      {},
      {.texts = 0},
      {.layers = 0, .texts = 0},
      {.layers = 1, .experts = 4, .texts = 1, .tokens = 1},
      {.layers = 2, .experts = 1, .top_k = 1},
      {.layers = 2, .experts = 513, .top_k = 8, .texts = 2},
      {.datasets = {"only"}},
  };
  for (const SampleShape& shape : shapes) {
    const std::string page = page_of(shape);
    EXPECT_EQ(balance_problem(page), "") << shape.layers << " layers, " << shape.texts << " texts";
    EXPECT_THAT(page, HasSubstr("id=\"evaluation\""));
    EXPECT_THAT(page, Not(HasSubstr("nan")));
  }
}

TEST(ReportTest, EmptyTraceSaysSo) {
  EXPECT_THAT(page_of({.texts = 0}), HasSubstr("holds no tokens"));
  EXPECT_THAT(page_of({.layers = 1}), HasSubstr("one MoE layer"));
  EXPECT_THAT(page_of({.tokens = 1}), HasSubstr("no token has a next one"));
}

TEST(ReportTest, EveryFigureHasAllItsParts) {
  ReportInput input = sample_input({});
  input.evaluations = {sample_evaluation({})};
  input.agreement = sample_agreement({});
  input.simulation = sample_simulation();
  for (const Section& section : all_sections(input)) {
    for (const Figure& figure : section.figures) {
      EXPECT_NE(figure.title, "") << figure.id;
      EXPECT_NE(figure.reading, "") << figure.id;
      EXPECT_TRUE(figure.data) << figure.id;
      EXPECT_FALSE(figure.panels.empty()) << figure.id;
      EXPECT_EQ(figure.panels.size() > 1, !figure.choice.empty()) << figure.id;
    }
  }
}

TEST(ReportTest, ComparisonAndPhasesAreShownWhereThereAreSome) {
  ReportInput input = sample_input({});
  EXPECT_THAT(render_report(input), Not(HasSubstr("id=\"comparison\"")));
  EXPECT_THAT(render_report(input), HasSubstr("No trace has both prompt and generated tokens"));
  input.agreement = sample_agreement({});
  input.compared_with = "other <trace>";
  const std::string page = render_report(input);
  EXPECT_THAT(page, HasSubstr("This trace against other &lt;trace&gt;: the same 3 texts"));
  EXPECT_THAT(page, HasSubstr("Compared with other &lt;trace&gt;"));
}

TEST(ReportTest, SimulationIsShownWhereThereIsOne) {
  ReportInput input = sample_input({});
  EXPECT_THAT(render_report(input), Not(HasSubstr("id=\"simulation\"")));
  input.simulation = sample_simulation();
  const std::string page = render_report(input);
  EXPECT_THAT(page, HasSubstr("1,000 tokens of 12 texts"));
  EXPECT_THAT(page, HasSubstr("card &lt;1&gt;"));
  EXPECT_THAT(page, HasSubstr("&lt;oracle&gt;"));
  EXPECT_THAT(page, HasSubstr("id=\"figure-simulated-time\""));
  EXPECT_THAT(page, Not(HasSubstr("nan")));
  input.simulation->prefetches.clear();  // without a device
  EXPECT_THAT(render_report(input), HasSubstr("id=\"figure-miss-curves\""));
  EXPECT_THAT(render_report(input), Not(HasSubstr("id=\"figure-simulated-speed\"")));
}

TEST(ReportTest, TokensAreNamedWhereTheirTextIsKnown) {
  ReportInput input = sample_input({});
  EXPECT_THAT(render_report(input), HasSubstr("#0 "));
  input.token_text = [](int32_t) { return " <s>\n"; };
  EXPECT_THAT(render_report(input), HasSubstr("␣&lt;s&gt;⏎"));
}

TEST(ReportTest, IdsAreUnique) {
  ReportInput input = sample_input({});
  input.evaluations = {sample_evaluation({}), sample_evaluation({})};
  const std::string page = render_report(input);
  std::set<std::string> seen;
  for (size_t at = page.find(" id=\""); at != std::string::npos; at = page.find(" id=\"", at + 1)) {
    const std::string id = page.substr(at + 5, page.find('"', at + 5) - at - 5);
    EXPECT_TRUE(seen.insert(id).second) << id;
  }
}

TEST(ReportTest, NothingIsFetched) {
  const std::string page = page_of({});
  for (const char* outside : {"http:", "https:", "src=", "@import", "url("})
    EXPECT_THAT(page, Not(HasSubstr(outside)));
}

TEST(ReportTest, NamesAreEscaped) {
  ReportInput input = sample_input({.datasets = {"<script>alert(1)</script>", "a\"b & \xff"}});
  input.title = "</title><b>";
  input.manifest.model = "<i>model</i>";
  input.evaluations = {sample_evaluation({})};
  input.evaluations[0].model = "<i>other</i>";
  input.evaluations[0].rows[0].predictor = "\"><img>";
  const std::string page = render_report(input);
  EXPECT_EQ(balance_problem(page), "");
  for (const char* raw : {"<script>alert", "</title><b>", "<i>", "<img", "\xff"})
    EXPECT_THAT(page, Not(HasSubstr(raw)));
  EXPECT_THAT(page, HasSubstr("&lt;script&gt;alert(1)&lt;/script&gt;"));
}

TEST(ReportTest, StaysUnderTwoMegabytes) {
  const SampleShape qwen = {.layers = 24,
                            .experts = 60,
                            .top_k = 4,
                            .texts = 60,
                            .tokens = 40,
                            .datasets = {"imdb", "yelp", "ag_news", "squad", "amazon", "dbpedia"}};
  const SampleShape wide = {.layers = 48, .experts = 128, .top_k = 8, .texts = 30, .tokens = 40};
  const SampleShape deepseek = {.layers = 27, .experts = 64, .top_k = 6, .texts = 60, .tokens = 40};
  for (const SampleShape& shape : {qwen, wide, deepseek}) {
    ReportInput input = sample_input(shape);
    // Forty rows of 48 layers alone are too much beside everything of 128 experts.
    input.evaluations = {shape.layers < 48 ? large_evaluation(shape) : sample_evaluation(shape)};
    input.agreement = sample_agreement(shape);
    input.simulation = sample_simulation();
    EXPECT_LT(render_report(input).size(), 2'000'000u) << shape.experts << " experts";
  }
}

TEST(ReportTest, EvaluationIsShownWithItsBestAndItsControl) {
  ReportInput input = sample_input({});
  input.evaluations = {sample_evaluation({})};
  const std::string without = render_report(input);
  EXPECT_THAT(without, HasSubstr("<strong>81.2</strong> <span class=\"interval\">[76.2, 86.2]"));
  EXPECT_THAT(without, Not(HasSubstr("<strong>25.0")));
  EXPECT_THAT(without, HasSubstr("Own-router control: not available"));
  EXPECT_THAT(without, HasSubstr("best predictor at lead layer-1 is good"));
  input.evaluations[0].has_control = true;
  input.evaluations[0].control_decisions = input.evaluations[0].control_matches = 9876;
  EXPECT_THAT(render_report(input), HasSubstr("100% of 9,876 decisions"));
  input.evaluations[0].control_matches = 9875;
  EXPECT_THAT(render_report(input), HasSubstr("only 9,875 of 9,876"));
}

TEST(ReportTest, WhatEvaluationsAddIsShownOnlyWhereThereIsSome) {
  ReportInput input = sample_input({});
  input.evaluations = {sample_evaluation({})};
  const std::string full = render_report(input);
  for (const char* id : {"recall-by-cost", "reliability", "cross-domain", "foreseen"})
    EXPECT_THAT(full, HasSubstr("id=\"figure-" + std::string(id) + "\""));
  stats::Evaluation& evaluation = input.evaluations[0];
  evaluation.transfers.clear();
  evaluation.examples.clear();
  for (stats::EvaluationRow& row : evaluation.rows) {
    row.flops = 0;
    row.reliability.clear();
  }
  const std::string bare = render_report(input);
  for (const char* id : {"recall-by-cost", "reliability", "cross-domain", "foreseen"})
    EXPECT_THAT(bare, Not(HasSubstr("figure-" + std::string(id))));
}

class ReportFilesTest : public ::testing::Test {
 protected:
  testing::TemporaryFolder temporary_;
  const fs::path& folder_ = temporary_.path();
};

TEST_F(ReportFilesTest, TablesHoldTheStatistics) {
  ReportInput input = sample_input({});
  input.evaluations = {sample_evaluation({})};
  write_tables(input, folder_);
  const stats::RoutingStatistics& statistics = input.statistics;
  int cells = 0;
  for (const Json& row : read_json(folder_ / "expert-usage.json")) {
    const int layer = row["moe_layer"];
    const int expert = row["expert"];
    EXPECT_EQ(row["decisions"], statistics.usage.count(layer, expert));
    EXPECT_EQ(row["share"], statistics.usage.share(layer, expert));
    EXPECT_EQ(row["gate_mass_share"], statistics.gate_mass.share(layer, expert));
    ++cells;
  }
  EXPECT_EQ(cells, 24);
  int64_t pairs = 0;
  for (const Json& row : read_json(folder_ / "transitions.json")) {
    EXPECT_EQ(row["tokens"],
              statistics.transitions.count(row["moe_layer"], row["from"], row["to"]));
    pairs += row["tokens"].get<int64_t>();
  }
  EXPECT_EQ(pairs, 2 * 4 * statistics.usage.tokens());  // 2 pairs of layers, k * k each
  for (const Json& row : read_json(folder_ / "next-token-overlap.json"))
    EXPECT_EQ(row["reused_share"], statistics.overlap.share(row["moe_layer"]));
  EXPECT_EQ(read_json(folder_ / "recall.json")[1]["mean"], 0.8125);
  EXPECT_THAT(read_file(folder_ / "expert-usage.csv"), HasSubstr("moe_layer,decoder_layer,expert"));
}

TEST_F(ReportFilesTest, SvgsAreBalancedDocuments) {
  ReportInput input = sample_input({});
  input.evaluations = {sample_evaluation({})};
  write_svgs(input, folder_);
  int files = 0;
  for (const auto& entry : fs::directory_iterator(folder_)) {
    if (entry.path().extension() != ".svg") continue;  // the list of what was written
    const std::string svg = read_file(entry.path());
    EXPECT_EQ(balance_problem(svg), "") << entry.path();
    EXPECT_THAT(svg, HasSubstr("xmlns=\"http://www.w3.org/2000/svg\""));
    ++files;
  }
  int drawn = 0;
  for (const Section& section : all_sections(input)) {
    for (const Figure& figure : section.figures) {
      for (const Panel& panel : figure.panels) drawn += panel.chart.body.empty() ? 0 : 1;
    }
  }
  EXPECT_EQ(files, drawn);
}

TEST_F(ReportFilesTest, AnEmptyTraceWritesNoCharts) {
  write_svgs(sample_input({.texts = 0}), folder_);
  write_tables(sample_input({.texts = 0}), folder_);
  EXPECT_TRUE(fs::is_empty(folder_));
}

TEST_F(ReportFilesTest, WhatAnEarlierReportWroteIsTakenAway) {
  const testing::TemporaryFolder other;
  ReportInput input = sample_input({});
  input.evaluations = {sample_evaluation({})};
  write_tables(input, folder_);
  write_svgs(input, folder_);
  write_file_atomically(folder_ / "notes.csv", "somebody's");
  ASSERT_TRUE(fs::exists(folder_ / "recall.csv"));
  write_tables(sample_input({}), folder_);
  write_svgs(sample_input({}), folder_);
  write_tables(sample_input({}), other.path());
  write_svgs(sample_input({}), other.path());
  const auto names = [](const fs::path& folder) {
    std::set<std::string> found;
    for (const auto& entry : fs::directory_iterator(folder)) found.insert(entry.path().filename());
    return found;
  };
  std::set<std::string> expected = names(other.path());
  expected.insert("notes.csv");
  EXPECT_EQ(names(folder_), expected);
}

// A list that somebody changed leads nowhere else.
TEST_F(ReportFilesTest, OnlyFilesOfTheFolderAreTakenAway) {
  const testing::TemporaryFolder other;
  const fs::path kept = other.write("kept", "1");
  write_file_atomically(folder_ / ".foregate-tables", kept.string() + "\n..\n.\n\n");
  write_tables(sample_input({}), folder_);
  EXPECT_TRUE(fs::exists(kept));
}

}  // namespace
}  // namespace foregate::report
