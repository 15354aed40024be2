#pragma once

#include <torch/types.h>

#include <cstdint>

namespace foregate::tensor {

/// How bitsandbytes packs a matrix in 4 bits (Dettmers et al. 2023): blocks run over all values,
/// row behind row, and may end in the midst of a row.
struct BitsandbytesTensors {
  torch::Tensor codes;      ///< uint8, two values a byte, the first in the upper half
  torch::Tensor quant_map;  ///< [16] float32: what the codes stand for
  int64_t block = 0;        ///< values that share a scale
  /// [blocks]: the scales, float32; or, quantised a second time, their codes, uint8.
  torch::Tensor absmax;
  // Of scales that are quantised: scale = nested_map[code] * nested_absmax[block / nested_block] +
  // offset.
  torch::Tensor nested_map;     ///< [256] float32
  torch::Tensor nested_absmax;  ///< [blocks of scales] float32
  int64_t nested_block = 0;
  float nested_offset = 0;
};

/// quant_map[code] * scale of the rows [first, first + count), in float32, as bitsandbytes computes
/// it before it rounds: functional.py, dequantize_4bit.
torch::Tensor dequantize_bitsandbytes(const BitsandbytesTensors& tensors, int64_t columns,
                                      int64_t first, int64_t count);  // -> [count, columns]

}  // namespace foregate::tensor
