#pragma once

#include <cstdint>
#include <vector>

#include "trace/trace.h"

namespace foregate::stats {

/// A share with the variance of its estimate.
struct Share {
  double tokens = 0;  ///< that could have chosen
  double chosen = 0;  ///< that did
  double variance = 0;
};

/// Usage [L][E] together with how much it varies between texts, so that shares of tokens can be
/// compared honestly: the tokens of one text are not independent of each other.
class ClusteredUsage {
 public:
  ClusteredUsage() = default;
  explicit ClusteredUsage(const trace::Geometry& geometry);

  void add(const trace::Trace& trace);
  void merge(const ClusteredUsage& other);
  /// What is left of this without `part`, whose texts are all in this.
  ClusteredUsage without(const ClusteredUsage& part) const;

  int64_t texts() const { return texts_; }
  /// Share of tokens that choose `expert`, chosen / tokens; its variance is that of a ratio of
  /// totals over texts (Cochran 1977, section 2.11), and at least that of independent tokens.
  Share share(int layer, int expert) const;

 private:
  int num_layers_ = 0;
  int num_experts_ = 0;
  int top_k_ = 0;
  int64_t texts_ = 0;
  int64_t tokens_ = 0;
  int64_t token_squares_ = 0;      // sum over texts of n^2
  std::vector<int64_t> chosen_;    // [L][E] sum of x: tokens of a text that choose the expert
  std::vector<int64_t> squares_;   // [L][E] sum of x^2
  std::vector<int64_t> products_;  // [L][E] sum of x n
  std::vector<int32_t> text_;      // [L][E] x of the text being added
};

}  // namespace foregate::stats
