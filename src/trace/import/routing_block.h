#pragma once

// Internal to trace/: routing as a record gives it, before it is known which layers are MoE layers.

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "trace/trace.h"

namespace foregate::trace {

inline constexpr int32_t kNoExpert = -1;

/// Routing of consecutive tokens. Engines give a place to every decoder layer and token; where
/// nothing was recorded (dense layers, tokens out of a prefix cache, a token that was never run)
/// they leave zeros, -1 or the dtype's largest number throughout. Such a decision is kNoExpert
/// throughout here: the experts of a real one differ.
struct RoutingBlock {
  int64_t tokens = 0;
  int64_t layers = 0;
  int64_t k = 0;
  std::vector<int32_t> experts;  ///< [tokens][layers][k]
  std::vector<float> weights;    ///< alike, or empty

  std::span<const int32_t> decision(int64_t token, int64_t layer) const {
    return std::span(experts).subspan(static_cast<size_t>((token * layers + layer) * k),
                                      static_cast<size_t>(k));
  }
  bool recorded(int64_t token, int64_t layer) const {
    return decision(token, layer).front() != kNoExpert;
  }
  /// Appends the tokens of a block of the same layers and k.
  void append(const RoutingBlock& next);
};

/// A block of `ids` [tokens][layers][k]. Throws DataError, beginning with `where`, for a shape that
/// no model has, ids that are no experts, and an expert twice in a decision.
RoutingBlock make_block(std::span<const int64_t> ids, int64_t tokens, int64_t layers, int64_t k,
                        const std::string& where);

/// Finds out which layers of a record hold routing at all.
class LayerSurvey {
 public:
  void add(const RoutingBlock& block);
  int64_t layers() const { return static_cast<int64_t>(seen_.size()); }
  int64_t k() const { return k_; }
  int largest_expert() const { return largest_; }
  /// Indices of the layers that hold routing; the others are dense.
  std::vector<int> moe_layers() const;

 private:
  struct Seen {
    bool recorded = false;
    bool other_than_zero = false;
  };
  std::vector<Seen> seen_;
  int64_t k_ = 0;
  int64_t tokens_ = 0;
  int largest_ = -1;
};

/// The tokens of a block that have routing at every MoE layer.
struct RoutedSpan {
  int64_t first = 0;     ///< tokens before it have none at all
  int64_t count = 0;     ///< 0: there is none
  int64_t unrouted = 0;  ///< tokens behind the last one that has any
  int64_t cut = 0;       ///< tokens lost behind the first gap
  std::string gap;       ///< where that is: "token 3 at layer 5"; empty if there is none
};
RoutedSpan routed_span(const RoutingBlock& block, const std::vector<int>& moe_layers);

/// Copies the span's decisions at the MoE layers, ranked by weight if there are weights.
void copy_routing(const RoutingBlock& block, const std::vector<int>& moe_layers,
                  const RoutedSpan& span, Trace& trace);

}  // namespace foregate::trace
