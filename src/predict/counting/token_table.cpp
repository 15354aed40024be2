#include "predict/counting/token_table.h"

#include <torch/types.h>

namespace foregate::predict {

void TokenTablePredictor::fit(const FitInputs& inputs) {
  const RoutingCounts& counts = inputs.counts.get();
  set_weights({{"frequency", expert_frequency(counts.experts, counts.tokens)},
               {"ids", counts.ids},
               {"id_tokens", counts.id_tokens},
               {"id_experts", counts.id_experts}},
              "counts");
}

torch::Tensor TokenTablePredictor::score(const RoutedText& text) const {
  const torch::Tensor slots = table_.slots(text.token_ids);
  std::vector<torch::Tensor> layers;
  for (int l = first_layer(); l < geometry().num_moe_layers; ++l) {
    layers.push_back(table_.probability(slots, l));
  }
  return torch::stack(layers, 1);
}

void TokenTablePredictor::set_weights(const NamedTensors& weights, const std::string& where) {
  const int64_t layers = geometry().num_moe_layers;
  const int64_t experts = geometry().num_experts;
  const torch::Tensor ids = take_weight(weights, "ids", {-1}, torch::kInt64, where);
  const int64_t seen = ids.size(0);
  table_ =
      IdTable(ids, take_weight(weights, "id_tokens", {seen}, torch::kInt32, where),
              take_weight(weights, "id_experts", {seen, layers, experts}, torch::kInt32, where),
              take_weight(weights, "frequency", {layers, experts}, torch::kFloat32, where));
  weights_ = weights;
}

}  // namespace foregate::predict
