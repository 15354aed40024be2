#include "trace/import/text_tracker.h"

namespace foregate::trace {
namespace {

// Real texts repeat a routing decision for a few tokens, never at all layers for so many.
constexpr int64_t kMinWarmupTokens = 16;

}  // namespace

size_t TextTracker::text_of(const RoutingRow& row) {
  const auto [entry, added] = open_.try_emplace(row.dataset + '\n' + row.text);
  Open& open = entry->second;
  const bool again = row.token == 0 && open.begun.contains(row.layer);
  if (added || again) {
    open.text = num_texts_++;
    open.begun.clear();
  }
  if (row.token == 0) open.begun.insert(row.layer);
  return open.text;
}

void WarmupDetector::add(size_t text, const RoutingRow& row) {
  if (!searching_) return;
  if (text != leading_) close_leading();
  if (!searching_) return;
  leading_ = text;
  ++leading_rows_;
  const auto [first, added] = first_.try_emplace(row.layer, row.experts);
  uniform_ = uniform_ && first->second == row.experts;
}

void WarmupDetector::close_leading() {
  const auto layers = static_cast<int64_t>(first_.size());
  searching_ = uniform_ && leading_rows_ >= kMinWarmupTokens * layers;
  if (searching_) rows_ += leading_rows_;
  leading_rows_ = 0;
  first_.clear();
}

}  // namespace foregate::trace
