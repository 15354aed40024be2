#include "predict/neural/gate_adapter.h"

#include <torch/types.h>

#include "predict/neural/target_routers.h"
#include "predict/training/layer_matmul.h"

namespace foregate::predict {
namespace {

constexpr int64_t kDefaultRank = 32;
constexpr int64_t kMaxRank = 4096;

}  // namespace

GateAdapterPredictor::GateAdapterPredictor(std::string name, scoring::Lead lead,
                                           trace::Geometry geometry, const JsonReader& settings)
    : StatePredictor(std::move(name), lead, std::move(geometry),
                     TrainerSettings::from_json(settings, {})),
      rank_(settings.integer("rank", 1, kMaxRank, kDefaultRank)) {}

std::vector<ParameterSpec> GateAdapterPredictor::parameters() const {
  return with_inits(scoring::gate_adapter_layout(geometry(), lead(), rank_),
                    {{"router", target_router(*this)},
                     {"gain", target_gain(*this)},
                     {"down", init::normal_of_inputs(geometry().hidden_size)},
                     {"up", init::zeros()},
                     {"bias", init::zeros()}});
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

Settings GateAdapterPredictor::settings() const {
  Settings settings = StatePredictor::settings();
  settings.emplace_back("rank", rank_);
  return settings;
}

}  // namespace foregate::predict
