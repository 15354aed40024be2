#include "predict/neural/mlp.h"

#include <torch/types.h>

#include "predict/training/layer_matmul.h"

namespace foregate::predict {
namespace {

constexpr int64_t kDefaultWidth = 256;
constexpr int64_t kMaxMlpWidth = 65536;

}  // namespace

MlpPredictor::MlpPredictor(std::string name, scoring::Lead lead, trace::Geometry geometry,
                           const JsonReader& settings)
    : StatePredictor(std::move(name), lead, std::move(geometry),
                     TrainerSettings::from_json(settings, {})),
      width_(settings.integer("width", 1, kMaxMlpWidth, kDefaultWidth)) {}

std::vector<ParameterSpec> MlpPredictor::parameters() const {
  return with_inits(scoring::mlp_layout(geometry(), lead(), width_),
                    {{"input", init::normal_of_inputs(geometry().hidden_size)},
                     {"input_bias", init::zeros()},
                     {"output", init::normal_of_inputs(width_)},
                     {"output_bias", init::zeros()}});
}

torch::Tensor MlpPredictor::logits(const NamedTensors& parameters, const StateInputs& inputs,
                                   torch::ScalarType dtype) const {
  const torch::Tensor inner =
      torch::silu(layer_matmul(inputs.states, parameters.at("input"), dtype) +
                  parameters.at("input_bias").unsqueeze(1));
  return layer_matmul(inner, parameters.at("output"), dtype) +
         parameters.at("output_bias").unsqueeze(1);
}

Settings MlpPredictor::settings() const {
  Settings settings = StatePredictor::settings();
  settings.emplace_back("width", width_);
  return settings;
}

}  // namespace foregate::predict
