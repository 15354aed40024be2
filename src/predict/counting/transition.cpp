#include "predict/counting/transition.h"

#include <torch/types.h>

#include <algorithm>

#include "predict/counting/mixture.h"
#include "predict/counting/tables.h"

namespace foregate::predict {
namespace {

/// More than twice: top-1 is what pattern-based predictors are known by.
constexpr double kFirstCounts = 4;

}  // namespace

int64_t TransitionPredictor::num_singles() const {
  return 1 +
         2 * scoring::PathIds(geometry(), lead().distance, RoutingCounts::kWindow).num_singles();
}

int64_t TransitionPredictor::num_terms() const {
  return num_singles() +
         scoring::PathIds(geometry(), lead().distance, RoutingCounts::kWindow).num_paths();
}

void TransitionPredictor::fit(const FitInputs& inputs) {
  const RoutingCounts& counts = inputs.counts.get();
  NamedTensors weights = inputs.counts.paths(lead().distance);
  weights["frequency"] = expert_frequency(counts.experts, counts.tokens);
  weights["evidence"] = pair_evidence(counts.transitions, weights["frequency"], geometry().top_k);
  weights["mixture"] = initial_mixture();
  set_weights(weights, "counts");
  std::vector<torch::Tensor> chosen;
  for (const RoutedText& text : sample_validation(inputs.corpus, inputs.environment.seed)) {
    chosen.push_back(text.experts);
  }
  if (chosen.empty()) return;
  mixture_ = fit_mixture(torch::cat(chosen));
  weights_["mixture"] = mixture_;
}

torch::Tensor TransitionPredictor::initial_mixture() const {
  // Naive Bayes; paths have to earn their weight.
  torch::Tensor mixture = torch::zeros({num_layers(), num_terms()});
  mixture.slice(1, 0, num_singles()).fill_(1);
  return mixture;
}

void TransitionPredictor::each_term(const torch::Tensor& experts, int layer,
                                    const std::function<void(const torch::Tensor&)>& take) const {
  take(safe_log(frequency_[layer]).expand({experts.size(0), -1}));
  for (int w = lead().distance - 1; w < RoutingCounts::kWindow; ++w) {
    const int source = layer - 1 - w;
    for (const bool first : {true, false}) {
      if (source < 0) {
        take(torch::zeros({experts.size(0), geometry().num_experts}));
        continue;
      }
      const torch::Tensor known = experts.select(1, source);
      take(sum_rows(evidence_[layer][w], first ? known.slice(1, 0, 1) : known.slice(1, 1)));
    }
  }
  const torch::Tensor paths = paths_.evidence(experts, frequency_[layer], layer);
  for (int64_t path = 0; path < paths.size(0); ++path) take(paths[path]);
}

torch::Tensor TransitionPredictor::fit_mixture(const torch::Tensor& experts) const {
  torch::Tensor mixture = mixture_.clone();
  for (int l = first_layer(); l < geometry().num_moe_layers; ++l) {
    std::vector<torch::Tensor> evidence;
    each_term(experts, l, [&](const torch::Tensor& part) { evidence.push_back(part); });
    mixture[l - first_layer()] = fit_log_linear(torch::stack(evidence), experts.select(1, l),
                                                mixture_[l - first_layer()], kFirstCounts);
  }
  return mixture;
}

torch::Tensor TransitionPredictor::score(const RoutedText& text) const {
  torch::Tensor scores = torch::zeros({num_layers(), text.num_tokens(), geometry().num_experts});
  for (int64_t i = 0; i < num_layers(); ++i) {
    const float* weight = mixture_[i].const_data_ptr<float>();
    torch::Tensor sum = scores[i];
    each_term(text.experts, first_layer() + static_cast<int>(i),
              [&](const torch::Tensor& evidence) { sum.add_(evidence, *weight++); });
  }
  return scores.transpose(0, 1).contiguous();
}

void TransitionPredictor::set_weights(const NamedTensors& weights, const std::string& where) {
  const int64_t layers = geometry().num_moe_layers;
  const int64_t experts = geometry().num_experts;
  frequency_ = take_weight(weights, "frequency", {layers, experts}, torch::kFloat32, where);
  evidence_ = take_weight(weights, "evidence", {layers, RoutingCounts::kWindow, experts, experts},
                          torch::kFloat32, where);
  paths_ = PathTable(weights, geometry(), lead(), where);
  mixture_ = take_weight(weights, "mixture", {num_layers(), num_terms()}, torch::kFloat32, where);
  weights_ = weights;
}

}  // namespace foregate::predict
