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
    kEachExpert,  ///< [E, M, N] or [E, N], there a matrix or vector an expert
    kGateAndUp,   ///< [E, 2I, H], there two matrices an expert
    kHalfLatent,  ///< half of a matrix: see GgufLatentExpansions
  };
  std::string_view name;              ///< "attn_q.weight", behind "blk.N." where it is a layer's
  std::string WeightNames::*pattern;  ///< see WeightNames
  std::string_view suffix = "";       ///< what the pattern leaves open: ".weight"
  Layout layout = Layout::kPlain;
};

/// `names` with an expert's matrices and biases one by one, as they are cut from GGUF's stacks, if
/// the architecture's own checkpoints have them fused only.
WeightNames with_single_experts(WeightNames names);

std::span<const GgufName> gguf_outer_names();
std::span<const GgufName> gguf_layer_names();

}  // namespace foregate::models
