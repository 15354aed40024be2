#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "offload/cache/routing_event.h"
#include "offload/replay/event_block.h"
#include "offload/replay/recency_stack.h"

namespace foregate::offload {

/// Hits of LRU caches of all sizes in one pass, over whole events: an event's experts are looked
/// for before any of them is used. Holds for events that fit the cache, so not for prompts in
/// batches.
class RecencyCurve {
 public:
  RecencyCurve(const ExpertGrid& grid, bool by_layer, bool cold);

  void add(const EventBlock& block);

  /// Requests that hit in a cache of so many slots, of all layers or of each. With `by_layer` a
  /// layer's share is that of ExpertCache.
  std::vector<int64_t> hits_by_layer(int64_t slots) const;
  /// Hits of all layers at every size: [L * E + 1].
  std::vector<int64_t> hits_by_size() const;

 private:
  int64_t share(int layer, int64_t slots) const;

  ExpertGrid grid_;
  bool by_layer_;
  bool cold_;
  std::vector<RecencyStack> stacks_;  // one, or one a layer
  size_t stack_objects_;
  std::vector<int64_t> depths_;  // [L][objects of a stack + 1]
};

}  // namespace foregate::offload
