#include "predict/path_table.h"

#include <ATen/Parallel.h>
#include <fmt/format.h>
#include <torch/torch.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "base/error.h"
#include "predict/counts.h"

namespace foregate {
namespace {

constexpr int64_t kTokensPerThread = 64;
constexpr float kSmallest = 1e-6F;

}  // namespace

PathTable::PathTable(const NamedTensors& weights, const Geometry& geometry, const Lead& lead,
                     const std::string& where)
    : geometry_(geometry),
      paths_(geometry, lead.distance, RoutingCounts::kWindow),
      ids_(take_weight(weights, "path_ids", {-1}, torch::kInt64, where)),
      begin_(take_weight(weights, "path_begin", {ids_.size(0) + 1}, torch::kInt64, where)),
      experts_(take_weight(weights, "path_experts", {-1}, torch::kInt16, where)),
      counts_(take_weight(weights, "path_counts", {experts_.size(0)}, torch::kInt32, where)) {
  const bool ordered = begin_.diff().ge(0).all().item<bool>() && begin_[0].item<int64_t>() == 0 &&
                       begin_[-1].item<int64_t>() == experts_.size(0);
  const bool known =
      experts_.numel() == 0 ||
      (experts_.min().item<int64_t>() >= 0 &&
       experts_.max().item<int64_t>() < geometry.num_experts && counts_.min().item<int64_t>() >= 0);
  if (ordered && known) return;
  throw DataError(fmt::format(
      "{}: \"path_begin\", \"path_experts\" and \"path_counts\" do not fit each other or the {} "
      "experts of the model; train the predictor again",
      where, geometry.num_experts));
}

torch::Tensor PathTable::evidence(const torch::Tensor& experts, const torch::Tensor& frequency,
                                  int layer) const {
  const torch::Tensor decisions = experts.contiguous();
  const torch::Tensor shares = frequency.contiguous();
  const int64_t tokens = decisions.size(0);
  const int64_t width = geometry_.num_experts;
  const int64_t top_k = geometry_.top_k;
  torch::Tensor evidence = torch::zeros({num_paths(), tokens, width});
  const auto* decision = decisions.const_data_ptr<int64_t>();
  const auto* share = shares.const_data_ptr<float>();
  const auto* id = ids_.const_data_ptr<int64_t>();
  const auto* begin = begin_.const_data_ptr<int64_t>();
  const auto* chosen = experts_.const_data_ptr<int16_t>();
  const auto* count = counts_.const_data_ptr<int32_t>();
  auto* out = evidence.mutable_data_ptr<float>();
  at::parallel_for(0, tokens, kTokensPerThread, [&](int64_t first, int64_t last) {
    std::vector<int64_t> wanted(static_cast<size_t>(num_paths()));
    std::vector<float> longer(static_cast<size_t>(width));
    for (int64_t t = first; t < last; ++t) {
      paths_.number(layer, decision + t * geometry_.num_moe_layers * top_k, wanted);
      std::copy_n(share, width, longer.begin());
      for (int64_t path = 0; path < num_paths(); ++path) {
        const int64_t* end = id + ids_.size(0);
        const int64_t* found = std::lower_bound(id, end, wanted[static_cast<size_t>(path)]);
        if (found == end || *found != wanted[static_cast<size_t>(path)]) continue;
        // Paths of several layers go on from the latest layer's.
        const bool goes_on = path == 0 || path >= paths_.num_singles();
        const float* prior = goes_on ? longer.data() : share;
        float* row = out + (path * tokens + t) * width;
        float sum = 0;
        for (int64_t m = begin[found - id]; m < begin[found - id + 1]; ++m) {
          const auto c = static_cast<float>(count[m]);
          row[chosen[m]] = std::log1p(c / (kPseudoCounts * std::max(prior[chosen[m]], kSmallest)));
          sum += c;
        }
        if (!goes_on) continue;
        const float total = sum / static_cast<float>(top_k) + kPseudoCounts;
        for (float& p : longer) p *= kPseudoCounts / total;
        for (int64_t m = begin[found - id]; m < begin[found - id + 1]; ++m) {
          longer[static_cast<size_t>(chosen[m])] += static_cast<float>(count[m]) / total;
        }
      }
    }
  });
  return evidence;
}

}  // namespace foregate
