#include "offload/replay/cell_replay.h"

namespace foregate::offload {

CellReplay::CellReplay(const ExpertGrid& grid, const Policy& policy, int64_t slots, int top_k,
                       bool cold, const FoldCounts& counts)
    : cold_(cold), hits_by_layer_(static_cast<size_t>(grid.num_layers)) {
  if (policy.kind == Policy::Kind::kStatic) {
    caches_.emplace_back(grid, policy, slots, top_k, counts[1]);
    caches_.emplace_back(grid, policy, slots, top_k, counts[0]);
  } else {
    caches_.emplace_back(grid, policy, slots, top_k);
  }
}

void CellReplay::add(const EventBlock& block) {
  for (size_t i = 0; i < block.size(); ++i) {
    const EventBlock::Header& header = block.headers[i];
    ExpertCache& cache = caches_[caches_.size() > 1 ? header.fold : 0];
    if (cold_ && header.begins_text) cache.reset();
    const RoutingEvent event = block.event(i);
    const auto requests = static_cast<int64_t>(event.experts.size());
    const int64_t hits = requests - static_cast<int64_t>(cache.serve(event).misses.size());
    HitCount& count = header.prompt ? prompt_ : generated_;
    count.requests += requests;
    count.hits += hits;
    hits_by_layer_[header.layer] += hits;
  }
}

void CellReplay::store(SweepCell& cell) const {
  cell.generated = generated_;
  cell.prompt = prompt_;
  cell.hits_by_layer = hits_by_layer_;
}

}  // namespace foregate::offload
