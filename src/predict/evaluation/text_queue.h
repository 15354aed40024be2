#pragma once

#include <torch/types.h>

#include <cstdint>
#include <vector>

#include "predict/evaluation/predictor_evaluator.h"
#include "predict/texts/routed_text.h"

namespace foregate::predict {

/// Hands texts to evaluators. Threads score several texts at a time, and what they find is added
/// up in the texts' order, so that no digit depends on the number of threads.
class TextQueue {
 public:
  /// `device`: where the predictors compute. A GPU is given one text after another.
  TextQueue(std::vector<PredictorEvaluator>& evaluators, const torch::Device& device);

  void add(const RoutedText& text);
  /// Scores what still waits. Call it after the last text.
  void flush();

 private:
  std::vector<PredictorEvaluator>& evaluators_;
  size_t texts_at_a_time_;
  std::vector<RoutedText> waiting_;
  int64_t waiting_bytes_ = 0;
};

}  // namespace foregate::predict
