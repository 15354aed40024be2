#pragma once

#include <cstddef>
#include <cstdint>
#include <unordered_map>
#include <vector>

#include "trace/trace.h"

namespace foregate::stats {

/// How often each token id occurs. Memory is that of the vocabulary.
class TokenCounts {
 public:
  void add(const trace::Trace& trace);
  void merge(const TokenCounts& other);
  /// The `limit` most frequent ids that occur at least `least` times, most frequent first, ties by
  /// id.
  std::vector<int32_t> most_frequent(size_t limit, int64_t least) const;

 private:
  std::unordered_map<int32_t, int64_t> counts_;
};

/// A token id that an expert sees more than its share of.
struct TypicalToken {
  int32_t id = 0;
  int64_t tokens = 0;      ///< occurrences
  int64_t chosen = 0;      ///< of these, routed to the expert
  double probability = 0;  ///< P(expert | token)
  double lift = 0;         ///< P(expert | token) / P(expert)
  double g2 = 0;           ///< log-likelihood ratio of the association (Dunning 1993)
};

/// Counts [ids][L][E] of which experts the most frequent token ids are routed to.
class TokenAffinity {
 public:
  /// Rarer tokens are typical of an expert by chance.
  static constexpr int64_t kLeastOccurrences = 5;
  /// How many ids can be followed in 32 MB, at most 2,048.
  static size_t room(const trace::Geometry& geometry);

  TokenAffinity() = default;
  TokenAffinity(const trace::Geometry& geometry, const std::vector<int32_t>& ids);

  void add(const trace::Trace& trace);
  void merge(const TokenAffinity& other);

  size_t num_ids() const { return ids_.size(); }
  /// The followed ids with lift above 1, largest g2 first, at most `limit`. `expert_tokens` is how
  /// many of all `tokens` were routed to the expert.
  std::vector<TypicalToken> typical(int layer, int expert, int64_t expert_tokens, int64_t tokens,
                                    size_t limit) const;

 private:
  int num_layers_ = 0;
  int num_experts_ = 0;
  int top_k_ = 0;
  std::vector<int32_t> ids_;
  std::unordered_map<int32_t, size_t> places_;
  std::vector<int64_t> tokens_;   // [ids]
  std::vector<uint32_t> counts_;  // [ids][L][E]
};

/// Log-likelihood ratio of a 2 x 2 table: of `total` cases `a` have one property, `b` the other,
/// `both` both. 2 * sum of observed * ln(observed / expected).
double log_likelihood_ratio(double both, double a, double b, double total);

}  // namespace foregate::stats
