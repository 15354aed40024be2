#pragma once

#include <torch/types.h>

#include <cstdint>
#include <memory>
#include <string>

#include "predict/fit_inputs.h"
#include "predict/predictor.h"
#include "predict/training/trainer_settings.h"

namespace foregate::predict {

/// What is optimised: a loss on the batch of a step, and the figure on validation data that chooses
/// the best parameters. Both must be functions of the parameters and the step alone, so that a
/// resumed training goes on exactly as an uninterrupted one.
class TrainingTask {
 public:
  virtual ~TrainingTask() = default;
  /// Brings the batch of this step to where loss() looks for it.
  virtual void prepare(int64_t step) = 0;
  /// Of the batch prepared last: scalar, differentiable.
  virtual torch::Tensor loss(const NamedTensors& parameters) = 0;
  /// Whether loss() does what CudaGraph asks for: the same on tensors that stay where they are.
  virtual bool repeats() const = 0;
  /// Recall@k on validation data, higher is better.
  virtual double validate(const NamedTensors& parameters) = 0;
};

/// A training under way. It minimises the loss by AdamW under a cosine, validates now and then and
/// remembers the best parameters. Its whole state is kept in environment.checkpoint every so often
/// and when asked to stop, and a training that finds the file goes on from there; the caller
/// removes it once the result is kept.
class Training {
 public:
  /// Throws UsageError if the checkpoint was made with other settings. `settings` are copied.
  Training(std::unique_ptr<TrainingTask> task, const NamedTensors& initial,
           const TrainerSettings& settings, const TrainingEnvironment& environment,
           const RunContext& run, const std::string& label);
  ~Training();
  Training(const Training&) = delete;
  Training& operator=(const Training&) = delete;

  /// All steps are done, or validation has not become better for so long that it never will.
  bool done() const;
  /// Of its steps, what share is done.
  double share() const;
  /// One step, and what is due after it; a GPU may still be at work on it. Throws InterruptedError
  /// when asked to stop, DataError if a loss is no longer a number.
  void step();
  /// Keeps the state now, if there is a place for it.
  void save();
  /// The best parameters seen: float32, CPU. Warns if they are those it began with.
  NamedTensors result();
  /// After how many steps they were seen; 0: no step was better than the start.
  int64_t best_step() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

/// fit() of a predictor that is trained by gradient: all steps in one go.
void train_alone(Predictor& predictor, const FitInputs& inputs);

}  // namespace foregate::predict
