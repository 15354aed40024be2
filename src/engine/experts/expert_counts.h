#pragma once

#include <cstdint>
#include <vector>

#include "offload/cache/found_count.h"
#include "offload/time/prefetcher.h"

namespace foregate::engine {

/// What an expert cache did so far.
struct ExpertCounts {
  int64_t num_experts = 0;  ///< of a layer
  int64_t slots = 0;
  int64_t passing_slots = 0;  ///< room beside them, for experts that are used once and not kept
  int64_t expert_bytes = 0;
  // By MoE layer. A step is a prompt's if one of its texts begins or has several tokens.
  std::vector<offload::FoundCount> generated;
  std::vector<offload::FoundCount> prompt;
  int64_t further_views = 0;  ///< of layers whose experts did not fit at once
  int64_t demand_bytes = 0;
  int64_t prefetch_bytes = 0;
  double demand_seconds = 0;  ///< that copies took
  double prefetch_seconds = 0;
  double wait_seconds = 0;  ///< that the host waited for copies
  offload::PrefetchCounts prefetch;
  int64_t prefetch_steps = 0;     ///< of generated tokens, that prefetched
  int64_t prefetch_requests = 0;  ///< experts that they asked for
};

}  // namespace foregate::engine
