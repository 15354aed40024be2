#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "models/weights/weight_names.h"

namespace foregate::models {

/// What GGUF calls a tensor, and which tensors of other checkpoints it is.
struct GgufName {
  enum class Layout : uint8_t {
    kPlain,       ///< one tensor, the same
    kRow,         ///< a vector, there a matrix of one row
    kHeads,       ///< rows of query or key heads, which may be reordered
    kEachExpert,  ///< [E, M, N], there a matrix an expert
    kGateAndUp,   ///< [E, 2I, H], there two matrices an expert
  };
  std::string_view name;              ///< "attn_q.weight", behind "blk.N." where it is a layer's
  std::string WeightNames::*pattern;  ///< see WeightNames
  std::string_view suffix = "";       ///< what the pattern leaves open: ".weight"
  Layout layout = Layout::kPlain;
};

std::span<const GgufName> gguf_outer_names();
std::span<const GgufName> gguf_layer_names();

}  // namespace foregate::models
