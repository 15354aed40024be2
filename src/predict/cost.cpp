#include "predict/cost.h"

#include <algorithm>

#include "predict/neural/transformer.h"
#include "scoring/constants.h"
#include "scoring/counting/path_ids.h"

namespace foregate::predict {
namespace {

/// W, how many earlier layers the predictor's tensors relate each layer to.
int64_t window_of(const Predictor& predictor) {
  const NamedTensors weights = predictor.weights();
  for (const char* name : {"evidence", "transitions"}) {
    if (weights.contains(name)) return weights.at(name).size(1);
  }
  return 0;
}

/// Over all predictable layers, the earlier layers that are known and looked at.
double known_layers(const Predictor& predictor) {
  const int64_t window = window_of(predictor);
  double known = 0;
  for (int64_t l = 0; l < predictor.num_layers(); ++l) {
    known += static_cast<double>(std::min<int64_t>(l + 1, window));
  }
  return known;
}

/// Over all predictable layers, the paths looked up; each has a count of every expert at most.
double known_paths(const Predictor& predictor) {
  if (predictor.lead().kind != scoring::Lead::Kind::kLayer) return 0;
  const scoring::PathIds paths(predictor.geometry(), predictor.lead().distance,
                               window_of(predictor));
  const auto longer = static_cast<double>(paths.num_paths() - paths.num_singles());
  return known_layers(predictor) + static_cast<double>(predictor.num_layers()) * longer;
}

double experts_of(const Predictor& predictor) {
  return static_cast<double>(predictor.geometry().num_experts);
}

double top_k_of(const Predictor& predictor) {
  return static_cast<double>(predictor.geometry().top_k);
}

double layers_of(const Predictor& predictor) {
  return static_cast<double>(predictor.num_layers());
}

}  // namespace

double no_cost(const Predictor& /*predictor*/) {
  return 0;
}

double previous_token_cost(const Predictor& predictor) {
  return layers_of(predictor) * top_k_of(predictor);
}

double token_table_cost(const Predictor& predictor) {
  return layers_of(predictor) * experts_of(predictor);
}

double transition_cost(const Predictor& predictor) {
  return (known_layers(predictor) * top_k_of(predictor) + known_paths(predictor)) *
         experts_of(predictor);
}

double statistics_cost(const Predictor& predictor) {
  constexpr auto kTerms = static_cast<double>(scoring::kTokenTerms);
  const double own = layers_of(predictor) * (2 * kTerms + top_k_of(predictor));
  return (own + known_layers(predictor) * (top_k_of(predictor) + 1) + known_paths(predictor)) *
         experts_of(predictor);
}

double dense_cost(const Predictor& predictor) {
  double cost = 0;
  for (const auto& [name, tensor] : predictor.weights()) {
    if (tensor.dim() >= 2 && name != "embedding") cost += static_cast<double>(tensor.numel());
  }
  return cost;
}

double transformer_cost(const Predictor& predictor) {
  const scoring::TransformerSizes& sizes =
      dynamic_cast<const TransformerPredictor&>(predictor).sizes();
  // Scores and sums over half a window on average.
  return dense_cost(predictor) + static_cast<double>(sizes.blocks * sizes.context * sizes.width);
}

}  // namespace foregate::predict
