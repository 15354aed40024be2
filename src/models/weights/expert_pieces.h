#pragma once

#include <cstdint>
#include <vector>

#include "nn/experts.h"

namespace foregate::models {

/// Where the parts of one expert lie in its piece of memory.
struct PieceLayout {
  struct Part {
    int64_t offset = 0;
    int64_t bytes = 0;
  };
  std::vector<Part> parts;  ///< gate_up, down; of quantised ones codes of both, then scales of both
  int64_t bytes = 0;        ///< of a piece; a piece begins behind the other
};

/// Of the experts of a layer.
PieceLayout piece_layout(const nn::ExpertWeights& experts);

/// The parts of a layer's experts, in the order of PieceLayout: [E, ...] each.
std::vector<torch::Tensor> expert_parts(const nn::ExpertWeights& experts);

/// The same experts in the host's memory, each in one piece, so that few long copies bring it to a
/// device: every matrix is contiguous, the stacks of them are not. Biases stay where they are.
nn::ExpertWeights in_pieces(const nn::ExpertWeights& experts, bool pinned);

}  // namespace foregate::models
