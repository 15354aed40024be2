#include <fmt/format.h>

#include "base/number_text.h"
#include "report/charts/line_chart.h"
#include "report/sections/layers.h"
#include "report/sections/sections.h"
#include "stats/balance.h"

namespace foregate::report {
namespace {

void write_phases(const stats::RoutingStatistics& statistics, TableFile& file) {
  const trace::Geometry& geometry = statistics.geometry;
  file.columns({{"moe_layer"},
                {"decoder_layer"},
                {"expert"},
                {"prompt_decisions"},
                {"generated_decisions"},
                {"prompt_share"},
                {"generated_share"}});
  for (int layer = 0; layer < geometry.num_moe_layers; ++layer) {
    for (int expert = 0; expert < geometry.num_experts; ++expert) {
      const stats::UsageCounts& prompt = statistics.phases.prompt();
      const stats::UsageCounts& generated = statistics.phases.generated();
      file.row({int64_t{layer}, decoder_layer(geometry, layer), int64_t{expert},
                prompt.count(layer, expert), generated.count(layer, expert),
                prompt.share(layer, expert), generated.share(layer, expert)});
    }
  }
}

}  // namespace

Section phases_section(const ReportInput& input) {
  const stats::RoutingStatistics& statistics = input.statistics;
  const trace::Geometry& geometry = statistics.geometry;
  Section section{"phases", "Prompt and generated", {}, "", {}};
  if (!statistics.phases.any()) {
    section.paragraphs = {
        "No trace has both prompt and generated tokens, so there is nothing to compare."};
    return section;
  }
  const stats::PhaseUsage& phases = statistics.phases;
  section.paragraphs = {
      fmt::format("{} of prompts and {} generated after them, in the traces that "
                  "have both.",
                  number_of(phases.prompt().tokens(), "token"),
                  number_of(phases.generated().tokens(), "token"))};
  LineChart chart;
  chart.label = "Line chart of the divergence of prompt and generated tokens by layer";
  chart.description = "Jensen-Shannon divergence of the experts of prompt and generated tokens.";
  chart.x_title = "layer";
  chart.y_title = "divergence (bits)";
  chart.unit = Unit::kBits;
  chart.x_labels = layer_labels(geometry);
  Series series{"prompt against generated", {}};
  Table table{{{"moe_layer"}, {"decoder_layer"}, {"divergence_bits", Unit::kBits}}, {}};
  for (int layer = 0; layer < geometry.num_moe_layers; ++layer) {
    series.values.push_back(
        stats::jensen_shannon(phases.prompt().layer(layer), phases.generated().layer(layer)));
    table.rows.push_back({int64_t{layer}, decoder_layer(geometry, layer), series.values.back()});
  }
  chart.series = {std::move(series)};
  Figure figure{"prompt-and-generated",
                "How differently prompt and generated tokens are routed",
                "Jensen-Shannon divergence between a layer's usage by prompt tokens and by "
                "generated ones: 0 bits is the same, 1 bit has no expert in common. High values "
                "warn that a predictor fitted on prompts meets other routing while generating.",
                "",
                {{"", draw(chart), std::move(table)}},
                [&statistics](TableFile& file) { write_phases(statistics, file); }};
  section.figures.push_back(std::move(figure));
  return section;
}

}  // namespace foregate::report
