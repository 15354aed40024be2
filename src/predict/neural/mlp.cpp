#include "predict/neural/mlp.h"

#include <ATen/CPUGeneratorImpl.h>
#include <torch/types.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "predict/fit_inputs.h"
#include "predict/training/layer_matmul.h"

namespace foregate::predict {
namespace {

constexpr int64_t kDefaultWidth = 256;
constexpr int64_t kMaxMlpWidth = 65536;

}  // namespace

MlpPredictor::MlpPredictor(std::string name, scoring::Lead lead, trace::Geometry geometry,
                           const JsonReader& settings)
    : TrainedStatePredictor(std::move(name), lead, std::move(geometry),
                            TrainerSettings::from_json(settings, {})),
      width_(settings.integer("width", 1, kMaxMlpWidth, kDefaultWidth)) {}

NamedTensors MlpPredictor::initial_parameters(const FitInputs& inputs) const {
  const int64_t hidden = geometry().hidden_size;
  const int64_t experts = geometry().num_experts;
  auto generator = at::make_generator<at::CPUGeneratorImpl>(inputs.environment.seed);
  const auto random = [&](int64_t fan_in, int64_t fan_out) {
    return torch::randn({num_layers(), fan_in, fan_out}, generator) /
           std::sqrt(static_cast<double>(fan_in));
  };
  const torch::Tensor input = random(hidden, width_);
  return {{"input", input},
          {"input_bias", torch::zeros({num_layers(), width_})},
          {"output", random(width_, experts)},
          {"output_bias", torch::zeros({num_layers(), experts})}};
}

torch::Tensor MlpPredictor::logits(const NamedTensors& parameters, const StateInputs& inputs,
                                   torch::ScalarType dtype) const {
  const torch::Tensor inner =
      torch::silu(layer_matmul(inputs.states, parameters.at("input"), dtype) +
                  parameters.at("input_bias").unsqueeze(1));
  return layer_matmul(inner, parameters.at("output"), dtype) +
         parameters.at("output_bias").unsqueeze(1);
}

void MlpPredictor::set_weights(const NamedTensors& weights, const std::string& where) {
  const int64_t experts = geometry().num_experts;
  const auto take = [&](const char* name, at::IntArrayRef shape) {
    parameters_[name] = take_weight(weights, name, shape, torch::kFloat32, where);
  };
  take("input", {num_layers(), geometry().hidden_size, width_});
  take("input_bias", {num_layers(), width_});
  take("output", {num_layers(), width_, experts});
  take("output_bias", {num_layers(), experts});
}

Json MlpPredictor::settings() const {
  Json json = TrainedStatePredictor::settings();
  json["width"] = width_;
  return json;
}

}  // namespace foregate::predict
