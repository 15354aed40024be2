#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "trace/trace.h"

namespace foregate::stats {

/// Which experts follow which between adjacent MoE layers, for the same token: counts
/// [L-1][E][E] of tokens with expert a chosen at layer l and b at layer l+1.
class TransitionCounts {
 public:
  /// More experts than this are not counted (memory grows with their square): num_pairs() is 0.
  static constexpr int kMaxExperts = 512;

  TransitionCounts() = default;
  explicit TransitionCounts(const trace::Geometry& geometry);

  void add(const trace::Trace& trace);
  void merge(const TransitionCounts& other);

  int num_pairs() const { return num_pairs_; }  ///< L-1, or 0
  int64_t count(int pair, int from, int to) const;
  /// P(b at l+1 | a at l); over b they sum to k. NaN if a was never chosen.
  double probability(int pair, int from, int to) const;
  /// P(b | a) / P(b): 1 if the layers choose independently. NaN if a or b was never chosen.
  double lift(int pair, int from, int to) const;
  int64_t from_count(int pair, int from) const;  ///< Tokens with `from` at layer `pair`.
  int64_t to_count(int pair, int to) const;      ///< Tokens with `to` at layer `pair` + 1.

 private:
  int num_pairs_ = 0;
  int num_experts_ = 0;
  int top_k_ = 0;
  int64_t tokens_ = 0;
  std::vector<int64_t> counts_;  // [L-1][E][E]
  std::vector<int64_t> usage_;   // [L][E]
};

}  // namespace foregate::stats
