#pragma once

#include <cstdint>
#include <vector>

#include "trace/trace.h"

namespace foregate::stats {

/// One trace's decisions layer by layer, as lists and as bit sets: what accumulators read that look
/// along a text. Built once a trace.
class RoutingView {
 public:
  RoutingView(const trace::Geometry& geometry, const trace::Trace& trace);

  int tokens() const { return tokens_; }
  int num_layers() const { return num_layers_; }
  int num_experts() const { return num_experts_; }
  int top_k() const { return top_k_; }
  /// The k experts of a token, in the trace's order. Those of the next token follow.
  const uint16_t* decision(int layer, int token) const {
    return experts_.data() + (static_cast<size_t>(layer) * tokens_ + token) * top_k_;
  }
  /// The same as words() words of bits, bit e of them set if expert e was chosen.
  const uint64_t* set(int layer, int token) const {
    return sets_.data() + (static_cast<size_t>(layer) * tokens_ + token) * words_;
  }
  int words() const { return words_; }

 private:
  int tokens_;
  int num_layers_;
  int num_experts_;
  int top_k_;
  int words_;
  std::vector<uint16_t> experts_;  // [L][n][k]
  std::vector<uint64_t> sets_;     // [L][n][words]
};

/// Number of experts in both sets.
int common_experts(const uint64_t* a, const uint64_t* b, int words);

}  // namespace foregate::stats
