#include "predict/neural/gate_adapter.h"

#include <ATen/CPUGeneratorImpl.h>
#include <torch/types.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "predict/fit_inputs.h"
#include "predict/training/layer_matmul.h"

namespace foregate::predict {
namespace {

constexpr int64_t kDefaultRank = 32;
constexpr int64_t kMaxRank = 4096;

}  // namespace

GateAdapterPredictor::GateAdapterPredictor(std::string name, scoring::Lead lead,
                                           trace::Geometry geometry, const JsonReader& settings)
    : TrainedStatePredictor(std::move(name), lead, std::move(geometry),
                            TrainerSettings::from_json(settings, {})),
      rank_(settings.integer("rank", 1, kMaxRank, kDefaultRank)) {}

NamedTensors GateAdapterPredictor::initial_parameters(const FitInputs& inputs) const {
  const TargetRouters routers = target_routers(inputs.corpus, *this);
  const int64_t hidden = geometry().hidden_size;
  const int64_t experts = geometry().num_experts;
  auto generator = at::make_generator<at::CPUGeneratorImpl>(inputs.environment.seed);
  const torch::Tensor down = torch::randn({num_layers(), hidden, rank_}, generator);
  return {{"router", routers.weight.clone()},
          {"gain", routers.gain.clone()},
          {"down", down / std::sqrt(static_cast<double>(hidden))},
          {"up", torch::zeros({num_layers(), rank_, experts})},
          {"bias", torch::zeros({num_layers(), experts})}};
}

torch::Tensor GateAdapterPredictor::logits(const NamedTensors& parameters,
                                           const StateInputs& inputs,
                                           torch::ScalarType dtype) const {
  // W (g * z) = (W * g) z: scaling the weights instead of the states, and one product for router
  // and low rank, leave no gradient to be taken with respect to the states.
  const torch::Tensor scaled = parameters.at("router") * parameters.at("gain").unsqueeze(1);
  const torch::Tensor both = torch::cat({scaled.transpose(1, 2), parameters.at("down")}, 2);
  const std::vector<torch::Tensor> parts =
      layer_matmul(inputs.states, both, dtype).split_with_sizes({geometry().num_experts, rank_}, 2);
  return parts[0] + layer_matmul(torch::silu(parts[1]), parameters.at("up"), dtype) +
         parameters.at("bias").unsqueeze(1);
}

void GateAdapterPredictor::set_weights(const NamedTensors& weights, const std::string& where) {
  const int64_t hidden = geometry().hidden_size;
  const int64_t experts = geometry().num_experts;
  const auto take = [&](const char* name, at::IntArrayRef shape) {
    parameters_[name] = take_weight(weights, name, shape, torch::kFloat32, where);
  };
  take("router", {num_layers(), experts, hidden});
  take("gain", {num_layers(), hidden});
  take("down", {num_layers(), hidden, rank_});
  take("up", {num_layers(), rank_, experts});
  take("bias", {num_layers(), experts});
}

Json GateAdapterPredictor::settings() const {
  Json json = TrainedStatePredictor::settings();
  json["rank"] = rank_;
  return json;
}

}  // namespace foregate::predict
