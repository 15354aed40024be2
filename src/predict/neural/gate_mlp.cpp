#include "predict/neural/gate_mlp.h"

#include <torch/types.h>

#include "predict/neural/target_routers.h"
#include "predict/training/layer_matmul.h"

namespace foregate::predict {
namespace {

constexpr int64_t kMaxWidth = 65536;
/// Of embeddings at the start. Smaller ones are better for a large vocabulary, of which a training
/// meets many ids only a few times, larger ones for a small one.
constexpr double kEmbeddingScale = 0.25;

/// The defaults that did best on validation texts of the models measured.
TrainerSettings gate_mlp_training() {
  TrainerSettings settings;
  settings.batch_tokens = 2048;
  settings.learning_rate = 4e-3;
  settings.weight_decay = 0.3;
  return settings;
}

}  // namespace

GateMlpPredictor::GateMlpPredictor(std::string name, scoring::Lead lead, trace::Geometry geometry,
                                   const JsonReader& settings)
    : StatePredictor(std::move(name), lead, std::move(geometry),
                     TrainerSettings::from_json(settings, gate_mlp_training())),
      sizes_{.width = settings.integer("width", 1, kMaxWidth, 256),
             .embedding = settings.integer("embedding", 1, kMaxWidth, 64)} {}

std::vector<ParameterSpec> GateMlpPredictor::parameters() const {
  const int64_t experts = geometry().num_experts;
  const int64_t ids = (1 + scoring::kTokensBefore) * sizes_.embedding;
  const Init inner =
      init::normal_of_inputs(geometry().hidden_size + ids + scoring::kTokensBefore * experts);
  return with_inits(scoring::gate_mlp_layout(geometry(), lead(), sizes_),
                    {{"router", target_router(*this)},
                     {"gain", target_gain(*this)},
                     {"state_in", inner},
                     {"embedding", init::normal(kEmbeddingScale)},
                     {"ids_in", init::after_zeros(experts, inner)},
                     {"experts_in", init::after_zeros(experts, inner)},
                     {"inner_bias", init::zeros()},
                     {"inner_out", init::zeros()},
                     {"bias", init::filled_with(prior_logit(geometry()))}});
}

torch::Tensor GateMlpPredictor::logits(const NamedTensors& parameters, const StateInputs& inputs,
                                       torch::ScalarType dtype) const {
  // What reaches the logits directly and what reaches the inner layer come from one product each.
  const torch::Tensor scaled = parameters.at("router") * parameters.at("gain").unsqueeze(1);
  const torch::Tensor state_in = torch::cat({scaled.transpose(1, 2), parameters.at("state_in")}, 2);
  const torch::Tensor ids =
      torch::embedding(parameters.at("embedding"), inputs.history.ids).flatten(1);  // [n, 3d]
  const torch::Tensor sum =
      layer_matmul(inputs.states, state_in, dtype) +
      layer_matmul(ids.unsqueeze(0).expand({num_layers(), -1, -1}), parameters.at("ids_in"),
                   dtype) +
      layer_matmul(inputs.history.experts, parameters.at("experts_in"), dtype);
  const std::vector<torch::Tensor> parts =
      sum.split_with_sizes({geometry().num_experts, sizes_.width}, 2);
  const torch::Tensor inner = torch::silu(parts[1] + parameters.at("inner_bias").unsqueeze(1));
  return parts[0] + layer_matmul(inner, parameters.at("inner_out"), dtype) +
         parameters.at("bias").unsqueeze(1);
}

Settings GateMlpPredictor::settings() const {
  Settings settings = StatePredictor::settings();
  settings.emplace_back("width", sizes_.width);
  settings.emplace_back("embedding", sizes_.embedding);
  return settings;
}

}  // namespace foregate::predict
