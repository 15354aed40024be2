#include "quantized_aten.h"

#include <torch/types.h>

#include "tensor/weight/quantized_rows.h"

namespace foregate::testing {
namespace {

using tensor::kNf4Block;
using tensor::kNf4Values;
using tensor::Quantization;

constexpr double kInt8Most = 127.0;

// Zeros behind each row, up to whole blocks.
torch::Tensor pad_columns(const torch::Tensor& values, int64_t multiple) {
  const int64_t missing = (multiple - values.size(-1) % multiple) % multiple;
  return missing == 0 ? values : at::constant_pad_nd(values, {0, missing});
}

// 1 where the scale is 0, so that zeros are divided by something.
torch::Tensor divisor(const torch::Tensor& scales) {
  return at::where(scales == 0, torch::ones_like(scales), scales);
}

CodesAndScales encode_int8_aten(const torch::Tensor& values) {
  const torch::Tensor scales = values.abs().amax(-1).div_(kInt8Most);
  const torch::Tensor codes = values.div(divisor(scales).unsqueeze(-1)).round_().to(torch::kInt8);
  return {codes, scales};
}

CodesAndScales encode_nf4_aten(const torch::Tensor& values) {
  const torch::Tensor blocks =
      pad_columns(values, kNf4Block).unflatten(-1, {-1, kNf4Block});  // [..., blocks, 64]
  const torch::Tensor scales = blocks.abs().amax(-1);
  const auto midpoints = tensor::nf4_midpoints();
  const torch::Tensor bounds =
      torch::tensor(c10::ArrayRef<float>(midpoints.data(), midpoints.size())).to(values.device());
  torch::Tensor codes = at::bucketize(blocks.div(divisor(scales).unsqueeze(-1)), bounds,
                                      /*out_int32=*/true)
                            .to(torch::kUInt8)
                            .flatten(-2)
                            .narrow(-1, 0, values.size(-1));
  codes = pad_columns(codes, 2).unflatten(-1, {-1, 2});
  return {codes.select(-1, 0).mul(16).add_(codes.select(-1, 1)), scales};
}

torch::Tensor decode_nf4_aten(const torch::Tensor& codes, const torch::Tensor& scales,
                              int64_t columns) {
  const torch::Tensor table =
      torch::tensor(c10::ArrayRef<float>(kNf4Values.data(), kNf4Values.size())).to(codes.device());
  const torch::Tensor bytes = codes.to(torch::kInt32);
  const torch::Tensor index = torch::stack({bytes.div(16, "floor"), bytes.remainder(16)}, -1);
  const torch::Tensor values =
      table.index_select(0, index.flatten()).view(index.sizes()).flatten(-2);
  const torch::Tensor by_value = scales.repeat_interleave(kNf4Block, /*dim=*/-1);
  return values.narrow(-1, 0, columns) * by_value.narrow(-1, 0, columns);
}

}  // namespace

CodesAndScales encode_aten(Quantization quantization, const torch::Tensor& values) {
  switch (quantization) {
    case Quantization::kNone:
      break;
    case Quantization::kInt8:
      return encode_int8_aten(values);
    case Quantization::kNf4:
      return encode_nf4_aten(values);
  }
  TORCH_CHECK(false, "encode_aten: expected int8 or nf4");
}

torch::Tensor decode_aten(Quantization quantization, const torch::Tensor& codes,
                          const torch::Tensor& scales, int64_t columns, torch::ScalarType dtype) {
  switch (quantization) {
    case Quantization::kNone:
      break;
    case Quantization::kInt8:
      return codes.to(torch::kFloat32).mul_(scales.unsqueeze(-1)).to(dtype);
    case Quantization::kNf4:
      return decode_nf4_aten(codes, scales, columns).to(dtype);
  }
  TORCH_CHECK(false, "decode_aten: expected int8 or nf4");
}

}  // namespace foregate::testing
