#include "predict/counting/text_memory.h"

#include <fmt/format.h>
#include <torch/types.h>

#include <algorithm>
#include <unordered_map>

#include "base/error.h"
#include "predict/counting/tables.h"

namespace foregate::predict {
namespace {

constexpr double kPseudoCounts = 2;

EarlierCounts nothing(int64_t tokens, int64_t num_experts) {
  return {torch::zeros({tokens}), torch::zeros({tokens, num_experts})};
}

}  // namespace

EarlierCounts all_earlier(const torch::Tensor& experts, int64_t num_experts) {
  const torch::Tensor chosen = experts.contiguous();
  EarlierCounts counts = nothing(chosen.size(0), num_experts);
  const int64_t top_k = chosen.size(1);
  const auto* choice = chosen.const_data_ptr<int64_t>();
  auto* tokens = counts.tokens.mutable_data_ptr<float>();
  auto* sums = counts.experts.mutable_data_ptr<float>();
  constexpr auto kDecay = static_cast<float>(kTextDecay);
  for (int64_t t = 1; t < chosen.size(0); ++t) {
    const float* last = sums + (t - 1) * num_experts;
    float* here = sums + t * num_experts;
    for (int64_t e = 0; e < num_experts; ++e) here[e] = kDecay * last[e];
    for (int64_t i = 0; i < top_k; ++i) here[choice[(t - 1) * top_k + i]] += 1;
    tokens[t] = kDecay * tokens[t - 1] + 1;
  }
  return counts;
}

torch::Tensor latest_alike(const torch::Tensor& token_ids, int span) {
  const torch::Tensor ids = token_ids.contiguous();
  torch::Tensor latest = torch::full_like(ids, -1);
  const auto* id = ids.const_data_ptr<int64_t>();
  auto* found = latest.mutable_data_ptr<int64_t>();
  std::unordered_map<int64_t, int64_t> seen;
  for (int64_t t = span - 1; t < ids.size(0); ++t) {
    const int64_t key = span == 1 ? id[t] : pair_id(id[t - 1], id[t]);
    const auto [place, is_new] = seen.try_emplace(key, t);
    if (is_new) continue;
    found[t] = place->second;
    place->second = t;
  }
  return latest;
}

EarlierCounts earlier_alike(const torch::Tensor& latest, const torch::Tensor& experts,
                            int64_t num_experts) {
  const torch::Tensor chosen = experts.contiguous();
  EarlierCounts counts = nothing(chosen.size(0), num_experts);
  const int64_t top_k = chosen.size(1);
  const auto* before = latest.const_data_ptr<int64_t>();
  const auto* choice = chosen.const_data_ptr<int64_t>();
  auto* tokens = counts.tokens.mutable_data_ptr<float>();
  auto* sums = counts.experts.mutable_data_ptr<float>();
  for (int64_t t = 0; t < chosen.size(0); ++t) {
    const int64_t s = before[t];
    if (s < 0) continue;
    // What counted for the latest one, and itself.
    std::copy_n(sums + s * num_experts, num_experts, sums + t * num_experts);
    for (int64_t i = 0; i < top_k; ++i) sums[t * num_experts + choice[s * top_k + i]] += 1;
    tokens[t] = tokens[s] + 1;
  }
  return counts;
}

torch::Tensor counted_probability(const EarlierCounts& counts, const torch::Tensor& prior) {
  return (counts.experts + kPseudoCounts * prior) / (counts.tokens + kPseudoCounts).unsqueeze(1);
}

torch::Tensor counted_evidence(const EarlierCounts& counts, const torch::Tensor& prior) {
  return safe_log(counted_probability(counts, prior)) - safe_log(prior);
}

PairTable::PairTable(const NamedTensors& weights, const trace::Geometry& geometry,
                     const std::string& where)
    : ids_(take_weight(weights, "pair_ids", {-1}, torch::kInt64, where)),
      begin_(take_weight(weights, "pair_begin", {ids_.size(0) + 1}, torch::kInt64, where)),
      experts_(take_weight(weights, "pair_experts", {-1, geometry.num_moe_layers, geometry.top_k},
                           torch::kInt16, where)),
      num_experts_(geometry.num_experts) {
  const bool ordered = begin_.diff().ge(0).all().item<bool>() && begin_[0].item<int64_t>() == 0 &&
                       begin_[-1].item<int64_t>() == experts_.size(0);
  const bool known =
      experts_.numel() == 0 || (experts_.min().item<int64_t>() >= 0 &&
                                experts_.max().item<int64_t>() < geometry.num_experts);
  if (ordered && known) return;
  throw DataError(fmt::format(
      "{}: \"pair_begin\" and \"pair_experts\" do not fit each other or the {} experts of the "
      "model; train the predictor again",
      where, geometry.num_experts));
}

torch::Tensor PairTable::find(const torch::Tensor& token_ids) const {
  torch::Tensor places = torch::full_like(token_ids, -1);
  const int64_t pairs = ids_.size(0);
  if (pairs == 0 || token_ids.size(0) < 2) return places;
  const torch::Tensor wanted =
      token_ids.slice(0, 0, -1) * (int64_t{1} << 32) + token_ids.slice(0, 1);
  const torch::Tensor place = torch::searchsorted(ids_, wanted);
  const torch::Tensor found = ids_.index_select(0, place.clamp_max(pairs - 1)).eq(wanted);
  places.slice(0, 1).copy_(torch::where(found, place, torch::full_like(place, -1)));
  return places;
}

EarlierCounts PairTable::counts(const torch::Tensor& places, int64_t layer) const {
  const int64_t size = places.size(0);
  EarlierCounts counts = nothing(size, num_experts_);
  const torch::Tensor wanted = places.contiguous();
  const int64_t layers = experts_.size(1);
  const int64_t top_k = experts_.size(2);
  const auto* place = wanted.const_data_ptr<int64_t>();
  const auto* begin = begin_.const_data_ptr<int64_t>();
  const auto* choice = experts_.const_data_ptr<int16_t>();
  auto* tokens = counts.tokens.mutable_data_ptr<float>();
  auto* sums = counts.experts.mutable_data_ptr<float>();
  for (int64_t t = 0; t < size; ++t) {
    if (place[t] < 0) continue;
    const int64_t end = begin[place[t] + 1];
    tokens[t] = static_cast<float>(end - begin[place[t]]);
    for (int64_t m = begin[place[t]]; m < end; ++m) {
      const int16_t* chosen = choice + (m * layers + layer) * top_k;
      for (int64_t i = 0; i < top_k; ++i) sums[t * num_experts_ + chosen[i]] += 1;
    }
  }
  return counts;
}

}  // namespace foregate::predict
