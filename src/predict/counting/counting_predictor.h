#pragma once

#include <memory>
#include <string>

#include "predict/counting/tensor_weights.h"
#include "predict/predictor.h"
#include "scoring/scorer.h"

namespace foregate::predict {

/// The tensors of a kind of predictor as training texts give them; see count_tensors.h.
using CountTensors = NamedTensors (*)(const FitInputs& inputs, const Predictor& predictor);

/// A predictor that learns by counting: fitting makes tensors, the scoring core scores with them,
/// as it does everywhere.
class CountingPredictor : public Predictor {
 public:
  CountingPredictor(std::string name, scoring::Lead lead, trace::Geometry geometry,
                    CountTensors count)
      : Predictor(std::move(name), lead, std::move(geometry)), count_(count) {}

  void fit(const FitInputs& inputs) override;
  torch::Tensor score(const RoutedText& text) const override;
  NamedTensors weights() const override { return weights_; }
  void set_weights(const NamedTensors& weights, const std::string& where) override;

 protected:
  const scoring::Scorer& scorer() const { return *scorer_; }

 private:
  CountTensors count_;
  NamedTensors weights_;
  std::unique_ptr<TensorWeights> tensors_;   // what the scorer points into
  std::unique_ptr<scoring::Scorer> scorer_;  // null until there are weights
};

/// One whose terms are mixed: each layer's weights of the terms are fitted on validation texts. On
/// the texts that were counted the tables look better than they are.
class MixturePredictor : public CountingPredictor {
 public:
  /// `first_counts`: see fit_log_linear().
  MixturePredictor(std::string name, scoring::Lead lead, trace::Geometry geometry,
                   CountTensors count, double first_counts)
      : CountingPredictor(std::move(name), lead, std::move(geometry), count),
        first_counts_(first_counts) {}

  void fit(const FitInputs& inputs) override;

 private:
  double first_counts_;
};

}  // namespace foregate::predict
