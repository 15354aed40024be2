#include <fmt/format.h>

#include <algorithm>

#include "report/charts/path_map.h"
#include "report/sections/evaluation/examples_figure.h"
#include "report/sections/layers.h"
#include "report/sections/sections.h"
#include "report/sections/token_text.h"

namespace foregate::report {
namespace {

constexpr size_t kPathCells = 4800;  // Cells of all texts together; half if others follow.
constexpr size_t kMostTexts = 8;

std::string experts_text(const uint16_t* experts, int top_k) {
  std::string text;
  for (int rank = 0; rank < top_k; ++rank)
    text += fmt::format("{}{}", rank == 0 ? "" : " ", experts[rank]);
  return text;
}

Panel text_panel(const ReportInput& input, const trace::Trace& trace) {
  const trace::Geometry& geometry = input.statistics.geometry;
  PathMap map;
  const std::string name = fmt::format("{}, row {}", trace.dataset, trace.sample);
  map.label = "Journey of the tokens of " + name;
  map.description = "Rows are layers, columns tokens, colours the first expert of the decision.";
  map.layers = layer_labels(geometry);
  map.top_k = geometry.top_k;
  map.experts = trace.experts;
  Table table{{{"position"}, {"token"}}, {}};
  for (const std::string& layer : map.layers) table.columns.push_back({"layer " + layer});
  const uint16_t* experts = trace.experts.data();
  for (int token = 0; token < trace.num_tokens(); ++token) {
    map.tokens.push_back(token_label(input, trace.token_ids[static_cast<size_t>(token)]));
    std::vector<Cell> row = {int64_t{token}, map.tokens.back()};
    for (int layer = 0; layer < geometry.num_moe_layers; ++layer, experts += geometry.top_k)
      row.emplace_back(experts_text(experts, geometry.top_k));
    table.rows.push_back(std::move(row));
  }
  return {name, draw(map), std::move(table)};
}

void write_expert_paths(const ReportInput& input, const std::vector<const trace::Trace*>& texts,
                        TableFile& file) {
  const trace::Geometry& geometry = input.statistics.geometry;
  file.columns(
      {{"dataset"}, {"sample"}, {"position"}, {"token_id"}, {"token"}, {"moe_layer"}, {"experts"}});
  for (const trace::Trace* trace : texts) {
    const uint16_t* experts = trace->experts.data();
    for (int token = 0; token < trace->num_tokens(); ++token) {
      const int32_t id = trace->token_ids[static_cast<size_t>(token)];
      for (int layer = 0; layer < geometry.num_moe_layers; ++layer, experts += geometry.top_k) {
        file.row({trace->dataset, trace->sample, int64_t{token}, int64_t{id},
                  token_label(input, id), int64_t{layer}, experts_text(experts, geometry.top_k)});
      }
    }
  }
}

}  // namespace

Section expert_paths_section(const ReportInput& input, const Detail& detail) {
  Section section{"journeys", "Journeys", {}, "", {}};
  const size_t cells = static_cast<size_t>(stats::ExpertPaths::kTokens) *
                       static_cast<size_t>(std::max(1, input.statistics.geometry.num_moe_layers));
  const bool with_examples =
      std::any_of(input.evaluations.begin(), input.evaluations.end(),
                  [](const stats::Evaluation& evaluation) { return !evaluation.examples.empty(); });
  const size_t budget = detail.of(with_examples ? kPathCells / 2 : kPathCells);
  const std::vector<const trace::Trace*> texts =
      input.statistics.paths.choose(std::clamp<size_t>(budget / cells, 1, kMostTexts));
  if (texts.empty() || input.statistics.geometry.num_moe_layers == 0) {
    section.paragraphs = {kNoTokens};
    return section;
  }
  Figure figure;
  figure.id = "journeys";
  figure.title = "One text's tokens through the layers";
  figure.reading = fmt::format(
      "The first {} tokens of a text, from left to right, through the layers from above. The "
      "colour is the decision's first expert (its number modulo {}); hovering names all. Runs of "
      "one colour in a row are tokens that stay with an expert.",
      stats::ExpertPaths::kTokens, PathMap::kColors);
  if (!input.manifest.gate_weights)
    figure.reading += " The trace has no gate weights, so which expert comes first means nothing.";
  figure.choice = "Text";
  for (const trace::Trace* trace : texts) figure.panels.push_back(text_panel(input, *trace));
  figure.data = [&input, texts](TableFile& file) { write_expert_paths(input, texts, file); };
  section.figures.push_back(std::move(figure));
  for (size_t i = 0; i < input.evaluations.size(); ++i) {
    const stats::Evaluation& evaluation = input.evaluations[i];
    if (evaluation.examples.empty()) continue;
    section.figures.push_back(
        examples_figure(input, evaluation, detail, i == 0 ? "" : fmt::format("-{}", i + 1)));
  }
  return section;
}

}  // namespace foregate::report
