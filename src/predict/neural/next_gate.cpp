#include "predict/neural/next_gate.h"

#include <ATen/Parallel.h>
#include <torch/types.h>
#include <torch/utils.h>

#include "predict/fit_inputs.h"
#include "predict/neural/state_predictor.h"
#include "predict/neural/target_routers.h"
#include "predict/training/layer_matmul.h"
#include "trace/router_decision.h"

namespace foregate::predict {

namespace {

// What a RouterSpec says of the choice, and nothing of gate weights.
trace::RouterSpec choice_of(const trace::RouterSpec& spec) {
  return {.score = spec.score,
          .groups = spec.groups,
          .top_groups = spec.top_groups,
          .group_score = spec.group_score};
}

std::span<const float> row_of(const NamedTensors& values, const char* name, int64_t layer) {
  const auto found = values.find(name);
  if (found == values.end()) return {};
  const torch::Tensor& bias = found->second;
  return {bias.const_data_ptr<float>() + layer * bias.size(1), static_cast<size_t>(bias.size(1))};
}

}  // namespace

NextGatePredictor::NextGatePredictor(std::string name, scoring::Lead lead, trace::Geometry geometry,
                                     const JsonReader& settings)
    : NeuralPredictor(std::move(name), lead, std::move(geometry)),
      choice_(scoring::read_router_choice(settings, this->geometry())) {}

std::vector<ParameterSpec> NextGatePredictor::parameters() const {
  const scoring::RouterBiasSet biases = choice_ ? choice_->biases : scoring::RouterBiasSet{};
  std::map<std::string, Init> inits = {
      {"router", choice_ ? target_router_at_scale(*this) : scaled_target_router(*this)}};
  if (biases.logit) inits.emplace("logit_bias", target_logit_bias(*this));
  if (biases.choice) inits.emplace("choice_bias", target_choice_bias(*this));
  return with_inits(scoring::next_gate_layout(geometry(), lead(), biases), inits);
}

void NextGatePredictor::fit(const FitInputs& inputs) {
  choice_.reset();
  if (const auto& routers = inputs.corpus.routers(); routers && !routers->choose_highest_logits()) {
    choice_ = {.spec = choice_of(routers->spec),
               .biases = {.logit = routers->logit_bias.defined(),
                          .choice = routers->choice_bias.defined()}};
  }
  values_ = initial_values(parameters(), inputs.environment.seed, &inputs.corpus);
}

torch::Tensor NextGatePredictor::score(const RoutedText& text) const {
  const torch::NoGradGuard no_grad;
  const StateInputs inputs = visible_inputs(*this, text, /*history=*/false, device());
  const torch::Tensor router = values_.at("router").transpose(1, 2);
  const torch::Tensor scores =
      layer_matmul(inputs.states, router, torch::kFloat32).transpose(0, 1).contiguous().cpu();
  if (!choice_) return scores;
  NamedTensors biases;  // on the CPU
  for (const char* name : {"logit_bias", "choice_bias"}) {
    if (values_.contains(name)) biases[name] = values_.at(name).cpu().contiguous();
  }
  const int64_t experts = geometry().num_experts;
  auto* row = scores.mutable_data_ptr<float>();
  at::parallel_for(0, num_layers(), 1, [&](int64_t begin, int64_t end) {
    for (int64_t layer = begin; layer < end; ++layer) {
      trace::RouterDecision decision(
          choice_->spec,
          {row_of(biases, "logit_bias", layer), row_of(biases, "choice_bias", layer)}, experts,
          geometry().top_k);
      for (int64_t t = 0; t < scores.size(0); ++t) {
        float* own = row + (t * num_layers() + layer) * experts;
        decision.rank(own, own);
      }
    }
  });
  return scores;
}

Settings NextGatePredictor::settings() const {
  Settings settings;
  if (!choice_) return settings;
  for (const auto& [name, value] : choice_->settings()) {
    std::visit([&, key = name](const auto& known) { settings.emplace_back(key, known); }, value);
  }
  return settings;
}

}  // namespace foregate::predict
