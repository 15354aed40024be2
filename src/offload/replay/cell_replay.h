#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include "offload/cache/expert_cache.h"
#include "offload/replay/event_block.h"
#include "offload/replay/sweep.h"

namespace foregate::offload {

/// How often each half of the texts uses each expert.
using FoldCounts = std::array<std::vector<int64_t>, 2>;  // [fold][L][E]

/// One cache, fed with blocks of events.
class CellReplay {
 public:
  /// Throws UsageError if so few slots cannot be; `counts` only for static policies.
  CellReplay(const ExpertGrid& grid, const Policy& policy, int64_t slots, int top_k, bool cold,
             const FoldCounts& counts);

  void add(const EventBlock& block);
  void store(SweepCell& cell) const;

 private:
  bool cold_;
  std::vector<ExpertCache> caches_;  // one; of a static policy one a fold, with the other's counts
  HitCount generated_;
  HitCount prompt_;
  std::vector<int64_t> hits_by_layer_;
};

}  // namespace foregate::offload
