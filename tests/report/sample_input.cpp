#include "sample_input.h"

#include <cmath>

#include "stats/evaluation/pareto_front.h"
#include "support/random_trace.h"

namespace foregate::report {

ReportInput sample_input(const SampleShape& shape) {
  ReportInput input;
  input.title = "Routing report";
  const trace::Geometry geometry = stats::small_geometry(shape.layers, shape.experts, shape.top_k);
  input.manifest.model = "sample/model";
  input.manifest.geometry = geometry;
  input.manifest.complete = true;
  input.statistics = stats::RoutingStatistics(geometry, {0});  // the samples' only token id
  Random random(11);
  for (int text = 0; text < shape.texts; ++text) {
    const std::string& dataset = shape.datasets[static_cast<size_t>(text) % shape.datasets.size()];
    input.statistics.add(stats::random_trace(geometry, dataset, shape.tokens, random));
  }
  return input;
}

stats::TraceAgreement sample_agreement(const SampleShape& shape) {
  const trace::Geometry geometry = stats::small_geometry(shape.layers, shape.experts, shape.top_k);
  stats::TraceAgreement agreement(geometry);
  Random random(12);
  for (int text = 0; text < 3; ++text) {
    agreement.add(stats::random_trace(geometry, "d", shape.tokens, random),
                  stats::random_trace(geometry, "d", shape.tokens, random));
  }
  return agreement;
}

stats::Evaluation sample_evaluation(const SampleShape& shape) {
  stats::Evaluation evaluation;
  evaluation.trace = "out/traces";
  evaluation.model = "sample/model";
  evaluation.split = "test";
  evaluation.num_experts = shape.experts;
  evaluation.top_k = shape.top_k;
  evaluation.num_moe_layers = shape.layers;
  for (const char* lead : {"next-token", "layer-1"}) {
    for (const char* predictor : {"poor", "good"}) {
      const double recall = predictor == std::string("good") ? 0.8125 : 0.25;
      stats::EvaluationRow row;
      row.predictor = predictor;
      row.lead = lead;
      const stats::MetricTable metrics = {
          {stats::recall_at(shape.top_k), {recall, recall - 0.05, recall + 0.05}}};
      row.slices = {{stats::Part(), 1234, 7, metrics}};
      for (const std::string& dataset : shape.datasets)
        row.slices.push_back({stats::Part::dataset(dataset), 617, 7, metrics});
      for (int layer = 1; layer < shape.layers; ++layer)
        row.slices.push_back({stats::Part::moe_layer(layer), 617, 7, metrics});
      row.flops = predictor == std::string("good") ? 4096 : 0;
      row.reliability = {{900, 0.1, 0.125}, {30, 0.8, 0.75}};
      evaluation.rows.push_back(row);
    }
    for (const std::string& dataset : shape.datasets)
      evaluation.transfers.push_back({"poor", lead, dataset, {{dataset, 0.25}}});
  }
  const trace::Geometry geometry = stats::small_geometry(shape.layers, shape.experts, shape.top_k);
  Random random(13);
  for (const std::string& dataset : shape.datasets) {
    stats::ExampleText example{stats::random_trace(geometry, dataset, shape.tokens, random), {}};
    for (const stats::EvaluationRow& row : evaluation.rows) {
      stats::Foresight foresight{row.lead == "layer-1" ? 1 : 0, {}};
      foresight.found.resize(example.text.experts.size());
      for (size_t i = 0; i < foresight.found.size(); i += 3) foresight.found[i] = 1;
      example.foresights.push_back(std::move(foresight));
    }
    evaluation.examples.push_back(std::move(example));
  }
  stats::mark_fronts(evaluation.rows, shape.top_k);
  return evaluation;
}

Simulation sample_simulation() {
  const double none = std::nan("");
  Simulation simulation;
  simulation.tokens = 1000;
  simulation.texts = 12;
  simulation.budgets = {"5%", "30%", "70%"};
  simulation.curves = {{"lru", {none, 0.5, 0.875}}, {"belady", {none, 0.75, 0.9375}}};
  simulation.hardware = "card <1>";
  simulation.policy = "lru";
  simulation.expert_bytes = 17.3e6;
  simulation.timed_tokens = 900;
  const Simulation::Run missing = {none, none, none, none, none, none};
  simulation.prefetches = {
      {"", {missing, {20, 0.01, 0.04, 0.04, 0, 0}, {50, 0.01, 0.01, 0.01, 0, 0}}},
      {"<oracle>", {missing, {25, 0.01, 0.03, 0.01, 0.03, 0.125}, {80, 0.01, 0.0025, 0, 0.01, 0}}}};
  return simulation;
}

stats::Evaluation large_evaluation(const SampleShape& shape) {
  stats::Evaluation evaluation = sample_evaluation(shape);
  const stats::EvaluationRow row = evaluation.rows.back();
  evaluation.rows.clear();
  evaluation.transfers.clear();
  for (const char* lead : {"next-token", "layer-1", "layer-2", "pre-attention"}) {
    for (int i = 0; i < 10; ++i) {
      stats::EvaluationRow& made = evaluation.rows.emplace_back(row);
      made.predictor = "predictors/number-" + std::to_string(i);
      made.lead = lead;
      made.flops = 1e5 * i;
      made.reliability.assign(20, {12345, 0.123, 0.125});
      if (i >= 4) continue;
      for (const std::string& dataset : shape.datasets)
        evaluation.transfers.push_back(
            {made.predictor, lead, dataset, row.recall_by_dataset(shape.top_k)});
    }
  }
  stats::mark_fronts(evaluation.rows, shape.top_k);
  for (stats::ExampleText& example : evaluation.examples)
    example.foresights.resize(evaluation.rows.size(), example.foresights.back());
  return evaluation;
}

}  // namespace foregate::report
