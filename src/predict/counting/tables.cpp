#include "predict/counting/tables.h"

#include <torch/nn/functional.h>
#include <torch/types.h>

#include <algorithm>

#include "predict/neural/token_windows.h"

namespace foregate::predict {
namespace {

constexpr double kPairPseudoCounts = 8;
constexpr double kSmallest = 1e-6;

}  // namespace

torch::Tensor expert_frequency(const torch::Tensor& experts, int64_t tokens) {
  return experts.to(torch::kFloat32) / static_cast<double>(std::max<int64_t>(tokens, 1));
}

torch::Tensor safe_log(const torch::Tensor& probability) {
  return probability.clamp_min(kSmallest).log();
}

IdTable::IdTable(const torch::Tensor& ids, const torch::Tensor& totals, const torch::Tensor& counts,
                 const torch::Tensor& frequency)
    : ids_(ids),
      totals_(torch::cat({totals, torch::zeros({1}, totals.options())})),
      counts_(counts),
      frequency_(frequency) {}

torch::Tensor IdTable::slots(const torch::Tensor& token_ids) const {
  return indices_of(ids_, token_ids);
}

torch::Tensor IdTable::probability(const torch::Tensor& slots, int64_t layer) const {
  const torch::Tensor frequency = frequency_[layer];
  const int64_t seen = ids_.size(0);
  if (seen == 0) return frequency.expand({slots.size(0), frequency.size(0)});
  const torch::Tensor total = totals_.index_select(0, slots).to(torch::kFloat32).unsqueeze(1);
  const torch::Tensor known = slots.lt(seen).unsqueeze(1);
  const torch::Tensor count = counts_.select(1, layer).index_select(0, slots.clamp_max(seen - 1));
  return (count * known + kPseudoCounts * frequency) / (total + kPseudoCounts);
}

torch::Tensor IdTable::evidence(const torch::Tensor& slots, int64_t layer) const {
  return safe_log(probability(slots, layer)) - safe_log(frequency_[layer]);
}

torch::Tensor pair_evidence(const torch::Tensor& pairs, const torch::Tensor& frequency,
                            int64_t top_k) {
  std::vector<int64_t> shape(static_cast<size_t>(pairs.dim()), 1);
  shape.front() = frequency.size(0);
  shape.back() = frequency.size(1);
  const torch::Tensor base = frequency.view(shape);
  const torch::Tensor count = pairs.to(torch::kFloat32);
  // Every token with a chose k experts b, so a row's sum is k times a's count.
  const torch::Tensor total = count.sum(-1, /*keepdim=*/true) / static_cast<double>(top_k);
  const torch::Tensor conditional =
      (count + kPairPseudoCounts * base) / (total + kPairPseudoCounts);
  return safe_log(conditional) - safe_log(base);
}

torch::Tensor sum_rows(const torch::Tensor& table, const torch::Tensor& experts) {
  if (experts.numel() == 0) return torch::zeros({experts.size(0), table.size(1)});
  namespace F = torch::nn::functional;
  return F::embedding_bag(experts.contiguous(), table.contiguous(),
                          F::EmbeddingBagFuncOptions().mode(torch::kSum));
}

}  // namespace foregate::predict
