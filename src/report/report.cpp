#include "report/report.h"
#include "base/number_text.h"

#include <fmt/format.h>

#include "base/files.h"
#include "report/charts/number_format.h"
#include "report/page/page.h"
#include "report/page/written_files.h"
#include "report/sections/sections.h"

namespace foregate::report {

namespace {

constexpr size_t kLargestPage = 2'000'000;
constexpr double kLessDetail = 0.7;
constexpr double kLeastDetail = 0.05;

}  // namespace

std::vector<Section> all_sections(const ReportInput& input, const Detail& detail) {
  std::vector<Section> sections = {overview_section(input),
                                   usage_section(input),
                                   balance_section(input),
                                   gates_section(input),
                                   transitions_section(input, detail),
                                   information_section(input),
                                   overlap_section(input),
                                   caching_section(input, detail),
                                   coactivation_section(input, detail),
                                   datasets_section(input),
                                   specialists_section(input),
                                   tokens_section(input),
                                   phases_section(input),
                                   expert_paths_section(input, detail),
                                   evaluation_section(input)};
  if (input.simulation) sections.push_back(simulation_section(input));
  if (input.agreement) sections.push_back(comparison_section(input));
  return sections;
}

std::string render_report(const ReportInput& input) {
  const stats::RoutingStatistics& statistics = input.statistics;
  const std::string subtitle = fmt::format(
      "{} · {} · {}", input.manifest.model.empty() ? "unknown model" : input.manifest.model,
      number_of(statistics.traces, "trace"), number_of(statistics.usage.tokens(), "token"));
  for (Detail detail;; detail.share *= kLessDetail) {
    std::string page = render_page(input.title, subtitle, all_sections(input, detail));
    if (page.size() < kLargestPage || detail.share < kLeastDetail) return page;
  }
}

void write_tables(const ReportInput& input, const std::filesystem::path& directory) {
  WrittenFiles files(directory, ".foregate-tables");
  for (const Section& section : all_sections(input)) {
    for (const Figure& figure : section.figures) {
      for (const char* ending : {".csv", ".json"}) files.add(figure.id + ending);
      TableFile file(directory, figure.id);
      figure.data(file);
      file.commit();
    }
  }
  files.finish();
}

void write_svgs(const ReportInput& input, const std::filesystem::path& directory) {
  WrittenFiles files(directory, ".foregate-svgs");
  for (const Section& section : all_sections(input)) {
    for (const Figure& figure : section.figures) {
      for (size_t i = 0; i < figure.panels.size(); ++i) {
        if (figure.panels[i].chart.body.empty()) continue;  // a table alone
        const std::string number = figure.panels.size() == 1 ? "" : fmt::format("-{:02}", i);
        const std::string name = fmt::format("{}{}.svg", figure.id, number);
        files.add(name);
        write_file_atomically(directory / name, standalone_svg(figure.panels[i].chart));
      }
    }
  }
  files.finish();
}

}  // namespace foregate::report
