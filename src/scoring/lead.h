#pragma once

#include <string>
#include <string_view>

#include "trace/trace.h"

namespace foregate::scoring {

/// How early token t's experts at MoE layer l are predicted, that is, what may be seen then:
///   next-token     tokens before t (ids and routing at all layers) and token t's own id
///   layer-h        also what token t showed up to the router input of MoE layer l-h: its decisions
///                  at layers <= l-h, its hidden states up to that point
///   pre-attention  also the residual stream entering layer l, before that layer's attention
struct Lead {
  enum class Kind { kNextToken, kLayer, kPreAttention };

  Kind kind = Kind::kNextToken;
  int distance = 0;  ///< h of layer-h, at least 1; 0 for the other kinds

  static constexpr Lead next_token() { return {Kind::kNextToken, 0}; }
  static constexpr Lead layer(int h) { return {Kind::kLayer, h}; }
  static constexpr Lead pre_attention() { return {Kind::kPreAttention, 0}; }

  /// The first MoE layer that can be predicted: layer-h has nothing to go by below layer h.
  int first_layer() const { return distance; }
  bool operator==(const Lead&) const = default;
};

/// "next-token", "layer-H" or "pre-attention". Throws UsageError for anything else.
Lead parse_lead(std::string_view text);
std::string lead_name(const Lead& lead);

/// Throws UsageError if no layer of the model can be predicted at this lead.
void require_lead_fits(const Lead& lead, const trace::Geometry& geometry);

}  // namespace foregate::scoring
