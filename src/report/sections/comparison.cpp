#include <fmt/format.h>

#include "base/number_text.h"
#include "report/charts/line_chart.h"
#include "report/sections/layers.h"
#include "report/sections/sections.h"

namespace foregate::report {
namespace {

Table agreement_table(const trace::Geometry& geometry, const stats::TraceAgreement& agreement) {
  Table table{{{"moe_layer"},
               {"decoder_layer"},
               {"common", Unit::kPercent},
               {"low", Unit::kPercent},
               {"high", Unit::kPercent},
               {"same_set", Unit::kPercent},
               {"same_first", Unit::kPercent},
               {"divergence_bits", Unit::kBits}},
              {}};
  for (int layer = 0; layer < geometry.num_moe_layers; ++layer) {
    const stats::Interval common = agreement.common(layer);
    table.rows.push_back({int64_t{layer}, decoder_layer(geometry, layer), common.mean, common.low,
                          common.high, agreement.exact(layer), agreement.same_first(layer),
                          agreement.divergence(layer)});
  }
  return table;
}

Figure agreement_figure(const trace::Geometry& geometry, const Table& table) {
  LineChart chart;
  chart.label = "Line chart of the agreement of both traces by layer";
  chart.description = "Share of common experts, of equal sets and of equal first experts.";
  chart.x_title = "layer";
  chart.y_title = "agreement";
  chart.x_labels = layer_labels(geometry);
  chart.from_zero = false;
  chart.series = {{"experts in common", numbers_of(table, 2)},
                  {"same set of experts", numbers_of(table, 5)},
                  {"same first expert", numbers_of(table, 6)}};
  return {
      "agreement",
      "Agreement of the top-k by layer",
      "For the same token at the same layer: the share of the k experts that both traces chose, "
      "the share of decisions with exactly the same experts, and with the same expert first. "
      "The axis does not start at 0; the table has 95% intervals over texts.",
      "",
      {{"", draw(chart), table}},
      [table](TableFile& file) { file.add(table); }};
}

Figure usage_divergence_figure(const trace::Geometry& geometry, const Table& table) {
  LineChart chart;
  chart.label = "Line chart of the divergence of both traces' usage by layer";
  chart.description = "Jensen-Shannon divergence between the usages of a layer's experts.";
  chart.x_title = "layer";
  chart.y_title = "divergence (bits)";
  chart.x_labels = layer_labels(geometry);
  chart.unit = Unit::kBits;
  chart.series = {{"usage here against usage there", numbers_of(table, 7)}};
  return {"usage-drift",
          "Drift of the usage by layer",
          "Jensen-Shannon divergence between the two usages of a layer's experts: 0 bits if the "
          "load stays where it was, even where single decisions change.",
          "",
          {{"", draw(chart), table}},
          [table](TableFile& file) { file.add(table); }};
}

Figure position_figure(const stats::TraceAgreement& agreement) {
  LineChart chart;
  chart.label = "Line chart of the agreement of both traces by position in the text";
  chart.description = "Share of common experts of all layers, by the token's position.";
  chart.x_title = "position from";
  chart.y_title = "experts in common";
  chart.from_zero = false;
  Table table{{{"position_from"}, {"common", Unit::kPercent}}, {}};
  Series series{"all layers", {}};
  const std::vector<int> positions = agreement.positions();
  for (size_t bin = 0; bin < positions.size(); ++bin) {
    chart.x_labels.push_back(std::to_string(positions[bin]));
    series.values.push_back(agreement.common_at(bin));
    table.rows.push_back({int64_t{positions[bin]}, series.values.back()});
  }
  chart.series = {std::move(series)};
  return {"agreement-by-position",
          "Drift along the text",
          "Experts in common over all layers, by the position of the token (bins double in width). "
          "A falling line means that differences add up from token to token.",
          "",
          {{"", draw(chart), table}},
          [table](TableFile& file) { file.add(table); }};
}

}  // namespace

Section comparison_section(const ReportInput& input) {
  const stats::TraceAgreement& agreement = *input.agreement;
  const trace::Geometry& geometry = input.statistics.geometry;
  Section section{"comparison", "Comparison", {}, "", {}};
  if (agreement.tokens() == 0 || geometry.num_moe_layers == 0) {
    section.paragraphs = {kNoTokens};
    return section;
  }
  section.paragraphs = {fmt::format("This trace against {}: the same {} with {}.",
                                    input.compared_with, number_of(agreement.texts(), "text"),
                                    number_of(agreement.tokens(), "token"))};
  const Table table = agreement_table(geometry, agreement);
  section.figures.push_back(agreement_figure(geometry, table));
  section.figures.push_back(usage_divergence_figure(geometry, table));
  section.figures.push_back(position_figure(agreement));
  return section;
}

}  // namespace foregate::report
