#include "stats/expert_cache.h"

#include <algorithm>
#include <limits>
#include <numeric>

#include "stats/sums.h"

namespace foregate::stats {
namespace {

constexpr int32_t kNever = std::numeric_limits<int32_t>::max();

/// When each request's expert is requested next, by request. [n * k]
std::vector<int32_t> next_uses(const uint16_t* requests, size_t count, int num_experts) {
  std::vector<int32_t> next(count);
  std::vector<int32_t> upcoming(static_cast<size_t>(num_experts), kNever);
  for (size_t i = count; i-- > 0;) {
    next[i] = upcoming[requests[i]];
    upcoming[requests[i]] = static_cast<int32_t>(i);
  }
  return next;
}

/// Experts in the order in which growing caches hold them.
class Stack {
 public:
  explicit Stack(int num_experts) { experts_.reserve(static_cast<size_t>(num_experts)); }

  /// Depth of `expert` from 1, or 0 if it is not in; then it is put at the bottom.
  size_t find(uint16_t expert) {
    const auto at = std::find(experts_.begin(), experts_.end(), expert);
    if (at != experts_.end()) return static_cast<size_t>(at - experts_.begin()) + 1;
    experts_.push_back(expert);
    return 0;
  }
  /// The least recently used of each cache goes.
  void raise_recent(size_t place) {
    std::rotate(experts_.begin(), experts_.begin() + static_cast<std::ptrdiff_t>(place),
                experts_.begin() + static_cast<std::ptrdiff_t>(place) + 1);
  }
  /// The expert needed last of each cache goes: on the way down, the sooner needed one stays.
  void raise_optimal(size_t place, const std::vector<int32_t>& upcoming) {
    const uint16_t raised = experts_[place];
    uint16_t leaving = raised;
    std::swap(experts_[0], leaving);
    if (place == 0) return;
    for (size_t i = 1; i < place; ++i) {
      if (upcoming[experts_[i]] > upcoming[leaving]) std::swap(experts_[i], leaving);
    }
    experts_[place] = leaving;
  }
  size_t size() const { return experts_.size(); }

 private:
  std::vector<uint16_t> experts_;
};

}  // namespace

ExpertCache::ExpertCache(const trace::Geometry& geometry)
    : num_experts_(geometry.num_experts),
      lru_(static_cast<size_t>(geometry.num_moe_layers) * (num_experts_ + 1)),
      optimal_(lru_.size()) {}

void ExpertCache::add(const RoutingView& routing) {
  for (int layer = 0; layer < routing.num_layers(); ++layer) add_layer(routing, layer);
  requests_ += int64_t{routing.tokens()} * routing.top_k();
}

void ExpertCache::add_layer(const RoutingView& routing, int layer) {
  if (routing.tokens() == 0) return;
  const uint16_t* requests = routing.decision(layer, 0);
  const size_t count = static_cast<size_t>(routing.tokens()) * routing.top_k();
  const std::vector<int32_t> next = next_uses(requests, count, num_experts_);
  std::vector<int32_t> upcoming(static_cast<size_t>(num_experts_), kNever);
  int64_t* lru = lru_.data() + static_cast<size_t>(layer) * (num_experts_ + 1);
  int64_t* optimal = optimal_.data() + static_cast<size_t>(layer) * (num_experts_ + 1);
  Stack recent(num_experts_);
  Stack best(num_experts_);
  for (size_t i = 0; i < count; ++i) {
    const size_t recent_depth = recent.find(requests[i]);
    ++lru[recent_depth];
    recent.raise_recent((recent_depth == 0 ? recent.size() : recent_depth) - 1);
    const size_t best_depth = best.find(requests[i]);
    ++optimal[best_depth];
    upcoming[requests[i]] = next[i];
    best.raise_optimal((best_depth == 0 ? best.size() : best_depth) - 1, upcoming);
  }
}

void ExpertCache::merge(const ExpertCache& other) {
  requests_ += other.requests_;
  add_into(lru_, other.lru_);
  add_into(optimal_, other.optimal_);
}

int64_t ExpertCache::reuses_at(int layer, int distance) const {
  return lru_[static_cast<size_t>(layer) * (num_experts_ + 1) + distance];
}

int64_t ExpertCache::first_uses(int layer) const {
  return reuses_at(layer, 0);
}

double ExpertCache::hit_rate(const std::vector<int64_t>& depths, int layer, int size) const {
  if (requests_ == 0) return std::numeric_limits<double>::quiet_NaN();
  const auto first = depths.begin() + static_cast<std::ptrdiff_t>(layer) * (num_experts_ + 1) + 1;
  const int64_t hits = std::accumulate(first, first + size, int64_t{0});
  return static_cast<double>(hits) / static_cast<double>(requests_);
}

double ExpertCache::lru_hit_rate(int layer, int size) const {
  return hit_rate(lru_, layer, size);
}

double ExpertCache::optimal_hit_rate(int layer, int size) const {
  return hit_rate(optimal_, layer, size);
}

}  // namespace foregate::stats
