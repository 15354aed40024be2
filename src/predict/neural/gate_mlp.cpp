#include "predict/neural/gate_mlp.h"

#include <ATen/CPUGeneratorImpl.h>
#include <torch/types.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "predict/fit_inputs.h"
#include "predict/training/layer_matmul.h"

namespace foregate::predict {
namespace {

constexpr int64_t kMaxWidth = 65536;
constexpr int64_t kIds = 1 + scoring::kTokensBefore;
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
    : TrainedStatePredictor(std::move(name), lead, std::move(geometry),
                            TrainerSettings::from_json(settings, gate_mlp_training())),
      width_(settings.integer("width", 1, kMaxWidth, 256)),
      embedding_(settings.integer("embedding", 1, kMaxWidth, 64)) {}

NamedTensors GateMlpPredictor::initial_parameters(const FitInputs& inputs) const {
  const TargetRouters routers = target_routers(inputs.corpus, *this);
  const int64_t hidden = geometry().hidden_size;
  const int64_t experts = geometry().num_experts;
  const int64_t before = scoring::kTokensBefore * experts;
  const int64_t inputs_size = hidden + kIds * embedding_ + before;
  auto generator = at::make_generator<at::CPUGeneratorImpl>(inputs.environment.seed);
  const auto inner = [&](int64_t rows) {
    return torch::randn({num_layers(), rows, width_}, generator) /
           std::sqrt(static_cast<double>(inputs_size));
  };
  const auto with_outputs = [&](int64_t rows) {
    return torch::cat({torch::zeros({num_layers(), rows, experts}), inner(rows)}, 2);
  };
  return {{"router", routers.weight.clone()},
          {"gain", routers.gain.clone()},
          {"state_in", inner(hidden)},
          {"embedding",
           kEmbeddingScale * torch::randn({geometry().vocab_size + 1, embedding_}, generator)},
          {"ids_in", with_outputs(kIds * embedding_)},
          {"experts_in", with_outputs(before)},
          {"inner_bias", torch::zeros({num_layers(), width_})},
          {"inner_out", torch::zeros({num_layers(), width_, experts})},
          {"bias", torch::full({num_layers(), experts}, prior_logit(geometry()))}};
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
      sum.split_with_sizes({geometry().num_experts, width_}, 2);
  const torch::Tensor inner = torch::silu(parts[1] + parameters.at("inner_bias").unsqueeze(1));
  return parts[0] + layer_matmul(inner, parameters.at("inner_out"), dtype) +
         parameters.at("bias").unsqueeze(1);
}

void GateMlpPredictor::set_weights(const NamedTensors& weights, const std::string& where) {
  const int64_t hidden = geometry().hidden_size;
  const int64_t experts = geometry().num_experts;
  const auto take = [&](const char* name, at::IntArrayRef shape) {
    parameters_[name] = take_weight(weights, name, shape, torch::kFloat32, where);
  };
  take("router", {num_layers(), experts, hidden});
  take("gain", {num_layers(), hidden});
  take("state_in", {num_layers(), hidden, width_});
  take("embedding", {geometry().vocab_size + 1, embedding_});
  take("ids_in", {num_layers(), kIds * embedding_, experts + width_});
  take("experts_in", {num_layers(), scoring::kTokensBefore * experts, experts + width_});
  take("inner_bias", {num_layers(), width_});
  take("inner_out", {num_layers(), width_, experts});
  take("bias", {num_layers(), experts});
}

Json GateMlpPredictor::settings() const {
  Json json = TrainedStatePredictor::settings();
  json["width"] = width_;
  json["embedding"] = embedding_;
  return json;
}

}  // namespace foregate::predict
