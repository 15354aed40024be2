#include "scoring/counting/mixture_scorer.h"

#include <algorithm>
#include <memory>

#include "scoring/constants.h"
#include "scoring/counting/path_ids.h"
#include "scoring/products.h"

namespace foregate::scoring {

void MixtureScorer::set_mixture(const Weights& weights, int64_t num_terms) {
  num_terms_ = num_terms;
  mixture_ = weights.floats("mixture", {num_layers() - first_layer(), num_terms});
}

void MixtureScorer::score_one(const Sequence& sequence, int64_t layer, float* scores) const {
  const auto size = static_cast<size_t>(num_terms_ * num_experts());
  const auto terms = std::make_unique_for_overwrite<float[]>(size);
  evidence(sequence, layer, terms.get());
  weighted_sum(terms.get(), num_terms_, num_experts(),
               mixture_ + (layer - first_layer()) * num_terms_, scores);
}

int64_t num_statistics_terms(const trace::Geometry& geometry, const Lead& lead, int64_t window) {
  if (lead.kind != Lead::Kind::kLayer) return kTokenTerms;
  const PathIds paths(geometry, lead.distance, window);
  return kTokenTerms + paths.num_singles() + paths.num_paths();
}

int64_t num_single_expert_terms(const trace::Geometry& geometry, const Lead& lead, int64_t window) {
  return 1 + 2 * PathIds(geometry, lead.distance, window).num_singles();
}

int64_t num_transition_terms(const trace::Geometry& geometry, const Lead& lead, int64_t window) {
  return num_single_expert_terms(geometry, lead, window) +
         PathIds(geometry, lead.distance, window).num_paths();
}

std::vector<float> safe_logs(const float* probabilities, int64_t size) {
  std::vector<float> logs(static_cast<size_t>(size));
  safe_log(probabilities, size, logs.data());
  return logs;
}

void sum_rows(const float* table, std::span<const uint16_t> experts, int64_t width, float* out) {
  std::fill_n(out, width, 0.0F);
  for (const uint16_t expert : experts) {
    const float* row = table + expert * width;
    for (int64_t e = 0; e < width; ++e) out[e] += row[e];
  }
}

}  // namespace foregate::scoring
