#include "offload/replay/future_uses.h"

#include <algorithm>

namespace foregate::offload {

// A record is [L][E] numbers of events, and whether a text begins in the block, which cuts off what
// lies behind it from what lies before it.

FutureUses::FutureUses(const ExpertGrid& grid, bool cold)
    : grid_(grid),
      cold_(cold),
      first_uses_(grid.size() + 1),
      next_(grid.size()),
      record_(grid.size() + 1) {}

void FutureUses::note(const EventBlock& block) {
  std::fill(record_.begin(), record_.end(), kNeverUsed);
  bool cut = false;
  for (size_t i = 0; i < block.size() && !cut; ++i) {
    cut = cold_ && block.headers[i].begins_text;
    if (cut) break;
    const RoutingEvent event = block.event(i);
    for (const uint16_t expert : event.experts) {
      int64_t& first = record_[grid_.index(event.layer, expert)];
      if (first == kNeverUsed) first = block.first_event + static_cast<int64_t>(i);
    }
  }
  record_.back() = cut ? 1 : 0;
  first_uses_.append(record_);
}

void FutureUses::finish_notes() {
  std::fill(next_.begin(), next_.end(), kNeverUsed);
  for (size_t block = first_uses_.size(); block-- > 0;) {
    first_uses_.read(block, record_);
    const bool cut = record_.back() != 0;
    for (size_t expert = 0; expert < next_.size(); ++expert) {
      const int64_t first = record_[expert];
      record_[expert] = next_[expert];  // From here on: the first uses behind the block.
      if (first != kNeverUsed || cut) next_[expert] = first;
    }
    first_uses_.overwrite(block, record_);
  }
}

void FutureUses::fill_in(EventBlock& block, size_t block_number) {
  first_uses_.read(block_number, record_);
  std::copy(record_.begin(), record_.end() - 1, next_.begin());
  block.next_uses.resize(block.experts.size());
  for (size_t i = block.size(); i-- > 0;) {
    const RoutingEvent event = block.event(i);
    int64_t* uses = block.next_uses.data() + block.headers[i].first;
    for (size_t j = 0; j < event.experts.size(); ++j) {
      int64_t& next = next_[grid_.index(event.layer, event.experts[j])];
      uses[j] = next;
      next = block.first_event + static_cast<int64_t>(i);
    }
    if (cold_ && block.headers[i].begins_text) std::fill(next_.begin(), next_.end(), kNeverUsed);
  }
}

}  // namespace foregate::offload
