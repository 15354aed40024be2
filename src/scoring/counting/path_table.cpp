#include "scoring/counting/path_table.h"

namespace foregate::scoring {
namespace {

PathEvidence read_evidence(WeightFile& weights, const trace::Geometry& geometry) {
  const int64_t paths = weights.size("path_ids", 1, 0);
  const int64_t entries = weights.size("path_experts", 1, 0);
  const auto rows = static_cast<size_t>(paths);
  const auto size = static_cast<size_t>(entries);
  return {geometry,
          {weights.long_integers("path_ids", {paths}), rows},
          {weights.long_integers("path_begin", {paths + 1}), rows + 1},
          {weights.short_integers("path_experts", {entries}), size},
          {weights.integers("path_counts", {entries}), size},
          weights.where()};
}

}  // namespace

PathTable::PathTable(WeightFile& weights, const trace::Geometry& geometry, const Lead& lead,
                     int64_t window)
    : paths_(geometry, lead.distance, window),
      num_experts_(geometry.num_experts),
      evidence_(read_evidence(weights, geometry)) {}

void PathTable::add(int64_t layer, std::span<const int64_t> pairs, const float* frequency,
                    const float* weight, float* scores) const {
  std::vector<int64_t> ids(static_cast<size_t>(paths_.num_paths()));
  paths_.number(layer, pairs, ids);
  evidence_.visit(
      paths_, ids, {frequency, static_cast<size_t>(num_experts_)},
      [&](int64_t path, int64_t expert, float value) { scores[expert] += weight[path] * value; });
}

}  // namespace foregate::scoring
