#include "tensor/formats/bitsandbytes.h"

#include <ATen/Parallel.h>
#include <torch/types.h>

namespace foregate::tensor {
namespace {

// The scales of blocks [first, last), float32.
torch::Tensor block_scales(const BitsandbytesTensors& tensors, int64_t first, int64_t last) {
  const torch::Tensor stored = tensors.absmax.narrow(0, first, last - first).contiguous();
  if (!tensors.nested_map.defined()) return stored.to(torch::kFloat32);
  // Step by step, each rounded: the compiler would contract product and sum where it may.
  const torch::Tensor block =
      torch::arange(first, last, torch::kInt64).div_(tensors.nested_block, "floor");
  return tensors.nested_map.index_select(0, stored.to(torch::kInt64))
      .mul_(tensors.nested_absmax.index_select(0, block))
      .add_(tensors.nested_offset);
}

}  // namespace

torch::Tensor dequantize_bitsandbytes(const BitsandbytesTensors& tensors, int64_t columns,
                                      int64_t first, int64_t count) {
  torch::Tensor weight = torch::empty({count, columns}, torch::kFloat32);
  if (weight.numel() == 0) return weight;
  const int64_t begin = first * columns;
  const int64_t end = begin + count * columns;
  const int64_t first_block = begin / tensors.block;
  const torch::Tensor scales =
      block_scales(tensors, first_block, (end + tensors.block - 1) / tensors.block);
  const torch::Tensor codes = tensors.codes.contiguous();
  const torch::Tensor map = tensors.quant_map.contiguous();
  const auto* byte = codes.const_data_ptr<uint8_t>();
  const auto* meaning = map.const_data_ptr<float>();
  const auto* scale = scales.const_data_ptr<float>();
  auto* value = weight.mutable_data_ptr<float>();
  constexpr int64_t kGrain = int64_t{1} << 14;
  at::parallel_for(begin, end, kGrain, [&](int64_t from, int64_t to) {
    for (int64_t i = from; i < to; ++i) {
      const int code = byte[i / 2] >> (i % 2 == 0 ? 4 : 0) & 15;
      value[i - begin] = meaning[code] * scale[i / tensors.block - first_block];
    }
  });
  return weight;
}

}  // namespace foregate::tensor
