#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "base/json.h"
#include "stats/metrics.h"

namespace foregate {

/// One predictor at one lead on one set of rows.
struct EvaluationRow {
  std::string predictor;  ///< name or directory
  std::string lead;       ///< "next-token", "layer-1", "pre-attention"
  int64_t decisions = 0;
  int64_t texts = 0;
  int64_t learned_texts = 0;  ///< of `texts`, those that the predictor learned from: not held out
  /// In order: "recall@M", "exact-set@M", "gate-mass@M" for each budget, "top-1".
  std::vector<std::pair<std::string, Interval>> metrics;
  std::map<std::string, double> recall_by_dataset;      ///< recall@k
  std::vector<std::pair<int, double>> recall_by_layer;  ///< MoE layer index -> recall@k

  /// The predictor, and if some texts are not held out, how many: for people.
  std::string title() const;
};

/// A whole evaluation: the own-router control and every predictor asked for, on the same texts.
struct Evaluation {
  std::string trace;  ///< directory
  std::string model;
  std::string split;  ///< "test" or "all"
  int num_experts = 0;
  int top_k = 0;
  int num_moe_layers = 0;
  std::vector<EvaluationRow> rows;

  bool has_control = false;  ///< false: the trace has no features, so it cannot be computed
  int64_t control_decisions = 0;
  int64_t control_matches = 0;  ///< equal to control_decisions, or the evaluation is broken

  Json to_json() const;
  static Evaluation from_json(const Json& json, const std::string& where);
  /// Plain-text table for a terminal: percent, with intervals, grouped by lead.
  std::string to_table() const;
};

}  // namespace foregate
