#include "predict/counting/count_tensors.h"

#include <torch/types.h>

#include <algorithm>

#include "predict/counting/routing_counts.h"
#include "predict/fit_inputs.h"
#include "scoring/constants.h"
#include "scoring/counting/mixture_scorer.h"

namespace foregate::predict {
namespace {

constexpr double kPairPseudoCounts = 8;

/// Share of the training tokens that chose each expert.
torch::Tensor expert_frequency(const torch::Tensor& experts,  // [L, E] int32 counts
                               int64_t tokens) {              // -> [L, E] float32
  return experts.to(torch::kFloat32) / static_cast<double>(std::max<int64_t>(tokens, 1));
}

torch::Tensor safe_log_of(const torch::Tensor& probability) {
  return probability.clamp_min(static_cast<double>(scoring::kSmallestProbability)).log();
}

/// log P(b | a) - log frequency(b) from co-activation counts, smoothed by eight pseudo-counts of
/// the frequency: what knowing a says about b.
torch::Tensor pair_evidence(const torch::Tensor& pairs,      // [L, ..., E, E] int32: from a to b
                            const torch::Tensor& frequency,  // [L, E] float32: of b
                            int64_t top_k) {                 // -> [L, ..., E, E] float32
  std::vector<int64_t> shape(static_cast<size_t>(pairs.dim()), 1);
  shape.front() = frequency.size(0);
  shape.back() = frequency.size(1);
  const torch::Tensor base = frequency.view(shape);
  const torch::Tensor count = pairs.to(torch::kFloat32);
  // Every token with a chose k experts b, so a row's sum is k times a's count.
  const torch::Tensor total = count.sum(-1, /*keepdim=*/true) / static_cast<double>(top_k);
  const torch::Tensor conditional =
      (count + kPairPseudoCounts * base) / (total + kPairPseudoCounts);
  return safe_log_of(conditional) - safe_log_of(base);
}

/// The first `ones` terms of each layer count fully; the rest has to earn its weight.
torch::Tensor first_mixture(const Predictor& predictor, int64_t terms, int64_t ones) {
  torch::Tensor mixture = torch::zeros({predictor.num_layers(), terms});
  mixture.slice(1, 0, ones).fill_(1);
  return mixture;
}

}  // namespace

NamedTensors random_tensors(const FitInputs& inputs, const Predictor& /*predictor*/) {
  const auto seed = static_cast<int64_t>(inputs.environment.seed);
  return {{"seed", torch::tensor({seed}, torch::kInt64)}};
}

NamedTensors frequency_tensors(const FitInputs& inputs, const Predictor& /*predictor*/) {
  const RoutingCounts& counts = inputs.counts.get();
  return {{"frequency", expert_frequency(counts.experts, counts.tokens)}};
}

NamedTensors token_table_tensors(const FitInputs& inputs, const Predictor& /*predictor*/) {
  const RoutingCounts& counts = inputs.counts.get();
  return {{"frequency", expert_frequency(counts.experts, counts.tokens)},
          {"ids", counts.ids},
          {"id_tokens", counts.id_tokens},
          {"id_experts", counts.id_experts}};
}

NamedTensors transition_tensors(const FitInputs& inputs, const Predictor& predictor) {
  const RoutingCounts& counts = inputs.counts.get();
  const trace::Geometry& geometry = predictor.geometry();
  const scoring::Lead& lead = predictor.lead();
  NamedTensors tensors = inputs.counts.paths(lead.distance);
  tensors["frequency"] = expert_frequency(counts.experts, counts.tokens);
  tensors["evidence"] = pair_evidence(counts.transitions, tensors["frequency"], geometry.top_k);
  // Naive Bayes.
  tensors["mixture"] = first_mixture(
      predictor, scoring::num_transition_terms(geometry, lead, RoutingCounts::kWindow),
      scoring::num_single_expert_terms(geometry, lead, RoutingCounts::kWindow));
  return tensors;
}

NamedTensors statistics_tensors(const FitInputs& inputs, const Predictor& predictor) {
  const RoutingCounts& counts = inputs.counts.get();
  const trace::Geometry& geometry = predictor.geometry();
  const scoring::Lead& lead = predictor.lead();
  NamedTensors tensors = token_table_tensors(inputs, predictor);
  const torch::Tensor frequency = tensors.at("frequency");
  tensors["first_frequency"] = expert_frequency(counts.first, counts.tokens);
  tensors["id_first"] = counts.id_first;
  tensors["before_tokens"] = counts.before_tokens;
  tensors["before_experts"] = counts.before_experts;
  tensors["pair_ids"] = counts.pair_ids;
  tensors["pair_begin"] = counts.pair_begin;
  tensors["pair_experts"] = counts.pair_experts;
  tensors["previous"] = pair_evidence(counts.previous, frequency, geometry.top_k);
  if (lead.kind == scoring::Lead::Kind::kLayer) {
    tensors["transitions"] = pair_evidence(counts.transitions, frequency, geometry.top_k);
    tensors.merge(NamedTensors(inputs.counts.paths(lead.distance)));
  }
  // Frequency and token table, which is the token table.
  tensors["mixture"] = first_mixture(
      predictor, scoring::num_statistics_terms(geometry, lead, RoutingCounts::kWindow), 2);
  return tensors;
}

}  // namespace foregate::predict
