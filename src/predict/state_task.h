#pragma once

#include <vector>

#include "predict/state_predictor.h"
#include "predict/states.h"
#include "predict/trainer.h"

namespace foregate {

/// Training of a state predictor: batches of random tokens with features, all predictable layers at
/// once, multi-label binary cross-entropy summed over experts.
class StateTask : public TrainingTask {
 public:
  /// Throws DataError if no training text has features.
  StateTask(const StatePredictor& predictor, const Corpus& corpus, const TrainerSettings& settings,
            const TrainingEnvironment& environment);

  torch::Tensor loss(const NamedTensors& parameters, int64_t step) override;
  double validate(const NamedTensors& parameters) override;

 private:
  std::vector<int64_t> draw(int64_t step) const;

  const StatePredictor& predictor_;
  const TrainerSettings& settings_;
  const uint64_t seed_;
  const torch::Device device_;
  const torch::ScalarType dtype_;
  const StateRows training_;
  const StateRows validation_;
};

/// Share of the chosen experts among the k highest logits.
double recall_at_k(const torch::Tensor& logits,    // [..., E]
                   const torch::Tensor& experts);  // [..., k] int64

}  // namespace foregate
