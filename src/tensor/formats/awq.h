#pragma once

#include <torch/types.h>

#include <cstdint>

namespace foregate::tensor {

/// How an AWQ checkpoint (Lin et al. 2023) of version "gemm" packs its matrices: 4 bits.
struct AwqFormat {
  static constexpr int64_t kBits = 4;
  static constexpr int64_t kPerWord = 32 / kBits;

  int64_t group_size = 0;  ///< inputs that share scale and zero; -1: all

  int64_t inputs_per_group(int64_t inputs) const { return group_size < 0 ? inputs : group_size; }
};

/// One matrix, as stored. A word holds eight consecutive outputs: its k-th four bits from the
/// lowest up that of number 0, 2, 4, 6, 1, 3, 5, 7.
struct AwqTensors {
  torch::Tensor qweight;  ///< [in, out / 8] int32
  torch::Tensor qzeros;   ///< [groups, out / 8] int32
  torch::Tensor scales;   ///< [groups, out] float16, or another float
};

/// weight[o, i] = (q[i, o] - zero[g, o]) * scale[g, o] with g = i / group_size, for the outputs
/// [first, first + count), as AutoAWQ's dequantize_gemm computes it, but not rounded to float16.
torch::Tensor dequantize_awq(const AwqTensors& tensors, const AwqFormat& format, int64_t first,
                             int64_t count);  // -> [count, in] float32

}  // namespace foregate::tensor
