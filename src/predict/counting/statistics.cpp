#include "predict/counting/statistics.h"

#include <torch/types.h>

#include "predict/counting/mixture.h"

namespace foregate::predict {
namespace {

// Ingredients in front of the earlier layers'.
constexpr int64_t kTokenIngredients = 9;

}  // namespace

int64_t StatisticsPredictor::num_terms() const {
  if (lead().kind != scoring::Lead::Kind::kLayer) return kTokenIngredients;
  const scoring::PathIds paths(geometry(), lead().distance, RoutingCounts::kWindow);
  return kTokenIngredients + paths.num_singles() + paths.num_paths();
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
                          {"pair_ids", counts.pair_ids},
                          {"pair_begin", counts.pair_begin},
                          {"pair_experts", counts.pair_experts},
                          {"previous", pair_evidence(counts.previous, frequency, k)},
                          {"mixture", initial_mixture()}};
  if (lead().kind == scoring::Lead::Kind::kLayer) {
    weights["transitions"] = pair_evidence(counts.transitions, frequency, k);
    weights.merge(NamedTensors(inputs.counts.paths(lead().distance)));
  }
  set_weights(weights, "counts");
  mixture_ = fit_mixture(sample_validation(inputs.corpus, inputs.environment.seed));
  weights_["mixture"] = mixture_;
}

StatisticsPredictor::TokenIndices StatisticsPredictor::clues_of(const RoutedText& text) const {
  TokenIndices clues;
  clues.experts = text.experts;
  clues.slots = by_id_.slots(text.token_ids);
  clues.before_slots = by_id_before_.slots(text.token_ids).roll(1, 0);
  if (text.num_tokens() > 0) clues.before_slots[0] = weights_.at("ids").size(0);
  clues.pairs = pairs_.find(text.token_ids);
  clues.same_id = latest_alike(text.token_ids, 1);
  clues.same_pair = latest_alike(text.token_ids, 2);
  return clues;
}

void StatisticsPredictor::each_term(const TokenIndices& clues, int layer,
                                    const std::function<void(const torch::Tensor&)>& take) const {
  const int64_t tokens = clues.slots.size(0);
  const int64_t width = geometry().num_experts;
  const torch::Tensor experts = clues.experts.select(1, layer);
  const torch::Tensor frequency = frequency_[layer];
  take(safe_log(frequency).expand({tokens, -1}));
  take(by_id_.evidence(clues.slots, layer));
  take(first_by_id_.evidence(clues.slots, layer));
  take(by_id_before_.evidence(clues.before_slots, layer));
  torch::Tensor after_previous = sum_rows(previous_[layer], experts).roll(1, 0);
  if (tokens > 0) after_previous[0].zero_();
  take(after_previous);
  // Each of these adds to what the one before it knows.
  take(counted_evidence(all_earlier(experts, width), frequency));
  const torch::Tensor given_id = by_id_.probability(clues.slots, layer);
  const EarlierCounts same_id = earlier_alike(clues.same_id, experts, width);
  take(counted_evidence(same_id, given_id));
  take(counted_evidence(earlier_alike(clues.same_pair, experts, width),
                        counted_probability(same_id, given_id)));
  take(counted_evidence(pairs_.counts(clues.pairs, layer), given_id));
  if (lead().kind != scoring::Lead::Kind::kLayer) return;
  for (int w = lead().distance - 1; w < RoutingCounts::kWindow; ++w) {
    const int source = layer - 1 - w;
    take(source < 0 ? torch::zeros({tokens, width})
                    : sum_rows(transitions_[layer][w], clues.experts.select(1, source)));
  }
  const torch::Tensor paths = paths_.evidence(clues.experts, frequency, layer);
  for (int64_t path = 0; path < paths.size(0); ++path) take(paths[path]);
}

torch::Tensor StatisticsPredictor::score(const RoutedText& text) const {
  const TokenIndices clues = clues_of(text);
  torch::Tensor scores = torch::zeros({num_layers(), text.num_tokens(), geometry().num_experts});
  for (int64_t i = 0; i < num_layers(); ++i) {
    const float* weight = mixture_[i].const_data_ptr<float>();
    torch::Tensor sum = scores[i];
    each_term(clues, first_layer() + static_cast<int>(i),
              [&](const torch::Tensor& evidence) { sum.add_(evidence, *weight++); });
  }
  return scores.transpose(0, 1).contiguous();
}

torch::Tensor StatisticsPredictor::initial_mixture() const {
  // Frequency and token table, which is the token table; the rest has to earn its weight.
  torch::Tensor mixture = torch::zeros({num_layers(), num_terms()});
  mixture.slice(1, 0, 2).fill_(1);
  return mixture;
}

torch::Tensor StatisticsPredictor::fit_mixture(const std::vector<RoutedText>& texts) const {
  if (texts.empty()) return mixture_;
  std::vector<TokenIndices> clues;
  std::vector<torch::Tensor> chosen;
  for (const RoutedText& text : texts) {
    clues.push_back(clues_of(text));
    chosen.push_back(text.experts);
  }
  const torch::Tensor truth = torch::cat(chosen);
  torch::Tensor mixture = mixture_.clone();
  for (int l = first_layer(); l < geometry().num_moe_layers; ++l) {
    std::vector<std::vector<torch::Tensor>> evidence(static_cast<size_t>(num_terms()));
    for (const TokenIndices& text : clues) {
      auto next = evidence.begin();
      each_term(text, l, [&](const torch::Tensor& part) { (next++)->push_back(part); });
    }
    std::vector<torch::Tensor> terms;
    for (const auto& parts : evidence) terms.push_back(torch::cat(parts));
    mixture[l - first_layer()] =
        fit_log_linear(torch::stack(terms), truth.select(1, l), mixture_[l - first_layer()]);
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
  pairs_ = PairTable(weights, geometry(), where);
  previous_ = take("previous", {layers, experts, experts}, torch::kFloat32);
  if (lead().kind == scoring::Lead::Kind::kLayer) {
    transitions_ =
        take("transitions", {layers, RoutingCounts::kWindow, experts, experts}, torch::kFloat32);
    paths_ = PathTable(weights, geometry(), lead(), where);
  }
  mixture_ = take("mixture", {num_layers(), num_terms()}, torch::kFloat32);
  weights_ = weights;
}

}  // namespace foregate::predict
