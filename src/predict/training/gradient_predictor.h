#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "predict/training/parameters.h"
#include "predict/training/trainer.h"
#include "predict/training/trainer_settings.h"

namespace foregate::predict {

/// Base of the predictors that compute their scores from float32 tensors, trained or not.
class NeuralPredictor : public Predictor {
 public:
  using Predictor::Predictor;

  /// These tensors, in the order in which their initial values are drawn.
  virtual std::vector<ParameterSpec> parameters() const = 0;

  void run_on(const torch::Device& device) final;
  NamedTensors weights() const override { return values_; }
  void set_weights(const NamedTensors& weights, const std::string& where) override;

 protected:
  const torch::Device& device() const { return device_; }

  NamedTensors values_;  // of the parameters, on device()

 private:
  torch::Device device_ = torch::kCPU;
};

/// Base of those whose tensors are found by gradient descent.
class GradientPredictor : public NeuralPredictor {
 public:
  GradientPredictor(std::string name, scoring::Lead lead, trace::Geometry geometry,
                    TrainerSettings training)
      : NeuralPredictor(std::move(name), lead, std::move(geometry)), training_(training) {}

  bool needs_gate_weights() const final;
  void fit(const FitInputs& inputs) final;
  std::unique_ptr<Training> start_training(const FitInputs& inputs) final;
  void end_training(Training& training) final;
  Settings settings() const override { return training_.list(); }
  const TrainerSettings* trainer_settings() const final { return &training_; }
  std::optional<int64_t> best_step() const final { return best_step_; }

 protected:
  /// Batches and loss. parameters() are asked for after this. May refer to predictor and inputs.
  virtual std::unique_ptr<TrainingTask> make_task(const FitInputs& inputs) = 0;

 private:
  TrainerSettings training_;
  std::optional<int64_t> best_step_;
};

}  // namespace foregate::predict
