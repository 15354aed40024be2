#pragma once

#include <cstdint>
#include <vector>

#include "scoring/neural/layout_tensors.h"

namespace foregate::scoring {

/// The tensors of one block.
struct TransformerBlock {
  /// Throws DataError.
  TransformerBlock(const LayoutTensors& tensors, int64_t index);

  const float* attention_norm;  // [D]
  const float* attention_in;    // [D][3 D]
  const float* attention_out;   // [D][D]
  const float* mlp_norm;        // [D]
  const float* mlp_in;          // [D][4 D]
  const float* mlp_in_bias;     // [4 D]
  const float* mlp_out;         // [4 D][D]
};

/// (x - mean) / sqrt(variance + epsilon) * gain
void layer_norm(const float* x, const float* gain, int64_t width, float* out);

/// The tokens of one window that have gone through the blocks, as keys and values.
class TransformerWindow {
 public:
  TransformerWindow(const TransformerSizes& sizes, const std::vector<TransformerBlock>& blocks);

  void clear();
  int64_t size() const { return size_; }
  /// Sends the window's next token through the blocks, in place. What comes out of the last one is
  /// only computed if it is `wanted`: keys and values do not need it.
  void append(std::vector<float>& x, bool wanted);  // [D]

 private:
  /// Pairs of dimensions i and i + d/2 of each head turn with the place (Su and others 2021).
  void rotate(float* heads) const;  // [D]
  std::vector<float> attend(const std::vector<float>& queries, size_t block) const;

  const TransformerSizes& sizes_;
  const std::vector<TransformerBlock>& blocks_;
  int64_t size_ = 0;
  std::vector<float> cos_, sin_;                   // [d / 2] of the place of the next token
  std::vector<std::vector<float>> keys_, values_;  // [blocks][size][D]
};

}  // namespace foregate::scoring
