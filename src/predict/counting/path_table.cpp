#include "predict/counting/path_table.h"

#include <ATen/Parallel.h>
#include <torch/types.h>

#include <vector>

#include "predict/counting/routing_counts.h"

namespace foregate::predict {
namespace {

constexpr int64_t kTokensPerThread = 64;

template <typename Value>
std::span<const Value> span_of(const torch::Tensor& tensor) {
  return {tensor.const_data_ptr<Value>(), static_cast<size_t>(tensor.numel())};
}

}  // namespace

PathTable::PathTable(const NamedTensors& weights, const trace::Geometry& geometry,
                     const scoring::Lead& lead, const std::string& where)
    : geometry_(geometry),
      paths_(geometry, lead.distance, RoutingCounts::kWindow),
      ids_(take_weight(weights, "path_ids", {-1}, torch::kInt64, where)),
      begin_(take_weight(weights, "path_begin", {ids_.size(0) + 1}, torch::kInt64, where)),
      experts_(take_weight(weights, "path_experts", {-1}, torch::kInt16, where)),
      counts_(take_weight(weights, "path_counts", {experts_.size(0)}, torch::kInt32, where)),
      evidence_(geometry, span_of<int64_t>(ids_), span_of<int64_t>(begin_),
                span_of<int16_t>(experts_), span_of<int32_t>(counts_), where) {}

torch::Tensor PathTable::evidence(const torch::Tensor& experts, const torch::Tensor& frequency,
                                  int layer) const {
  const torch::Tensor decisions = experts.contiguous();
  const torch::Tensor shares = frequency.contiguous();
  const int64_t tokens = decisions.size(0);
  const int64_t width = geometry_.num_experts;
  torch::Tensor evidence = torch::zeros({num_paths(), tokens, width});
  const auto* decision = decisions.const_data_ptr<int64_t>();
  auto* out = evidence.mutable_data_ptr<float>();
  at::parallel_for(0, tokens, kTokensPerThread, [&](int64_t first, int64_t last) {
    std::vector<int64_t> ids(static_cast<size_t>(num_paths()));
    for (int64_t t = first; t < last; ++t) {
      paths_.number(layer, decision + t * geometry_.num_moe_layers * geometry_.top_k, ids);
      evidence_.visit(paths_, ids, span_of<float>(shares),
                      [&](int64_t path, int64_t expert, float value) {
                        out[(path * tokens + t) * width + expert] = value;
                      });
    }
  });
  return evidence;
}

}  // namespace foregate::predict
