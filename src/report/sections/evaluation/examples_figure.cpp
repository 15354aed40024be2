#include "report/sections/evaluation/examples_figure.h"

#include <fmt/format.h>

#include <algorithm>

#include "report/charts/path_map.h"
#include "report/sections/evaluation/figures.h"
#include "report/sections/layers.h"
#include "report/sections/token_text.h"

namespace foregate::report {
namespace {

constexpr size_t kExampleExperts = 16'000;  // Experts in the cells of all panels together.
constexpr size_t kMostLeads = 4;

/// Where the best row of each lead is among the evaluation's rows.
std::vector<size_t> best_rows(const stats::Evaluation& evaluation) {
  std::vector<size_t> best;
  for (const auto& [lead, rows] : evaluation.rows_by_lead()) {
    const auto* row =
        *std::max_element(rows.begin(), rows.end(), [&](const auto* a, const auto* b) {
          return a->recall(evaluation.top_k) < b->recall(evaluation.top_k);
        });
    best.push_back(static_cast<size_t>(row - evaluation.rows.data()));
    if (best.size() == kMostLeads) break;
  }
  return best;
}

/// By layer: how many decisions were foreseen wholly, in part, or not at all.
Table summary_of(const stats::ExampleText& example, const stats::Foresight& foresight,
                 const trace::Geometry& geometry) {
  Table table{{{"layer"},
               {"decisions", Unit::kCount},
               {"all foreseen", Unit::kCount},
               {"some missed", Unit::kCount},
               {"none foreseen", Unit::kCount}},
              {}};
  const int64_t tokens = example.text.num_tokens();
  for (int layer = foresight.first_layer; layer < geometry.num_moe_layers; ++layer) {
    int64_t all = 0;
    int64_t none = 0;
    for (int64_t token = 0; token < tokens; ++token) {
      const int64_t at = (token * geometry.num_moe_layers + layer) * geometry.top_k;
      const auto begin = foresight.found.begin() + at;
      const auto found = std::count(begin, begin + geometry.top_k, 1);
      all += found == geometry.top_k ? 1 : 0;
      none += found == 0 ? 1 : 0;
    }
    table.rows.push_back(
        {int64_t{decoder_layer(geometry, layer)}, tokens, all, tokens - all - none, none});
  }
  return table;
}

Panel examples_panel(const ReportInput& input, const stats::ExampleText& example,
                     const stats::EvaluationRow& row, const stats::Foresight& foresight) {
  const trace::Geometry& geometry = input.statistics.geometry;
  PathMap map;
  const std::string name = fmt::format("{}, row {}, by {} at {}", example.text.dataset,
                                       example.text.sample, row.title(), row.lead);
  map.label = "What was foreseen of " + name;
  map.description = "As the journeys; marks are decisions of which experts were missed.";
  map.layers = layer_labels(geometry);
  map.top_k = geometry.top_k;
  map.experts = example.text.experts;
  map.found = foresight.found;
  map.first_layer = foresight.first_layer;
  for (const int32_t id : example.text.token_ids) map.tokens.push_back(token_label(input, id));
  return {name, draw(map), summary_of(example, foresight, geometry)};
}

void write_examples(const stats::Evaluation& evaluation, TableFile& file) {
  file.columns({{"predictor"},
                {"lead"},
                {"dataset"},
                {"sample"},
                {"position"},
                {"moe_layer"},
                {"rank"},
                {"expert"},
                {"found"}});
  const int layers = evaluation.num_moe_layers;
  for (const stats::ExampleText& example : evaluation.examples) {
    for (size_t i = 0; i < example.foresights.size(); ++i) {
      const stats::Foresight& foresight = example.foresights[i];
      const stats::EvaluationRow& row = evaluation.rows[i];
      size_t at = 0;
      for (int token = 0; token < example.text.num_tokens(); ++token) {
        for (int layer = 0; layer < layers; ++layer) {
          for (int rank = 1; rank <= evaluation.top_k; ++rank, ++at) {
            if (layer < foresight.first_layer) continue;
            file.row({row.predictor, row.lead, example.text.dataset, example.text.sample,
                      int64_t{token}, int64_t{layer}, int64_t{rank},
                      int64_t{example.text.experts[at]}, int64_t{foresight.found[at]}});
          }
        }
      }
    }
  }
}

}  // namespace

Figure examples_figure(const ReportInput& input, const stats::Evaluation& evaluation,
                       const Detail& detail, const std::string& suffix) {
  Figure figure;
  figure.id = "foreseen" + suffix;
  figure.title = "What was foreseen";
  figure.reading = fmt::format(
      "The beginnings of test texts, with the predictor that finds most at each lead. Colours are "
      "the first expert, as above. A small mark: some of the {} experts were not among the {} "
      "highest-scored; a large one: none was. No mark: all were. Hovering names the missed ones. "
      "Pale rows cannot be predicted at the lead.",
      evaluation.top_k, evaluation.top_k);
  figure.choice = "Text";
  const std::vector<size_t> rows = best_rows(evaluation);
  size_t experts = 0;
  for (const stats::ExampleText& example : evaluation.examples) {
    for (const size_t row : rows) {
      experts += example.text.experts.size();
      if (experts > detail.of(kExampleExperts) && !figure.panels.empty()) break;
      figure.panels.push_back(
          examples_panel(input, example, evaluation.rows[row], example.foresights[row]));
    }
  }
  figure.data = [&evaluation](TableFile& file) { write_examples(evaluation, file); };
  return figure;
}

}  // namespace foregate::report
