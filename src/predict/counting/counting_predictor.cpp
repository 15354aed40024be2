#include "predict/counting/counting_predictor.h"

#include <torch/types.h>

#include <nlohmann/json.hpp>
#include <vector>

#include "predict/counting/mixture.h"
#include "predict/counting/replay.h"
#include "predict/fit_inputs.h"
#include "predict/texts/routed_text.h"
#include "scoring/kinds.h"

namespace foregate::predict {

void CountingPredictor::fit(const FitInputs& inputs) {
  set_weights(count_(inputs, *this), "counts");
}

torch::Tensor CountingPredictor::score(const RoutedText& text) const {
  return replay(*scorer_, text);
}

void CountingPredictor::set_weights(const NamedTensors& weights, const std::string& where) {
  auto tensors = std::make_unique<TensorWeights>(weights, where);
  const Json none = Json::object();
  scorer_ = scoring::find_kind(name())->make_scorer({name(), lead(), geometry()}, *tensors,
                                                    JsonReader(none, where));
  tensors_ = std::move(tensors);
  weights_ = weights;
}

void MixturePredictor::fit(const FitInputs& inputs) {
  CountingPredictor::fit(inputs);
  const std::vector<RoutedText> texts = sample_validation(inputs.corpus, inputs.environment.seed);
  if (texts.empty()) return;
  std::vector<torch::Tensor> chosen;
  for (const RoutedText& text : texts) chosen.push_back(text.experts);
  const torch::Tensor truth = torch::cat(chosen);
  const auto& terms = dynamic_cast<const scoring::MixtureScorer&>(scorer());
  NamedTensors fitted = weights();
  torch::Tensor mixture = fitted.at("mixture").clone();
  for (int l = first_layer(); l < geometry().num_moe_layers; ++l) {
    torch::Tensor row = mixture[l - first_layer()];
    row.copy_(fit_log_linear(replay_evidence(terms, texts, l), truth.select(1, l), row.clone(),
                             first_counts_));
  }
  fitted["mixture"] = mixture;
  set_weights(fitted, "counts");
}

}  // namespace foregate::predict
