#include "scoring/neural/transformer_window.h"

#include <algorithm>
#include <cmath>

#include "scoring/constants.h"
#include "scoring/neural/state_scorer.h"
#include "scoring/products.h"

namespace foregate::scoring {
namespace {

/// out += x times a matrix [rows][columns].
void add_times(const float* x, const float* matrix, int64_t rows, int64_t columns, float* out) {
  add_transposed_product(matrix, rows, columns, {&x, 1}, {&out, 1});
}

}  // namespace

TransformerBlock::TransformerBlock(const LayoutTensors& tensors, int64_t index)
    : attention_norm(tensors[in_block(index, "attention_norm")]),
      attention_in(tensors[in_block(index, "attention_in")]),
      attention_out(tensors[in_block(index, "attention_out")]),
      mlp_norm(tensors[in_block(index, "mlp_norm")]),
      mlp_in(tensors[in_block(index, "mlp_in")]),
      mlp_in_bias(tensors[in_block(index, "mlp_in_bias")]),
      mlp_out(tensors[in_block(index, "mlp_out")]) {}

void layer_norm(const float* x, const float* gain, int64_t width, float* out) {
  double sum = 0;
  for (int64_t i = 0; i < width; ++i) sum += x[i];
  const double mean = sum / static_cast<double>(width);
  double squares = 0;
  for (int64_t i = 0; i < width; ++i) squares += (x[i] - mean) * (x[i] - mean);
  const double variance = squares / static_cast<double>(width);
  const auto scale = static_cast<float>(1 / std::sqrt(variance + kLayerNormEpsilon));
  const auto center = static_cast<float>(mean);
  for (int64_t i = 0; i < width; ++i) out[i] = (x[i] - center) * scale * gain[i];
}

TransformerWindow::TransformerWindow(const TransformerSizes& sizes,
                                     const std::vector<TransformerBlock>& blocks)
    : sizes_(sizes), blocks_(blocks), keys_(blocks.size()), values_(blocks.size()) {
  const auto half = static_cast<size_t>(sizes.width / sizes.heads / 2);
  cos_.resize(half);
  sin_.resize(half);
}

void TransformerWindow::clear() {
  size_ = 0;
  for (auto* lists : {&keys_, &values_}) {
    for (std::vector<float>& list : *lists) list.clear();
  }
}

void TransformerWindow::rotate(float* heads) const {
  const int64_t half = sizes_.width / sizes_.heads / 2;
  for (int64_t h = 0; h < sizes_.heads; ++h, heads += 2 * half) {
    for (int64_t i = 0; i < half; ++i) {
      const float a = heads[i];
      const float b = heads[half + i];
      const auto at = static_cast<size_t>(i);
      heads[i] = a * cos_[at] - b * sin_[at];
      heads[half + i] = a * sin_[at] + b * cos_[at];
    }
  }
}

std::vector<float> TransformerWindow::attend(const std::vector<float>& queries,
                                             size_t block) const {
  const int64_t width = sizes_.width;
  const int64_t size = width / sizes_.heads;
  const int64_t places = size_ + 1;
  const float scale = 1.0F / std::sqrt(static_cast<float>(size));
  std::vector<float> attended(static_cast<size_t>(width));
  std::vector<float> weights(static_cast<size_t>(places));
  for (int64_t begin = 0; begin < width; begin += size) {
    const float* query = queries.data() + begin;
    float highest = -INFINITY;
    for (int64_t p = 0; p < places; ++p) {
      const float* key = keys_[block].data() + p * width + begin;
      float product = 0;
      for (int64_t i = 0; i < size; ++i) product += query[i] * key[i];
      weights[static_cast<size_t>(p)] = product * scale;
      highest = std::max(highest, product * scale);
    }
    float sum = 0;
    for (float& weight : weights) {
      weight = std::exp(weight - highest);
      sum += weight;
    }
    float* out = attended.data() + begin;
    for (int64_t p = 0; p < places; ++p) {
      const float* value = values_[block].data() + p * width + begin;
      const float share = weights[static_cast<size_t>(p)] / sum;
      for (int64_t i = 0; i < size; ++i) out[i] += share * value[i];
    }
  }
  return attended;
}

void TransformerWindow::append(std::vector<float>& x, bool wanted) {
  const int64_t width = sizes_.width;
  for (size_t i = 0; i < cos_.size(); ++i) {
    const float share = static_cast<float>(i) / static_cast<float>(cos_.size());
    const float angle =
        static_cast<float>(size_) * std::pow(static_cast<float>(kRotaryBase), -share);
    cos_[i] = std::cos(angle);
    sin_[i] = std::sin(angle);
  }
  std::vector<float> normal(static_cast<size_t>(width));
  for (size_t b = 0; b < blocks_.size(); ++b) {
    const TransformerBlock& block = blocks_[b];
    layer_norm(x.data(), block.attention_norm, width, normal.data());
    std::vector<float> all(static_cast<size_t>(3 * width));  // queries, keys, values
    add_times(normal.data(), block.attention_in, width, 3 * width, all.data());
    rotate(all.data());
    rotate(all.data() + width);
    keys_[b].insert(keys_[b].end(), all.begin() + width, all.begin() + 2 * width);
    values_[b].insert(values_[b].end(), all.begin() + 2 * width, all.end());
    if (b + 1 == blocks_.size() && !wanted) break;
    const std::vector<float> attended = attend(all, b);
    add_times(attended.data(), block.attention_out, width, width, x.data());

    layer_norm(x.data(), block.mlp_norm, width, normal.data());
    std::vector<float> inner(block.mlp_in_bias, block.mlp_in_bias + 4 * width);
    add_times(normal.data(), block.mlp_in, width, 4 * width, inner.data());
    silu(inner.data(), 4 * width);
    add_times(inner.data(), block.mlp_out, 4 * width, width, x.data());
  }
  ++size_;
}

}  // namespace foregate::scoring
