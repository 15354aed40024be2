#include "trace/import/arrays.h"

#include <fmt/format.h>

#include <vector>

#include "base/error.h"
#include "trace/geometry.h"

namespace foregate::trace {

void require_experts(const NpyArray& experts) {
  experts.require(/*real=*/false, 3, "integers [tokens, MoE layers, k]");
  const int64_t layers = experts.shape()[1];
  const int64_t k = experts.shape()[2];
  if (layers >= 1 && layers <= kMaxLayers && k >= 1 && k <= kMaxExperts) return;
  throw DataError(fmt::format("{}: {} MoE layers and {} experts a decision; expected 1 to {}",
                              experts.name(), layers, k, kMaxLayers));
}

void require_weights(const NpyArray& weights, const NpyArray& experts) {
  weights.require(/*real=*/true, 3, "floats [tokens, MoE layers, k]");
  if (weights.shape() == experts.shape()) return;
  throw DataError(fmt::format("{}: its shape is not that of {}; expected a weight for each expert",
                              weights.name(), experts.name()));
}

RoutingBlock read_rows(const NpyArray& experts, const NpyArray* weights, int64_t first,
                       int64_t count) {
  const int64_t layers = experts.shape()[1];
  const int64_t k = experts.shape()[2];
  const int64_t width = layers * k;
  std::vector<int64_t> ids;
  ids.reserve(static_cast<size_t>(count * width));
  for (int64_t i = first * width; i < (first + count) * width; ++i) {
    ids.push_back(experts.integer(i));
  }
  RoutingBlock block = make_block(ids, count, layers, k, experts.name());
  if (weights == nullptr) return block;
  block.weights.reserve(ids.size());
  for (int64_t i = first * width; i < (first + count) * width; ++i) {
    block.weights.push_back(weights->real(i));
  }
  return block;
}

}  // namespace foregate::trace
