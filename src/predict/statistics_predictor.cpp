#include "predict/statistics_predictor.h"

#include <torch/torch.h>

#include <algorithm>

#include "base/random.h"
#include "predict/mixture.h"

namespace foregate {
namespace {

// Enough tokens to fit a dozen weights a layer.
constexpr double kMixtureTokens = 16384;

// Ingredients in front of the earlier layers'.
constexpr int64_t kTokenIngredients = 5;

/// Whole validation texts, kMixtureTokens in all or so.
std::vector<RoutedText> sample_validation(const Corpus& corpus, uint64_t seed) {
  const TextSelection selection{.split = Split::kValidation};
  const double mean_tokens =
      static_cast<double>(corpus.manifest().num_tokens()) /
      std::max<double>(1, static_cast<double>(corpus.manifest().num_traces()));
  const double share =
      kMixtureTokens / std::max(1.0, mean_tokens * static_cast<double>(corpus.count(selection)));
  Random random(seed);
  std::vector<RoutedText> texts;
  corpus.for_each(selection, [&](const RoutedText& text) {
    if (random.uniform() < share && text.num_tokens() > 0) texts.push_back(text);
  });
  return texts;
}

}  // namespace

int64_t StatisticsPredictor::num_ingredients() const {
  if (lead().kind != Lead::Kind::kLayer) return kTokenIngredients;
  return kTokenIngredients + std::max(0, RoutingCounts::kWindow - lead().distance + 1);
}

void StatisticsPredictor::fit(const FitInputs& inputs) {
  const RoutingCounts& counts = inputs.counts.get();
  const int64_t k = geometry().top_k;
  const torch::Tensor frequency = expert_frequency(counts.experts, counts.tokens);
  NamedTensors weights = {{"frequency", frequency},
                          {"first_frequency", expert_frequency(counts.first, counts.tokens)},
                          {"ids", counts.ids},
                          {"id_tokens", counts.id_tokens},
                          {"id_experts", counts.id_experts},
                          {"id_first", counts.id_first},
                          {"before_tokens", counts.before_tokens},
                          {"before_experts", counts.before_experts},
                          {"previous", pair_evidence(counts.previous, frequency, k)},
                          {"mixture", initial_mixture()}};
  if (lead().kind == Lead::Kind::kLayer) {
    weights["transitions"] = pair_evidence(counts.transitions, frequency, k);
  }
  set_weights(weights, "counts");
  mixture_ = fit_mixture(sample_validation(inputs.corpus, inputs.environment.seed));
  weights_["mixture"] = mixture_;
}

StatisticsPredictor::Clues StatisticsPredictor::clues_of(const RoutedText& text) const {
  Clues clues;
  clues.chosen = multi_hot(text.experts, geometry().num_experts);
  clues.before = clues.chosen.roll(1, 0);
  clues.slots = by_id_.slots(text.token_ids);
  clues.before_slots = by_id_before_.slots(text.token_ids).roll(1, 0);
  if (text.num_tokens() > 0) {
    clues.before[0].zero_();
    clues.before_slots[0] = weights_.at("ids").size(0);
  }
  return clues;
}

torch::Tensor StatisticsPredictor::ingredients(const Clues& clues, int layer) const {
  const int64_t tokens = clues.slots.size(0);
  std::vector<torch::Tensor> evidence = {
      safe_log(frequency_[layer]).expand({tokens, -1}), by_id_.evidence(clues.slots, layer),
      first_by_id_.evidence(clues.slots, layer), by_id_before_.evidence(clues.before_slots, layer),
      clues.before.select(1, layer).matmul(previous_[layer])};
  if (lead().kind == Lead::Kind::kLayer) {
    for (int w = lead().distance - 1; w < RoutingCounts::kWindow; ++w) {
      const int source = layer - 1 - w;
      evidence.push_back(source < 0
                             ? torch::zeros({tokens, geometry().num_experts})
                             : clues.chosen.select(1, source).matmul(transitions_[layer][w]));
    }
  }
  return torch::stack(evidence, -1);
}

torch::Tensor StatisticsPredictor::score(const RoutedText& text) const {
  const Clues clues = clues_of(text);
  std::vector<torch::Tensor> layers;
  for (int l = first_layer(); l < geometry().num_moe_layers; ++l) {
    layers.push_back(ingredients(clues, l).matmul(mixture_[l - first_layer()]));
  }
  return torch::stack(layers, 1);
}

torch::Tensor StatisticsPredictor::initial_mixture() const {
  // Frequency and token table, which is the token table; the rest has to earn its weight.
  torch::Tensor mixture = torch::zeros({num_layers(), num_ingredients()});
  mixture.slice(1, 0, 2).fill_(1);
  return mixture;
}

torch::Tensor StatisticsPredictor::fit_mixture(const std::vector<RoutedText>& texts) const {
  if (texts.empty()) return mixture_;
  std::vector<Clues> clues;
  for (const RoutedText& text : texts) clues.push_back(clues_of(text));
  torch::Tensor mixture = mixture_.clone();
  for (int l = first_layer(); l < geometry().num_moe_layers; ++l) {
    std::vector<torch::Tensor> evidence;
    std::vector<torch::Tensor> truth;
    for (size_t i = 0; i < texts.size(); ++i) {
      evidence.push_back(ingredients(clues[i], l));
      truth.push_back(texts[i].experts.select(1, l));
    }
    mixture[l - first_layer()] =
        fit_log_linear(torch::cat(evidence), torch::cat(truth), mixture_[l - first_layer()]);
  }
  return mixture;
}

void StatisticsPredictor::set_weights(const NamedTensors& weights, const std::string& where) {
  const int64_t layers = geometry().num_moe_layers;
  const int64_t experts = geometry().num_experts;
  const auto take = [&](const char* name, at::IntArrayRef shape, torch::ScalarType dtype) {
    return take_weight(weights, name, shape, dtype, where);
  };
  const torch::Tensor ids = take("ids", {-1}, torch::kInt64);
  const int64_t seen = ids.size(0);
  const auto table = [&](const char* totals, const char* counts, const torch::Tensor& frequency) {
    return IdTable(ids, take(totals, {seen}, torch::kInt32),
                   take(counts, {seen, layers, experts}, torch::kInt32), frequency);
  };
  frequency_ = take("frequency", {layers, experts}, torch::kFloat32);
  by_id_ = table("id_tokens", "id_experts", frequency_);
  first_by_id_ =
      table("id_tokens", "id_first", take("first_frequency", {layers, experts}, torch::kFloat32));
  by_id_before_ = table("before_tokens", "before_experts", frequency_);
  previous_ = take("previous", {layers, experts, experts}, torch::kFloat32);
  if (lead().kind == Lead::Kind::kLayer) {
    transitions_ =
        take("transitions", {layers, RoutingCounts::kWindow, experts, experts}, torch::kFloat32);
  }
  mixture_ = take("mixture", {num_layers(), num_ingredients()}, torch::kFloat32);
  weights_ = weights;
}

}  // namespace foregate
