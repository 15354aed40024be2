#pragma once

#include <torch/types.h>

#include <cstdint>

#include "scoring/constants.h"
#include "trace/trace.h"

namespace foregate::predict {

/// A run of texts, one after the other.
struct TokenRows {
  torch::Tensor ids;      ///< [N] int64
  torch::Tensor places;   ///< [N] int64: of each token in its text
  torch::Tensor experts;  ///< [N, L', k] int32, of the predictable layers
};

/// What the tokens before a token, and its own id, say at any lead.
struct TokenHistory {
  /// [n, 1 + scoring::kTokensBefore] int64: the token's id, that of the token before, and so on;
  /// the vocabulary's size where there is none.
  torch::Tensor ids;
  /// [L', n, scoring::kTokensBefore * E] float32, multi-hot: what those tokens chose at the same
  /// layer.
  torch::Tensor experts;
};

TokenHistory history_of(const TokenRows& rows,
                        const torch::Tensor& tokens,  // [n] int64, into the rows
                        const trace::Geometry& geometry);

}  // namespace foregate::predict
