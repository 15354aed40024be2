#include "report/report.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "base/files.h"
#include "base/progress.h"
#include "report/page.h"
#include "report/sections.h"

namespace foregate {

std::vector<Section> all_sections(const ReportInput& input) {
  return {overview_section(input), usage_section(input),       balance_section(input),
          gates_section(input),    transitions_section(input), overlap_section(input),
          datasets_section(input), evaluation_section(input)};
}

std::string render_report(const ReportInput& input) {
  const RoutingStatistics& statistics = input.statistics;
  const std::string subtitle =
      fmt::format("{} · {} traces · {} tokens",
                  input.manifest.model.empty() ? "unknown model" : input.manifest.model,
                  with_commas(statistics.traces), with_commas(statistics.usage.tokens()));
  return render_page(input.title, subtitle, all_sections(input));
}

void write_tables(const ReportInput& input, const std::filesystem::path& directory) {
  make_output_directory(directory);
  for (const Section& section : all_sections(input)) {
    for (const Figure& figure : section.figures) {
      const Table table = figure.data();
      write_file_atomically(directory / (figure.id + ".csv"), table.to_csv());
      write_file_atomically(directory / (figure.id + ".json"), table.to_json().dump(1) + "\n");
    }
  }
}

void write_svgs(const ReportInput& input, const std::filesystem::path& directory) {
  make_output_directory(directory);
  for (const Section& section : all_sections(input)) {
    for (const Figure& figure : section.figures) {
      for (size_t i = 0; i < figure.panels.size(); ++i) {
        const std::string number = figure.panels.size() == 1 ? "" : fmt::format("-{:02}", i);
        write_file_atomically(directory / fmt::format("{}{}.svg", figure.id, number),
                              standalone_svg(figure.panels[i].chart));
      }
    }
  }
}

}  // namespace foregate
