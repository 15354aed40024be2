#pragma once

#include <vector>

#include "predict/neural/token_windows.h"
#include "predict/neural/transformer.h"
#include "predict/texts/text_stream.h"
#include "predict/training/trainer.h"

namespace foregate::predict {

/// Training of the transformer: batches of random windows of training texts.
class SequenceTask : public TrainingTask {
 public:
  /// Refers to the first three. Throws DataError if the training split has no token.
  SequenceTask(const TransformerPredictor& predictor, const FitInputs& inputs,
               const TrainerSettings& settings, int64_t window);

  /// The ids of the training texts, ascending: what the embedding is for.
  const torch::Tensor& ids() const { return ids_; }

  void prepare(int64_t step) override;
  torch::Tensor loss(const NamedTensors& parameters) override;
  bool repeats() const override { return false; }  // batches differ in shape
  double validate(const NamedTensors& parameters) override;

 private:
  void follow_stream(int64_t step);

  const TransformerPredictor& predictor_;
  const TrainerSettings& settings_;
  const uint64_t seed_;
  const torch::Device device_;
  const torch::ScalarType dtype_;
  TextStream* const stream_;  // may be null
  int64_t version_ = -1;      // of the stream's texts in training_
  WindowRows training_;
  WindowRows validation_;
  torch::Tensor ids_;
  WindowBatch batch_;
  at::Generator dropout_;
};

}  // namespace foregate::predict
