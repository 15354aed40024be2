#include "offload/replay/recency_curve.h"

#include <algorithm>
#include <numeric>

namespace foregate::offload {

RecencyCurve::RecencyCurve(const ExpertGrid& grid, bool by_layer, bool cold)
    : grid_(grid),
      by_layer_(by_layer),
      cold_(cold),
      stack_objects_(by_layer ? static_cast<size_t>(grid.num_experts) : grid.size()) {
  stacks_.assign(by_layer ? static_cast<size_t>(grid.num_layers) : 1, RecencyStack(stack_objects_));
  depths_.resize(static_cast<size_t>(grid.num_layers) * (stack_objects_ + 1));
}

void RecencyCurve::add(const EventBlock& block) {
  for (size_t i = 0; i < block.size(); ++i) {
    if (cold_ && block.headers[i].begins_text) {
      for (RecencyStack& stack : stacks_) stack.reset();
    }
    const RoutingEvent event = block.event(i);
    const auto layer = static_cast<size_t>(event.layer);
    RecencyStack& stack = stacks_[by_layer_ ? layer : 0];
    const size_t first = by_layer_ ? 0 : grid_.index(event.layer, 0);
    int64_t* depths = depths_.data() + layer * (stack_objects_ + 1);
    for (const uint16_t expert : event.experts) ++depths[stack.depth(first + expert)];
    for (const uint16_t expert : event.experts) stack.use(first + expert);
  }
}

int64_t RecencyCurve::share(int layer, int64_t slots) const {
  const int64_t own =
      by_layer_ ? slots / grid_.num_layers + (layer < slots % grid_.num_layers ? 1 : 0) : slots;
  return std::min(own, static_cast<int64_t>(stack_objects_));
}

std::vector<int64_t> RecencyCurve::hits_by_layer(int64_t slots) const {
  std::vector<int64_t> hits;
  for (int layer = 0; layer < grid_.num_layers; ++layer) {
    const auto first = depths_.begin() + static_cast<std::ptrdiff_t>(
                                             static_cast<size_t>(layer) * (stack_objects_ + 1) + 1);
    hits.push_back(std::accumulate(first, first + share(layer, slots), int64_t{0}));
  }
  return hits;
}

std::vector<int64_t> RecencyCurve::hits_by_size() const {
  std::vector<int64_t> hits(grid_.size() + 1);
  std::vector<int64_t> sums(stack_objects_ + 1);  // of a layer, by its share
  for (int layer = 0; layer < grid_.num_layers; ++layer) {
    const auto first =
        depths_.begin() + static_cast<std::ptrdiff_t>(static_cast<size_t>(layer) * sums.size());
    std::partial_sum(first + 1, first + static_cast<std::ptrdiff_t>(sums.size()), sums.begin() + 1);
    for (size_t slots = 0; slots < hits.size(); ++slots)
      hits[slots] += sums[static_cast<size_t>(share(layer, static_cast<int64_t>(slots)))];
  }
  return hits;
}

}  // namespace foregate::offload
