#pragma once

#include <torch/types.h>

#include <cstdint>

#include "nn/gemm_kernel.h"

namespace foregate::nn {

/// A weight in the layout of gemm_kernel.h. Undefined where that kernel cannot be used.
struct PackedWeight {
  torch::Tensor panels;  ///< [panels, K, 32] float32
  int64_t columns = 0;   ///< of the output

  bool defined() const { return panels.defined(); }
  int64_t depth() const { return panels.size(1); }
};

/// Whether products with this weight can run on the packed kernels: float32 on a CPU that has them.
bool can_pack(const torch::Tensor& weight);

PackedWeight pack(const torch::Tensor& weight);  // [N, K]
/// For GemmEpilogue::kSiluMultiply: 16 gate rows and their 16 up rows side by side.
PackedWeight pack_gate_up(const torch::Tensor& gate_up);  // [2I, K]: gate rows, then up rows

/// Runs `task` with the weight's panels, depth and columns filled in.
void multiply(const PackedWeight& weight, GemmTask task);

/// Rows that one thread should take at once: whole register blocks, few enough for their inner
/// results to stay in its cache, and as even as possible.
int64_t tile_rows(int64_t rows);

}  // namespace foregate::nn
