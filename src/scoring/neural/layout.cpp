#include "scoring/neural/layout.h"

#include <fmt/format.h>

#include <algorithm>
#include <stdexcept>

namespace foregate::scoring {
namespace {

int64_t predictable_layers(const trace::Geometry& geometry, const Lead& lead) {
  return geometry.num_moe_layers - lead.first_layer();
}

}  // namespace

const std::vector<int64_t>& Layout::shape(std::string_view name) const {
  const auto found = std::find_if(tensors_.begin(), tensors_.end(),
                                  [&](const TensorSpec& tensor) { return tensor.name == name; });
  if (found != tensors_.end()) return found->shape;
  throw std::out_of_range(fmt::format("no tensor \"{}\" in this layout", name));
}

Layout next_gate_layout(const trace::Geometry& geometry, const Lead& lead,
                        const RouterBiasSet& biases) {
  const int64_t layers = predictable_layers(geometry, lead);
  const int64_t experts = geometry.num_experts;
  std::vector<TensorSpec> tensors = {{"router", {layers, experts, geometry.hidden_size}}};
  if (biases.logit) tensors.push_back({"logit_bias", {layers, experts}});
  if (biases.choice) tensors.push_back({"choice_bias", {layers, experts}});
  return Layout(std::move(tensors));
}

Layout gate_adapter_layout(const trace::Geometry& geometry, const Lead& lead, int64_t rank) {
  const int64_t layers = predictable_layers(geometry, lead);
  const int64_t hidden = geometry.hidden_size;
  const int64_t experts = geometry.num_experts;
  return Layout({{"router", {layers, experts, hidden}},
                 {"gain", {layers, hidden}},
                 {"down", {layers, hidden, rank}},
                 {"up", {layers, rank, experts}},
                 {"bias", {layers, experts}}});
}

Layout gate_mlp_layout(const trace::Geometry& geometry, const Lead& lead,
                       const GateMlpSizes& sizes) {
  const int64_t layers = predictable_layers(geometry, lead);
  const int64_t hidden = geometry.hidden_size;
  const int64_t experts = geometry.num_experts;
  const int64_t ids = (1 + kTokensBefore) * sizes.embedding;
  // What reaches the logits directly, then what reaches the inner layer.
  const int64_t both = experts + sizes.width;
  return Layout({{"router", {layers, experts, hidden}},
                 {"gain", {layers, hidden}},
                 {"state_in", {layers, hidden, sizes.width}},
                 {"embedding", {geometry.vocab_size + 1, sizes.embedding}},
                 {"ids_in", {layers, ids, both}},
                 {"experts_in", {layers, kTokensBefore * experts, both}},
                 {"inner_bias", {layers, sizes.width}},
                 {"inner_out", {layers, sizes.width, experts}},
                 {"bias", {layers, experts}}});
}

Layout mlp_layout(const trace::Geometry& geometry, const Lead& lead, int64_t width) {
  const int64_t layers = predictable_layers(geometry, lead);
  const int64_t experts = geometry.num_experts;
  return Layout({{"input", {layers, geometry.hidden_size, width}},
                 {"input_bias", {layers, width}},
                 {"output", {layers, width, experts}},
                 {"output_bias", {layers, experts}}});
}

std::string in_block(int64_t block, std::string_view name) {
  return fmt::format("block.{}.{}", block, name);
}

Layout transformer_layout(const trace::Geometry& geometry, const Lead& lead,
                          const TransformerSizes& sizes, int64_t num_ids) {
  const int64_t layers = predictable_layers(geometry, lead);
  const int64_t experts = geometry.num_experts;
  const int64_t width = sizes.width;
  const bool by_layer = lead.kind == Lead::Kind::kLayer;
  const int64_t outputs = experts + (by_layer ? sizes.layer_width : 0);
  std::vector<TensorSpec> tensors = {{"embedding", {num_ids + 1, width}},
                                     {"routing", {geometry.num_moe_layers * experts, width}},
                                     {"norm", {width}},
                                     {"out", {width, layers * outputs}},
                                     {"out_bias", {layers * outputs}}};
  for (int64_t i = 0; i < sizes.blocks; ++i) {
    tensors.push_back({in_block(i, "attention_norm"), {width}});
    tensors.push_back({in_block(i, "attention_in"), {width, 3 * width}});
    tensors.push_back({in_block(i, "attention_out"), {width, width}});
    tensors.push_back({in_block(i, "mlp_norm"), {width}});
    tensors.push_back({in_block(i, "mlp_in"), {width, 4 * width}});
    tensors.push_back({in_block(i, "mlp_in_bias"), {4 * width}});
    tensors.push_back({in_block(i, "mlp_out"), {4 * width, width}});
  }
  if (by_layer) {
    tensors.push_back({"known", {layers, sizes.layers_back * experts, outputs}});
    tensors.push_back({"layer_out", {layers, sizes.layer_width, experts}});
  }
  return Layout(std::move(tensors));
}

}  // namespace foregate::scoring
