#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "predict/calibration.h"
#include "predict/predictor.h"
#include "stats/evaluation/confidence.h"
#include "stats/evaluation/evaluation.h"
#include "stats/evaluation/metric_sums.h"

namespace foregate::predict {

/// A text's decisions in the form the metrics take, made once for all predictors.
struct Targets {
  explicit Targets(const RoutedText& text);

  int64_t tokens;
  int64_t prompt_tokens;
  int64_t layers;
  int64_t top_k;
  std::vector<uint16_t> experts;    // [n][L][k]
  std::vector<float> gate_weights;  // the same, or empty
};

/// Scores one predictor text by text and sums up.
class PredictorEvaluator {
  /// One layer of one text.
  struct LayerScore {
    stats::MetricSums prompt;
    stats::MetricSums generated;
    stats::ConfidenceScore confidence;
  };

 public:
  /// `budgets`: m of recall@m and so on, in addition to k and 2k. `threshold`: see
  /// EvaluationRow::at_threshold.
  PredictorEvaluator(const Predictor& predictor, std::string label,
                     scoring::Calibration calibration = {}, const std::vector<int>& budgets = {},
                     std::optional<double> threshold = {});

  /// What one text contributes.
  struct TextScore {
    std::string dataset;
    int64_t tokens;
    bool gate_weights;
    double seconds;  // spent in Predictor::score()
    std::vector<LayerScore> layers;
  };
  /// Scores a text. Several threads may, of different texts.
  TextScore score(const RoutedText& text, const Targets& targets) const;
  /// Adds it up. The order of the texts is that of the sums, and of the intervals' resamples.
  void add(const TextScore& text);
  /// Intervals are bootstrapped over the texts, with this seed.
  stats::EvaluationRow summarize(uint64_t seed) const;
  /// The difference in recall@k to another evaluator that saw the same texts at the same lead.
  stats::Interval gain_over(const PredictorEvaluator& other, uint64_t seed) const;

 private:
  LayerScore empty_score() const;
  void add_layer(const torch::Tensor& scores,         // [n, L', E]
                 const torch::Tensor& probabilities,  // [n, L', E]
                 const Targets& targets, int64_t layer, LayerScore& sums) const;

  /// Sums over decisions of one text.
  struct Sums {
    double decisions = 0;
    std::vector<double> metrics;  // in the order of keys_
    void add(const stats::MetricSums& more);
  };
  stats::MetricTable metrics_of(const std::vector<Sums>& texts, uint64_t seed) const;
  std::vector<stats::Slice> slices(uint64_t seed) const;

  const Predictor& predictor_;
  std::string label_;
  scoring::Calibration calibration_;
  std::optional<double> threshold_;
  std::vector<int> budgets_;
  std::vector<stats::MetricKey> keys_;
  size_t recall_;  // where recall@k is among the keys
  bool gate_mass_ = true;

  // Of each text that has decisions in the part; the whole first.
  std::map<stats::Part, std::vector<Sums>> sums_ = {{stats::Part(), {}}};
  std::vector<int64_t> ranks_;  // [E] true experts found at each place
  stats::ConfidenceScore confidence_;
  double seconds_ = 0;  // spent in score()
  int64_t tokens_ = 0;
};

}  // namespace foregate::predict
