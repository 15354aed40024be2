#pragma once

#include <vector>

#include "predict/neural/state_predictor.h"
#include "predict/neural/state_rows.h"
#include "predict/texts/text_stream.h"
#include "predict/training/trainer.h"

namespace foregate::predict {

/// Training of a state predictor: batches of random tokens with features, all predictable layers at
/// once.
class StateTask : public TrainingTask {
 public:
  /// Refers to all three. Throws DataError if no training text has features.
  StateTask(const StatePredictor& predictor, const FitInputs& inputs,
            const TrainerSettings& settings);

  void prepare(int64_t step) override;
  torch::Tensor loss(const NamedTensors& parameters) override;
  bool repeats() const override;
  double validate(const NamedTensors& parameters) override;

 private:
  void follow_stream(int64_t step);
  std::vector<int64_t> draw(int64_t step) const;

  const StatePredictor& predictor_;
  const TrainerSettings& settings_;
  const uint64_t seed_;
  const torch::Device device_;
  const torch::ScalarType dtype_;
  TextStream* const stream_;  // may be null
  int64_t version_ = -1;      // of the stream's texts in training_
  StateRows training_;
  StateRows validation_;
  StateRows::BatchIndices drawn_;
};

/// Share of the chosen experts among the k highest logits.
double recall_at_k(const torch::Tensor& logits,    // [..., E]
                   const torch::Tensor& experts);  // [..., k] int64

}  // namespace foregate::predict
