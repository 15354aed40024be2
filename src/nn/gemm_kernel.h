#pragma once

#include <cstdint>

namespace foregate::nn {

// Products of float32 rows with packed weights on one CPU thread. Every element is summed over the
// depth in rising order by fused multiply-adds into one sum, whatever the other rows and the
// instruction set: results do not depend on how tokens are batched.

/// Columns of a panel. A panel holds kPanelColumns columns of a weight for the whole depth:
/// [depth][32].
inline constexpr int64_t kPanelColumns = 32;

/// What becomes of a product.
enum class GemmEpilogue {
  kStore,         ///< out = product + bias
  kAdd,           ///< out += product
  kSiluMultiply,  ///< out = silu(gate) * up * scale; a panel holds 16 gate columns, then their 16
                  ///< ups
};

struct GemmTask {
  const float* x = nullptr;  ///< [rows, depth], rows x_stride apart
  int64_t x_stride = 0;
  int64_t rows = 0;
  int64_t depth = 0;
  const float* panels = nullptr;  ///< columns beyond the last are zero
  float* out = nullptr;           ///< [rows, columns], rows out_stride apart
  int64_t out_stride = 0;
  int64_t columns = 0;  ///< of out
  GemmEpilogue epilogue = GemmEpilogue::kStore;
  const float* bias = nullptr;   ///< [columns] or none; kStore only
  const float* scale = nullptr;  ///< [rows] or none; kSiluMultiply only
};

using GemmKernel = void (*)(const GemmTask& task);

void gemm_avx2(const GemmTask& task);
void gemm_avx512(const GemmTask& task);

/// The kernel for this processor; nullptr if it has neither AVX-512 nor AVX2 with FMA.
GemmKernel best_gemm_kernel();

}  // namespace foregate::nn
