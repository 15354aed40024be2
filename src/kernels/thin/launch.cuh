#pragma once

#include <algorithm>
#include <type_traits>

#include "kernels/silu.cuh"
#include "kernels/thin/narrow.cuh"

namespace foregate::kernels {

/// Calls `work` with a constant of the kind.
template <typename Work>
cudaError_t with_codes(MatrixCodes kind, const Work& work) {
  switch (kind) {
    case MatrixCodes::kBFloat16:
      return work(std::integral_constant<MatrixCodes, MatrixCodes::kBFloat16>{});
    case MatrixCodes::kInt8:
      return work(std::integral_constant<MatrixCodes, MatrixCodes::kInt8>{});
    case MatrixCodes::kNf4:
      return work(std::integral_constant<MatrixCodes, MatrixCodes::kNf4>{});
  }
  return cudaErrorInvalidValue;
}

/// Calls `work` with the number of tiles that so many rows of x take.
template <typename Work>
cudaError_t with_tiles(int64_t rows, const Work& work) {
  if (rows <= kTokenTile) return work(std::integral_constant<int, 1>{});
  if (rows <= 2 * kTokenTile) return work(std::integral_constant<int, 2>{});
  return work(std::integral_constant<int, 4>{});
}

/// Rows of one group's matrix; those behind its end are its last, whose sums nobody takes.
template <MatrixCodes kKind>
__device__ TileRows tile_rows(const ThinMatrix& matrix, int group, int low, int high) {
  const auto bytes = static_cast<uint32_t>(row_bytes(kKind, matrix.k));
  const auto blocks = static_cast<uint32_t>(row_scales(kKind, matrix.k));
  const auto n = static_cast<uint32_t>(matrix.n);
  const uint32_t low_row = min(static_cast<uint32_t>(low), n - 1);
  const uint32_t high_row = min(static_cast<uint32_t>(high), n - 1);
  const uint8_t* const codes = static_cast<const uint8_t*>(matrix.codes) +
                               uint64_t{n * bytes} * static_cast<uint32_t>(group) +
                               threadIdx.x % 4 * 16;
  const float* const scales = matrix.scales + uint64_t{n * blocks} * static_cast<uint32_t>(group);
  return {codes + low_row * bytes, codes + high_row * bytes, scales + low_row * blocks,
          scales + high_row * blocks, static_cast<int>(bytes / 16)};
}

/// What the two rows' sums are multiplied by.
template <MatrixCodes kKind>
__device__ float2 row_scales_of(const ThinMatrix& matrix, int group, int low, int high) {
  if constexpr (kKind != MatrixCodes::kInt8) return {1.0F, 1.0F};
  const float* const scales =
      matrix.scales + uint64_t{static_cast<uint32_t>(matrix.n)} * static_cast<uint32_t>(group);
  const auto last = static_cast<int>(matrix.n) - 1;
  return {__ldg(scales + min(low, last)), __ldg(scales + min(high, last))};
}

inline int64_t num_tiles(int64_t rows, int size) {
  return (rows + size - 1) / size;
}

inline CodeValues code_values(const ThinMatrix& matrix) {
  CodeValues values{};
  if (matrix.kind == MatrixCodes::kNf4) std::copy_n(matrix.values, 16, values.of);
  return values;
}

inline CodePlanes code_planes(const ThinMatrix& matrix) {
  CodePlanes planes{};
  for (int i = 0; matrix.kind == MatrixCodes::kNf4 && i < 16; ++i) {
    const __nv_bfloat16_raw value = __float2bfloat16_rn(matrix.values[i]);
    planes.low[i / 4] |= (value.x & 0xffU) << (i % 4 * 8);
    planes.high[i / 4] |= static_cast<uint32_t>(value.x >> 8) << (i % 4 * 8);
  }
  return planes;
}

/// Whether the rows of x that are this long fit beside the codes.
template <MatrixCodes kKind, int kSlots>
bool fits_narrow(int64_t k, bool single) {
  const LaunchDevice device = launch_device();
  return narrow_bytes<kKind, kSlots>(k, single, device.begins_early) <= device.shared_bytes;
}

/// A kernel of so many tiles: a block on each multiprocessor, at most.
template <MatrixCodes kKind, int kSlots, typename... Parameters>
cudaError_t shape_for_narrow(void (*kernel)(Parameters...), int64_t tiles, int64_t k, bool single,
                             LaunchShape& shape) {
  const LaunchDevice device = launch_device();
  const size_t bytes = narrow_bytes<kKind, kSlots>(k, single, device.begins_early);
  shape = {static_cast<unsigned>(std::min<int64_t>(tiles, device.processors)), kNarrowThreads,
           bytes};
  return cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize,
                              static_cast<int>(bytes));
}

/// A kernel of so many tiles: a block on each multiprocessor, at most.
template <MatrixCodes kKind, int kTiles, typename... Parameters>
cudaError_t shape_for_tiles(void (*kernel)(Parameters...), int64_t tiles, LaunchShape& shape) {
  const LaunchDevice device = launch_device();
  const size_t bytes = device.begins_early ? sizeof(BlockScratch<kKind, kTiles, true>)
                                           : sizeof(BlockScratch<kKind, kTiles, false>);
  shape = {static_cast<unsigned>(std::min<int64_t>(tiles, device.processors)), kThreads, bytes};
  return cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize,
                              static_cast<int>(bytes));
}

}  // namespace foregate::kernels
