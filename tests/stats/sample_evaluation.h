#pragma once

#include "stats/evaluation/evaluation.h"

namespace foregate::stats {

/// One row that has everything a row can have, and transfers.
inline Evaluation sample_evaluation() {
  Evaluation evaluation;
  evaluation.trace = "t";
  evaluation.model = "m";
  evaluation.split = "test";
  evaluation.device = "cuda:1";
  evaluation.num_experts = 8;
  evaluation.top_k = 2;
  evaluation.num_moe_layers = 3;
  evaluation.has_control = true;
  evaluation.control_decisions = 1200;
  evaluation.control_matches = 1200;
  EvaluationRow row;
  row.predictor = "frequency";
  row.lead = "layer-1";
  const MetricKey recall = recall_at(2);
  row.slices = {
      {Part(), 1200, 9, {{recall, {0.254, 0.25, 0.26}}, {{Metric::kTop1, 0}, {0.125, 0.1, 0.2}}}},
      {Part::dataset("imdb"), 1200, 9, {{recall, {0.254, 0.25, 0.26}}}},
      {Part::moe_layer(1), 600, 9, {{recall, {0.25, 0.125, 0.5}}}},
      {Part::moe_layer(2), 600, 9, {{recall, {0.3, 0.25, 0.375}}}},
      {Part::phase("generated"), 400, 5, {{recall, {0.5, 0.4, 0.6}}}},
      {Part::phase("prompt"), 800, 9, {{recall, {0.25, 0.2, 0.3}}}}};
  row.baseline = "random";
  row.gain = {0.01, -0.02, 0.04};
  row.experts_for_recall = {{0.9, 6}, {0.99, 8}};
  row.calibration_error = 0.0125;
  row.reliability = {{700, 0.1, 0.125}, {3, 0.875, 1}};
  row.at_threshold = {0.1, 3.5, 0.75};
  row.microseconds = 2.5;
  row.flops = 2048;
  row.weight_bytes = 1'500'000;
  row.on_front = true;
  evaluation.rows = {row};
  evaluation.transfers = {{"frequency", "layer-1", "", {{"imdb", 0.25}, {"yelp", 0.5}}},
                          {"frequency", "layer-1", "imdb", {{"imdb", 0.25}, {"yelp", 0.125}}},
                          {"frequency", "layer-2", "imdb", {{"imdb", 0.25}}}};
  return evaluation;
}

}  // namespace foregate::stats
