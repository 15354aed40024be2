#pragma once

#include "predict/neural/state_rows.h"
#include "predict/predictor.h"
#include "predict/training/trainer_settings.h"

namespace foregate::predict {

/// Base of the predictors that read hidden states: logits of every predictable layer.
class StatePredictor : public Predictor {
 public:
  using Predictor::Predictor;

  bool needs_features() const final { return true; }
  torch::Tensor score(const RoutedText& text) const final;
  void run_on(const torch::Device& device) final;
  NamedTensors weights() const final { return parameters_; }

  /// Whether logits() looks at StateInputs::history; without, it is left undefined.
  virtual bool reads_history() const { return false; }
  virtual torch::Tensor logits(const NamedTensors& parameters, const StateInputs& inputs,
                               torch::ScalarType dtype) const = 0;  // -> [L', n, E] float32

 protected:
  NamedTensors parameters_;  // float32, on device_

 private:
  torch::Device device_ = torch::kCPU;
};

/// Base of those whose parameters are found by gradient descent, over all predictable layers at
/// once.
class TrainedStatePredictor : public StatePredictor {
 public:
  TrainedStatePredictor(std::string name, scoring::Lead lead, trace::Geometry geometry,
                        TrainerSettings settings)
      : StatePredictor(std::move(name), lead, std::move(geometry)), settings_(settings) {}

  bool needs_gate_weights() const final {
    return foregate::predict::needs_gate_weights(settings_.loss);
  }
  void fit(const FitInputs& inputs) final;
  std::unique_ptr<Training> start_training(const FitInputs& inputs) final;
  void end_training(Training& training) final;
  Json settings() const override;
  /// What fit() starts from, deterministic in the seed. Throws DataError if the trace has no
  /// routers and they are needed.
  virtual NamedTensors initial_parameters(const FitInputs& inputs) const = 0;

 private:
  TrainerSettings settings_;
};

/// The routers of the predictable layers with the input scale that the lead's states need: at
/// layer-h the states are router inputs already, at pre-attention the norm's weight is still to be
/// applied.
struct TargetRouters {
  torch::Tensor weight;  ///< [L', E, H] float32
  torch::Tensor gain;    ///< [L', H] float32
};
/// Throws DataError that says how to get the routers if the corpus has none.
TargetRouters target_routers(const RoutedTexts& corpus, const Predictor& predictor);

}  // namespace foregate::predict
