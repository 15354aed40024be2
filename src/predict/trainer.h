#pragma once

#include <torch/types.h>

#include <cstdint>
#include <string>

#include "predict/predictor.h"
#include "predict/trainer_settings.h"

namespace foregate {

/// What is optimised: a loss on the batch of a step, and the figure on validation data that chooses
/// the best parameters. Both must be functions of their arguments alone, so that a resumed training
/// goes on exactly as an uninterrupted one.
class TrainingTask {
 public:
  virtual ~TrainingTask() = default;
  /// Scalar, differentiable.
  virtual torch::Tensor loss(const NamedTensors& parameters, int64_t step) = 0;
  /// Recall@k on validation data, higher is better.
  virtual double validate(const NamedTensors& parameters) = 0;
};

/// Minimises the loss by AdamW under a cosine from `initial`, validates now and then, and returns
/// the best parameters seen (float32, CPU). Keeps its whole state in environment.checkpoint every
/// so often and when asked to stop, and goes on from there if the file exists; the caller removes
/// it once the result is kept. Throws InterruptedError when asked to stop, DataError if the loss is
/// no longer a number, UsageError if the checkpoint was made with other settings.
NamedTensors run_training(TrainingTask& task, const NamedTensors& initial,
                          const TrainerSettings& settings, const TrainingEnvironment& environment,
                          const std::string& label);

}  // namespace foregate
