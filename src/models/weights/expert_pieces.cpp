#include "models/weights/expert_pieces.h"

#include <torch/types.h>

#include "tensor/device/pinned.h"

namespace foregate::models {
namespace {

// As the widest loads of a GPU like it.
constexpr int64_t kAlignment = 256;

int64_t aligned(int64_t bytes) {
  return (bytes + kAlignment - 1) / kAlignment * kAlignment;
}

// A stack like `part` whose matrices lie in the pieces.
torch::Tensor part_of(const torch::Tensor& pieces,  // [E, bytes] uint8
                      const PieceLayout::Part& where, const torch::Tensor& part) {
  std::vector<int64_t> sizes = part.sizes().vec();
  const torch::Tensor rows =
      pieces.narrow(1, where.offset, where.bytes).view(part.scalar_type());  // [E, values]
  std::vector<int64_t> strides(sizes.size(), 1);
  for (size_t i = sizes.size() - 1; i > 1; --i) strides[i - 1] = strides[i] * sizes[i];
  strides[0] = rows.stride(0);
  return rows.as_strided(sizes, strides, rows.storage_offset());
}

tensor::Weight weight_of(const tensor::Weight& like, const torch::Tensor& values,
                         const torch::Tensor& scales) {
  if (!like.is_quantized()) return values;
  return {like.quantization(), values, scales, like.size(-1)};
}

}  // namespace

std::vector<torch::Tensor> expert_parts(const nn::ExpertWeights& experts) {
  std::vector<torch::Tensor> parts{experts.gate_up.codes(), experts.down.codes()};
  for (const tensor::Weight* weight : {&experts.gate_up, &experts.down}) {
    if (weight->is_quantized()) parts.push_back(weight->scales());
  }
  return parts;
}

PieceLayout piece_layout(const nn::ExpertWeights& experts) {
  PieceLayout layout;
  for (const torch::Tensor& part : expert_parts(experts)) {
    const int64_t bytes = part.numel() / part.size(0) * static_cast<int64_t>(part.element_size());
    layout.parts.push_back({layout.bytes, bytes});
    layout.bytes += aligned(bytes);
  }
  return layout;
}

nn::ExpertWeights in_pieces(const nn::ExpertWeights& experts, bool pinned) {
  const PieceLayout layout = piece_layout(experts);
  const int64_t count = experts.gate_up.size(0);
  const torch::Tensor pieces = (pinned ? tensor::pinned_bytes(count * layout.bytes)
                                       : torch::empty({count * layout.bytes}, torch::kUInt8))
                                   .view({count, layout.bytes});
  std::vector<torch::Tensor> parts;
  for (const torch::Tensor& part : expert_parts(experts)) {
    parts.push_back(part_of(pieces, layout.parts[parts.size()], part));
    for (int64_t expert = 0; expert < count; ++expert) parts.back()[expert].copy_(part[expert]);
  }
  parts.resize(4);
  nn::ExpertWeights result = experts;
  result.gate_up = weight_of(experts.gate_up, parts[0], parts[2]);
  result.down =
      weight_of(experts.down, parts[1], experts.gate_up.is_quantized() ? parts[3] : parts[2]);
  return result;
}

}  // namespace foregate::models
