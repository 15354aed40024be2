#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/json.h"
#include "stats/confidence.h"
#include "stats/examples.h"
#include "stats/metrics.h"

namespace foregate::stats {

/// In order: "recall@M", "exact-set@M", "gate-mass@M" for each budget, "top-1".
using Metrics = std::vector<std::pair<std::string, Interval>>;

/// A row's metrics on a part of its decisions; intervals over the texts that have such decisions.
struct EvaluationSlice {
  std::string by;    ///< "dataset", "layer" (a MoE layer) or, if there are both, "phase"
  std::string part;  ///< "imdb", "3", "generated"
  int64_t decisions = 0;
  int64_t texts = 0;
  Metrics metrics;
};

/// One predictor at one lead on one set of rows.
struct EvaluationRow {
  std::string predictor;  ///< name or directory
  std::string lead;       ///< "next-token", "layer-1", "pre-attention"
  int64_t decisions = 0;
  int64_t texts = 0;
  int64_t learned_texts = 0;  ///< of `texts`, those that the predictor learned from: not held out
  Metrics metrics;
  std::vector<EvaluationSlice> slices;
  std::map<std::string, double> recall_by_dataset;      ///< recall@k
  std::vector<std::pair<int, double>> recall_by_layer;  ///< MoE layer index -> recall@k
  std::map<std::string, double> recall_by_phase;  ///< "prompt", "generated", if there are both

  /// The best at this lead, by recall@k, of those that are not trained by gradient; empty for that
  /// one itself. And the gain over it: the difference in recall@k on the same texts.
  std::string baseline;
  Interval gain;

  /// Share of the true experts to be found -> how many of the highest-scored it takes.
  std::vector<std::pair<double, int>> experts_for_recall;
  double calibration_error = 0;  ///< of the calibrated probabilities (stats/confidence.h)
  std::vector<ReliabilityBin> reliability;  ///< the same
  /// If a threshold was asked for: fetching every expert at least this probable.
  struct AtThreshold {
    double probability = 0;
    double experts = 0;  ///< fetched a decision
    double recall = 0;
  };
  std::optional<AtThreshold> at_threshold;

  double microseconds = 0;   ///< to score one token at all layers, on the evaluation's device
  double flops = 0;          ///< the same, counted: two a multiply-add
  int64_t weight_bytes = 0;  ///< what the predictor keeps
  /// None at this lead costs as few flops and finds more, or finds as many for fewer flops.
  bool on_front = false;

  /// The mean of "recall@M"; 0 if it is not among the metrics.
  double recall(int budget) const;
  /// The predictor, and if some texts are not held out, how many: for people.
  std::string title() const;
};

/// How far what was learned from one dataset's texts carries: recall on the test texts of each.
struct TransferRow {
  std::string predictor;  ///< kind
  std::string lead;
  std::string learned_from;                         ///< dataset; empty: all of them
  std::map<std::string, double> recall_by_dataset;  ///< recall@k

  /// What it learned from, for people.
  std::string title() const;
};

/// Sets on_front of every row: the Pareto front of recall@k and flops at each lead.
void mark_fronts(std::vector<EvaluationRow>& rows, int top_k);

/// A whole evaluation: the own-router control and every predictor asked for, on the same texts.
struct Evaluation {
  std::string trace;  ///< directory
  std::string model;
  std::string split;           ///< "test", "all" or "held-out DATASET"
  std::string device = "cpu";  ///< that neural predictors ran on; the others run on the CPU
  int num_experts = 0;
  int top_k = 0;
  int num_moe_layers = 0;
  std::vector<EvaluationRow> rows;
  /// By predictor and lead, and there learned_from; empty unless predictors learned from parts.
  std::vector<TransferRow> transfers;
  std::vector<ExampleText> examples;  ///< To be looked at; not part of the JSON.

  bool has_control = false;  ///< false: the trace has no features, so it cannot be computed
  int64_t control_decisions = 0;
  int64_t control_matches = 0;  ///< equal to control_decisions, or the evaluation is broken

  /// The transfers of one predictor and lead each.
  std::vector<std::vector<const TransferRow*>> transfer_matrices() const;

  Json to_json() const;
  static Evaluation from_json(const Json& json, const std::string& where);
  /// Plain-text table for a terminal: percent, with intervals, grouped by lead.
  std::string to_table() const;
};

}  // namespace foregate::stats
