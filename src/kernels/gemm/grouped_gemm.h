#pragma once

#include <cuda_runtime_api.h>

#include <cstdint>

namespace foregate::kernels {

/// Size of the heads that a product can rotate as it writes them.
inline constexpr int64_t kRotatedHeadSize = 128;

/// Rotary positions of queries and keys: element i of a head turns together with element i + 64.
struct Rotation {
  const int64_t* positions = nullptr;  ///< [rows]; null: nothing turns
  const void* cos = nullptr;           ///< [positions, 64] bfloat16
  const void* sin = nullptr;           ///< [positions, 64] bfloat16
  int64_t columns = 0;                 ///< of the output, the first so many turn: whole heads
};

/// Products of rows, sorted by group, with their group's matrix; bfloat16, added up in float32.
struct GroupedGemm {
  const void* x = nullptr;          ///< [rows, k]; [any, k] with x_rows
  const int32_t* x_rows = nullptr;  ///< [rows]: the row of x that each is, or null: as they lie
  const void* weight = nullptr;     ///< [groups, n, k]; [stacked, n, k] with matrices
  const int32_t* ends = nullptr;  ///< [groups] on the device: end of each group's rows; null if one
  /// [groups] on the device: which of the stacked matrices is each group's; the rows of a group of
  /// a negative one are passed over, and what is there of `out` stays. Null: the matrix of its
  /// number.
  const int32_t* matrices = nullptr;
  int64_t stacked = 0;  ///< matrices, with `matrices` only
  void* out = nullptr;  ///< [rows, n], or [rows, n / 2] with silu_product
  int64_t rows = 0;
  int64_t groups = 1;
  int64_t n = 0;
  int64_t k = 0;
  /// Weight rows are gate rows, then up rows; out = silu(gate) * up, taken from the float32 sums
  /// and rounded once.
  bool silu_product = false;
  const float* row_scale = nullptr;  ///< [rows], times the output, or null; with silu_product only
  /// out = the sums and the bias, turned, rounded once. On Hopper, for one group.
  Rotation rotation{};
  const void* bias = nullptr;  ///< [n], or null; with rotation only
};

/// Matrices that lie at `weight`.
inline int64_t num_matrices(const GroupedGemm& problem) {
  return problem.matrices == nullptr ? problem.groups : problem.stacked;
}

/// Whether the device's products fuse what is around them: they take `x_rows` and `rotation`, and
/// those of one group too are faster than a library's with a kernel behind it. Hopper's do.
bool has_fused_gemm(int device);

/// Whether sizes and addresses are whole 16 bytes, which the copies and stores work in.
bool can_run(const GroupedGemm& problem);

/// Runs on Hopper by its own matrix instructions, on what came before (sm_80 on) by theirs.
cudaError_t grouped_gemm(const GroupedGemm& problem, cudaStream_t stream);

/// The two, by name: `grouped_gemm` chooses by the device.
cudaError_t grouped_gemm_sm80(const GroupedGemm& problem, cudaStream_t stream);
cudaError_t grouped_gemm_sm90(const GroupedGemm& problem, cudaStream_t stream);

}  // namespace foregate::kernels
