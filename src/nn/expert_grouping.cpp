#include "nn/expert_grouping.h"

#include <torch/torch.h>

#include <algorithm>
#include <numeric>

namespace foregate::nn {

ExpertGrouping group_by_expert(const torch::Tensor& chosen, int64_t num_experts) {
  const torch::Tensor flat = chosen.contiguous();
  const auto* expert = flat.const_data_ptr<int64_t>();
  const int64_t pairs = flat.numel();
  ExpertGrouping grouping{std::vector<int64_t>(num_experts + 1, 0), std::vector<int64_t>(pairs)};
  for (int64_t i = 0; i < pairs; ++i) ++grouping.offsets[expert[i] + 1];
  std::partial_sum(grouping.offsets.begin(), grouping.offsets.end(), grouping.offsets.begin());
  std::vector<int64_t> next(grouping.offsets.begin(), grouping.offsets.end() - 1);
  for (int64_t i = 0; i < pairs; ++i) grouping.pairs[next[expert[i]]++] = i;
  return grouping;
}

std::vector<ExpertTask> expert_tasks(const ExpertGrouping& grouping, int64_t most) {
  std::vector<ExpertTask> tasks;
  for (size_t expert = 0; expert + 1 < grouping.offsets.size(); ++expert) {
    const int64_t end = grouping.offsets[expert + 1];
    for (int64_t first = grouping.offsets[expert]; first < end; first += most) {
      tasks.push_back({static_cast<int64_t>(expert), first, std::min(most, end - first)});
    }
  }
  std::stable_sort(tasks.begin(), tasks.end(),
                   [](const auto& a, const auto& b) { return a.count > b.count; });
  return tasks;
}

}  // namespace foregate::nn
