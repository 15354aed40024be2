#pragma once

#include <compare>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "stats/evaluation/confidence.h"
#include "stats/evaluation/examples.h"
#include "stats/evaluation/metric.h"

namespace foregate::stats {

/// Which of a row's decisions: all of them, or those of a dataset, a MoE layer or a phase.
struct Part {
  enum class By { kAll, kDataset, kLayer, kPhase };

  By by = By::kAll;
  int layer = 0;     ///< MoE layer, if by layer
  std::string name;  ///< the dataset, or "prompt" or "generated"

  static Part dataset(std::string name) { return {By::kDataset, 0, std::move(name)}; }
  static Part moe_layer(int layer) { return {By::kLayer, layer, ""}; }
  static Part phase(std::string name) { return {By::kPhase, 0, std::move(name)}; }

  auto operator<=>(const Part&) const = default;
};

/// Intervals are over texts: from fewer than this there is none.
inline constexpr int64_t kTextsForInterval = 2;

/// A row's metrics on a part of its decisions; intervals over the texts that have such decisions.
struct Slice {
  Part part;
  int64_t decisions = 0;
  int64_t texts = 0;
  MetricTable metrics;
};

/// One predictor at one lead on one set of texts.
struct EvaluationRow {
  std::string predictor;      ///< name or directory
  std::string lead;           ///< "next-token", "layer-1", "pre-attention"
  int64_t learned_texts = 0;  ///< of its texts, those that the predictor learned from: not held out
  bool kept_start = false;    ///< trained by gradient, and no step was better than the start
  /// All decisions first, then by dataset, by layer and, if there are both phases, by phase.
  std::vector<Slice> slices = {Slice()};

  /// The best at this lead, by recall@k, of those that are not trained by gradient; empty for that
  /// one itself. And the gain over it: the difference in recall@k on the same texts.
  std::string baseline;
  Interval gain;

  /// Share of the true experts to be found -> how many of the highest-scored it takes.
  std::vector<std::pair<double, int>> experts_for_recall;
  double calibration_error = 0;             ///< of the calibrated probabilities (ConfidenceScore)
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
  bool on_front = false;     ///< see mark_fronts() (stats/evaluation/pareto_front.h)

  /// The slice of all decisions.
  Slice& whole() { return slices.front(); }
  const Slice& whole() const { return slices.front(); }
  /// The mean of recall@budget over all decisions; 0 if it was not measured.
  double recall(int budget) const;
  /// The mean of recall@budget of each slice of this kind that has it.
  std::vector<std::pair<Part, double>> recalls(Part::By by, int budget) const;
  std::map<std::string, double> recall_by_dataset(int budget) const;
  /// The predictor, if some texts are not held out, how many, and whether it kept its start: for
  /// people.
  std::string title() const;
};

using EvaluationRows = std::vector<const EvaluationRow*>;

/// How far what was learned from one dataset's texts carries: recall on the test texts of each.
struct TransferRow {
  std::string predictor;  ///< kind
  std::string lead;
  std::string learned_from;                         ///< dataset; empty: all of them
  std::map<std::string, double> recall_by_dataset;  ///< recall@k

  /// What it learned from, for people.
  std::string title() const;
};

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

  /// The rows by lead, both in their order.
  std::vector<std::pair<std::string, EvaluationRows>> rows_by_lead() const;
  /// The transfers of one predictor and lead each.
  std::vector<std::vector<const TransferRow*>> transfer_matrices() const;
};

}  // namespace foregate::stats
