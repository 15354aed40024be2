#include "stats/transitions.h"

#include <algorithm>
#include <limits>

#include "stats/sums.h"

namespace foregate::stats {

namespace {}  // namespace

TransitionCounts::TransitionCounts(const trace::Geometry& geometry)
    : num_pairs_(geometry.num_experts > kMaxExperts ? 0 : std::max(0, geometry.num_moe_layers - 1)),
      num_experts_(geometry.num_experts),
      top_k_(geometry.top_k) {
  if (num_pairs_ == 0) return;
  const auto experts = static_cast<size_t>(num_experts_);
  counts_.resize(static_cast<size_t>(num_pairs_) * experts * experts);
  usage_.resize((static_cast<size_t>(num_pairs_) + 1) * experts);
}

void TransitionCounts::add(const trace::Trace& trace) {
  if (num_pairs_ == 0) return;
  const int32_t tokens = trace.num_tokens();
  const size_t token_width = static_cast<size_t>(num_pairs_ + 1) * top_k_;
  const auto experts = static_cast<size_t>(num_experts_);
  // Layer by layer, so that one E x E block stays in the cache for the whole text.
  for (int layer = 0; layer <= num_pairs_; ++layer) {
    const uint16_t* here = trace.experts.data() + static_cast<size_t>(layer) * top_k_;
    int64_t* usage = usage_.data() + static_cast<size_t>(layer) * experts;
    int64_t* block = counts_.data() + static_cast<size_t>(layer) * experts * experts;
    for (int32_t token = 0; token < tokens; ++token, here += token_width) {
      for (int a = 0; a < top_k_; ++a) ++usage[here[a]];
      if (layer == num_pairs_) continue;
      const uint16_t* next = here + top_k_;
      for (int a = 0; a < top_k_; ++a) {
        int64_t* row = block + here[a] * experts;
        for (int b = 0; b < top_k_; ++b) ++row[next[b]];
      }
    }
  }
  tokens_ += tokens;
}

void TransitionCounts::merge(const TransitionCounts& other) {
  tokens_ += other.tokens_;
  add_into(counts_, other.counts_);
  add_into(usage_, other.usage_);
}

int64_t TransitionCounts::count(int pair, int from, int to) const {
  const auto experts = static_cast<size_t>(num_experts_);
  return counts_[(static_cast<size_t>(pair) * experts + from) * experts + to];
}

int64_t TransitionCounts::from_count(int pair, int from) const {
  return usage_[static_cast<size_t>(pair) * num_experts_ + from];
}

int64_t TransitionCounts::to_count(int pair, int to) const {
  return usage_[static_cast<size_t>(pair + 1) * num_experts_ + to];
}

double TransitionCounts::probability(int pair, int from, int to) const {
  const int64_t given = from_count(pair, from);
  if (given == 0) return kNan;
  return static_cast<double>(count(pair, from, to)) / static_cast<double>(given);
}

double TransitionCounts::lift(int pair, int from, int to) const {
  const int64_t target = to_count(pair, to);
  if (target == 0) return kNan;
  return probability(pair, from, to) * static_cast<double>(tokens_) / static_cast<double>(target);
}

}  // namespace foregate::stats
