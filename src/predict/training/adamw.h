#pragma once

#include <torch/types.h>

#include <cstdint>
#include <vector>

#include "predict/training/trainer_settings.h"
#include "predict/training/training_state.h"

namespace foregate::predict {

/// AdamW (Loshchilov and Hutter 2019) with betas of 0.9 and 0.999. What changes from step to step
/// lies on the parameters' device, so that a step can be recorded and replayed.
class AdamW {
 public:
  /// Changes the state's parameters and moments in place.
  AdamW(const TrainingState& state, const torch::Device& device, const TrainerSettings& settings);

  const std::vector<torch::Tensor>& parameters() const { return parameters_; }

  /// For the next apply(): its rate, and which step it is, counted from 1.
  void set(double learning_rate, int64_t step);
  /// One step along gradients in the order of parameters(), which are cut to settings.clip_norm
  /// (Pascanu and others 2013).
  void apply(const std::vector<torch::Tensor>& gradients);

 private:
  double weight_decay_;
  double clip_norm_;
  std::vector<torch::Tensor> parameters_;
  std::vector<torch::Tensor> first_moments_;
  std::vector<torch::Tensor> second_moments_;
  torch::Tensor controls_;  // [2] float32: learning rate, step
  std::vector<torch::Tensor> steps_;
};

}  // namespace foregate::predict
