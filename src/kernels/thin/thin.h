#pragma once

#include <cuda_runtime_api.h>

#include <cstdint>

namespace foregate::kernels {

// Products of few rows: what a step of decoding consists of. Matrices are multiplied from their
// codes, each read once, so that their bytes over the memory's bandwidth are the floor. How rows
// are rounded depends on their number: up to eight meet int8 codes as they are, to 2^-22 of the
// row's largest value, and NF4's values in bfloat16, scaled in float32; more, or wider ones than
// fit into shared memory, meet both in bfloat16, NF4's after scaling. No row depends on the others.

/// Rows of x that a thin product takes at most.
inline constexpr int64_t kThinRows = 32;

/// How a matrix is kept: see dequantize.h for what codes stand for.
enum class MatrixCodes { kBFloat16, kInt8, kNf4 };

/// A matrix [n, k], or as many as there are groups.
struct ThinMatrix {
  const void* codes = nullptr;    ///< [groups, n, k] bfloat16 or int8, [groups, n, k / 2] nf4
  const float* scales = nullptr;  ///< int8: [groups, n]; nf4: [groups, n, (k + 63) / 64]
  const float* values = nullptr;  ///< nf4: [16] on the host: what the codes stand for
  MatrixCodes kind = MatrixCodes::kBFloat16;
  int64_t n = 0;
  int64_t k = 0;
};

/// Whether rows of the matrix are whole pieces of 16 bytes, which the loads work in.
bool can_run_thin(const ThinMatrix& matrix);

/// A norm in front of a product of one row, as rms_norm.h has it: x is then what is not normalised
/// yet.
struct ThinNorm {
  const void* weight = nullptr;  ///< [k] bfloat16; null: none
  float epsilon = 0;
  /// Whether x was written before the kernel in front of this one began its work, so that what
  /// needs x alone need not wait for that one.
  bool x_is_settled = false;
};

/// Whether a product of the matrix can normalise its row.
bool can_normalize_thin(const ThinMatrix& matrix);

/// Rotates the first heads of a product's result, after rounding, as rope.h has it.
struct ThinRotation {
  const int64_t* positions = nullptr;  ///< [rows]; null: nothing is rotated
  const void* cos = nullptr;           ///< [positions, head_dim / 2] bfloat16
  const void* sin = nullptr;
  int64_t heads = 0;     ///< that are rotated
  int64_t head_dim = 0;  ///< a multiple of 16 that divides n
};

enum class ThinResult {
  kStore,        ///< out[rows, n] bfloat16
  kFloat,        ///< out[rows, n] float32
  kAdd,          ///< out[rows, n] bfloat16 += the product, rounded once
  kSiluProduct,  ///< out[rows, n / 2] bfloat16 = silu(first half) * second half, rounded once
};

/// x * weight^T, added up in float32.
struct ThinLinear {
  const void* x = nullptr;  ///< [rows, k] bfloat16
  ThinNorm norm{};
  int64_t rows = 0;  ///< 1 .. kThinRows
  ThinMatrix weight{};
  const void* bias = nullptr;        ///< [n] bfloat16, or null
  const float* row_scale = nullptr;  ///< [rows] times the result before it is rounded, or null
  ThinRotation rotation{};           ///< of kStore
  ThinResult result = ThinResult::kStore;
  void* out = nullptr;
};
cudaError_t thin_linear(const ThinLinear& linear, cudaStream_t stream);

/// Experts of a step's tokens, and one that all tokens share, added to the residual stream: two
/// launches for one token, four for more.
struct ThinExperts {
  const void* x = nullptr;  ///< [tokens, hidden] bfloat16
  ThinNorm norm{};
  int64_t tokens = 0;  ///< 1 .. kThinRows
  int64_t experts = 0;
  int64_t top_k = 0;
  const int64_t* chosen = nullptr;      ///< [tokens, top_k]
  const int32_t* matrices = nullptr;    ///< [experts]: which of the stacked matrices each expert
                                        ///< has, of those that are chosen; null: that of its number
  const float* gate_weights = nullptr;  ///< [tokens, top_k]
  ThinMatrix gate_up{};                 ///< [stacked, 2 * inner, hidden]: gate rows, then up rows
  ThinMatrix down{};                    ///< [stacked, hidden, inner]
  ThinMatrix shared_gate_up{};          ///< [2 * shared inner, hidden], or none; of the same kind
  ThinMatrix shared_down{};             ///< [hidden, shared inner]
  const void* shared_gate = nullptr;    ///< [hidden] bfloat16: sigmoid(x * it) times the shared
                                        ///< expert's output; null: all of it
  void* residual = nullptr;             ///< [tokens, hidden] bfloat16, rounded once
  void* workspace = nullptr;            ///< thin_experts_workspace() bytes, 16-byte aligned
};
/// So many experts at most.
inline constexpr int64_t kMostThinExperts = 1024;
int64_t thin_experts_workspace(const ThinExperts& problem);
cudaError_t thin_experts(const ThinExperts& problem, cudaStream_t stream);

}  // namespace foregate::kernels
