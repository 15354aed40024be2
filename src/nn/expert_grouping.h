#pragma once

#include <torch/types.h>

#include <cstdint>
#include <vector>

namespace foregate::nn {

/// The T * k (token, rank) pairs of a batch sorted by expert; a pair's place is its slot.
struct ExpertGrouping {
  std::vector<int64_t> offsets;  ///< [E + 1] first slot of each expert
  std::vector<int64_t> pairs;    ///< [T * k] token * k + rank of each slot, rising within an expert
};

/// Counting sort. `chosen` lies on the CPU.
ExpertGrouping group_by_expert(const torch::Tensor& chosen,  // [T, k] int64 in [0, E)
                               int64_t num_experts);

/// Some slots of one expert: what a thread takes at once.
struct ExpertTask {
  int64_t expert = 0;
  int64_t first = 0;  ///< slot
  int64_t count = 0;
};

/// All slots in tasks of at most `most` slots, large ones first, so that threads end together.
std::vector<ExpertTask> expert_tasks(const ExpertGrouping& grouping, int64_t most);

}  // namespace foregate::nn
