#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "predict/predictor.h"
#include "stats/evaluation.h"
#include "stats/metrics.h"

namespace foregate {

/// A text's decisions in the form the metrics take, made once for all predictors.
struct Truth {
  explicit Truth(const RoutedText& text);

  int64_t tokens;
  int64_t layers;
  int64_t top_k;
  std::vector<uint16_t> experts;    // [n][L][k]
  std::vector<float> gate_weights;  // the same, or empty
};

/// Scores one predictor text by text and sums up.
class PredictorScorer {
 public:
  PredictorScorer(const Predictor& predictor, std::string label);

  void add(const RoutedText& text, const Truth& truth);
  /// Intervals are bootstrapped over the texts, with this seed.
  EvaluationRow row(uint64_t seed) const;

 private:
  /// Sums over the decisions of one text, or of one dataset's or layer's.
  struct Sums {
    double decisions = 0;
    std::vector<double> metrics;  // in the order of names_
    void add(const TextScore& score);
  };

  const Predictor& predictor_;
  std::string label_;
  std::vector<int> budgets_;
  std::vector<std::string> names_;
  bool gate_mass_ = true;
  std::vector<Sums> texts_;
  std::map<std::string, Sums> datasets_;
  std::map<int, Sums> layers_;
};

}  // namespace foregate
