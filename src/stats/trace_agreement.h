#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "stats/bootstrap.h"
#include "stats/usage.h"
#include "trace/reader.h"

namespace foregate::stats {

/// How far two traces of the same texts agree, decision by decision: the same model quantised or
/// computed otherwise, or one made of another by training.
class TraceAgreement {
 public:
  TraceAgreement() = default;
  explicit TraceAgreement(const trace::Geometry& geometry);

  /// Two records of one text: the same tokens, the same geometry.
  void add(const trace::Trace& a, const trace::Trace& b);

  int64_t texts() const { return texts_; }
  int64_t tokens() const { return tokens_; }
  /// Mean of |S_a and S_b| / k at a layer, with the 95% interval of a ratio of totals over texts.
  Interval common(int layer) const;
  double exact(int layer) const;       ///< Share of tokens with the same set of experts.
  double same_first(int layer) const;  ///< Share of tokens with the same first expert.
  /// Jensen-Shannon divergence in bits of the two usages of a layer.
  double divergence(int layer) const;
  /// First token of each bin of positions: 0, 1, 2, 4, 8, ... up to the longest text.
  std::vector<int> positions() const;
  /// Mean of |S_a and S_b| / k over all layers and the tokens of a bin of positions.
  double common_at(size_t bin) const;

 private:
  int num_layers_ = 0;
  int num_experts_ = 0;
  int top_k_ = 0;
  int64_t texts_ = 0;
  int64_t tokens_ = 0;
  int64_t token_squares_ = 0;
  std::vector<int64_t> common_;      // [L]
  std::vector<int64_t> squares_;     // [L] sum over texts of common^2
  std::vector<int64_t> products_;    // [L] sum over texts of common * n
  std::vector<int64_t> exact_;       // [L]
  std::vector<int64_t> same_first_;  // [L]
  std::vector<int64_t> at_common_;   // [bins]
  std::vector<int64_t> at_tokens_;   // [bins]
  UsageCounts usage_a_;
  UsageCounts usage_b_;
};

/// Reads both traces side by side. Throws DataError if they are not of the same geometry and the
/// same texts in the same order, naming the first difference.
TraceAgreement compute_agreement(const trace::TraceDirectory& a, const trace::TraceDirectory& b,
                                 const std::function<void(int64_t traces)>& on_progress);

}  // namespace foregate::stats
