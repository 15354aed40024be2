#include "models/weights/arrangement.h"

#include <torch/types.h>

#include <stdexcept>
#include <utility>

namespace foregate::models {
namespace {

// [n, 2I, ...] of gate, up, gate, up, ...: all gates, then all ups.
torch::Tensor separated(const torch::Tensor& rows) {
  return rows.unflatten(1, {rows.size(1) / 2, 2}).transpose(1, 2).flatten(1, 2);
}

}  // namespace

std::vector<int64_t> stored_shape(std::vector<int64_t> shape, const Arrangement& arrangement) {
  if (arrangement.transposed) std::swap(shape[shape.size() - 2], shape.back());
  return shape;
}

tensor::Weight rearranged(const tensor::Weight& stored, const Arrangement& arrangement) {
  if (arrangement.is_none()) return stored;
  if (stored.is_quantized()) {
    if (arrangement.transposed) throw std::logic_error("codes cannot be transposed");
    return {stored.quantization(), separated(stored.codes()), separated(stored.scales()),
            stored.size(-1)};
  }
  torch::Tensor rows = stored.dense();
  if (arrangement.transposed) rows = rows.transpose(-2, -1);
  return arrangement.interleaved ? separated(rows) : rows.contiguous();
}

}  // namespace foregate::models
