#pragma once

#include <cstdint>
#include <vector>

#include "trace/trace.h"

namespace foregate {

/// How much of a token's routing the next token of the same text repeats, by layer:
/// |S(t) and S(t+1)| / k, averaged over all neighbours.
class TokenOverlap {
 public:
  TokenOverlap() = default;
  explicit TokenOverlap(const Geometry& geometry);

  void add(const Trace& trace);

  int64_t pairs() const { return pairs_; }  ///< Neighbouring tokens seen.
  /// Mean share of the k experts used again by the next token. NaN without pairs.
  double share(int layer) const;

 private:
  int num_layers_ = 0;
  int top_k_ = 0;
  int64_t pairs_ = 0;
  std::vector<int64_t> common_;  // [L]
};

}  // namespace foregate
