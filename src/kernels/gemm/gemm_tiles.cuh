#pragma once

#include <cuda_bf16.h>

#include <cstdint>

#include "kernels/gemm/grouped_gemm.h"
#include "kernels/gemm/quad.cuh"
#include "kernels/silu.cuh"

// What the grouped products of both generations share: which block computes what, and how sums
// leave the registers.

namespace foregate::kernels {

/// A product as kernels take it. The rows of `weight` that make a tile come in two halves: gate and
/// up rows of the same columns with silu_product, neighbours without.
struct GemmArguments {
  const __nv_bfloat16* x;
  const int32_t* x_rows;
  const int32_t* ends;
  const int32_t* matrices;
  const float* row_scale;
  const __nv_bfloat16* bias;
  const int64_t* positions;
  const __nv_bfloat16* cos;
  const __nv_bfloat16* sin;
  __nv_bfloat16* out;
  int rows;
  int groups;
  int n;
  int k;
  int rotated_columns;
};

inline GemmArguments gemm_arguments(const GroupedGemm& problem) {
  return {static_cast<const __nv_bfloat16*>(problem.x),
          problem.x_rows,
          problem.ends,
          problem.matrices,
          problem.row_scale,
          static_cast<const __nv_bfloat16*>(problem.bias),
          problem.rotation.positions,
          static_cast<const __nv_bfloat16*>(problem.rotation.cos),
          static_cast<const __nv_bfloat16*>(problem.rotation.sin),
          static_cast<__nv_bfloat16*>(problem.out),
          static_cast<int>(problem.rows),
          static_cast<int>(problem.groups),
          static_cast<int>(problem.n),
          static_cast<int>(problem.k),
          static_cast<int>(problem.rotation.columns)};
}

struct GemmTile {
  int matrix;    ///< of the stack
  int row;       ///< first row
  int end;       ///< end of the group's rows
  int column;    ///< first output column
  int weight_a;  ///< first weight row of the first half, within the group
  int weight_b;  ///< of the second half
};

/// Counts off the tiles of all groups, kRows x 2 kHalf sums each, the same way in every block:
/// group by group, in bands of rows that stay in the L2 cache while the weights pass by.
template <int kRows, int kHalf, bool kSilu>
class TileWalk {
 public:
  __device__ explicit TileWalk(const GemmArguments& arguments)
      : arguments_(arguments),
        outputs_(kSilu ? arguments.n / 2 : arguments.n),
        column_blocks_((outputs_ + kColumns - 1) / kColumns) {
    end_ = group_end();
    matrix_ = matrix();
  }

  /// Tile `index`, rising from call to call; false behind the last.
  __device__ bool find(int index, GemmTile& tile) {
    int row_blocks = 0;
    for (;; advance(row_blocks)) {
      if (group_ >= arguments_.groups) return false;
      row_blocks = matrix_ < 0 ? 0 : (end_ - first_row_ + kRows - 1) / kRows;
      if (index < first_tile_ + row_blocks * column_blocks_) break;
    }
    const int bands = (row_blocks + kBand - 1) / kBand;
    const int band_blocks = (row_blocks + bands - 1) / bands;
    const int band = (index - first_tile_) / (band_blocks * column_blocks_);
    const int in_band = index - first_tile_ - band * band_blocks * column_blocks_;
    const int blocks = min(band_blocks, row_blocks - band * band_blocks);
    const int column_block = in_band / blocks;
    tile.matrix = matrix_;
    tile.row = first_row_ + (band * band_blocks + in_band - column_block * blocks) * kRows;
    tile.end = end_;
    tile.column = column_block * kColumns;
    tile.weight_a = tile.column;
    tile.weight_b = tile.column + (kSilu ? outputs_ : kHalf);
    return true;
  }

  __device__ int outputs() const { return outputs_; }

 private:
  static constexpr int kColumns = kSilu ? kHalf : 2 * kHalf;
  static constexpr int kBand = 16;

  __device__ int group_end() const {
    return arguments_.ends == nullptr ? arguments_.rows : arguments_.ends[group_];
  }
  __device__ int matrix() const {
    return arguments_.matrices == nullptr ? group_ : arguments_.matrices[group_];
  }
  __device__ void advance(int row_blocks) {
    first_tile_ += row_blocks * column_blocks_;
    first_row_ = end_;
    if (++group_ >= arguments_.groups) return;
    end_ = group_end();
    matrix_ = matrix();
  }

  const GemmArguments& arguments_;
  int outputs_;
  int column_blocks_;
  int group_ = 0;
  int first_row_ = 0;
  int end_ = 0;
  int matrix_ = 0;
  int first_tile_ = 0;
};

/// Writes columns of one output row that a quad of lanes holds. All lanes of a warp call it.
class RowWriter {
 public:
  __device__ RowWriter(const GemmArguments& arguments, int row, int end, int outputs)
      : place_(arguments.out + int64_t{row} * outputs), inside_(row < end), outputs_(outputs) {}

  /// v[j]: the lane's two columns of block j of four blocks of 8 from `first_column` on.
  __device__ void write(uint32_t (&v)[4], int first_column) const {
    transpose_quad(v);
    const int column = first_column + static_cast<int>(threadIdx.x) % 4 * 8;
    if (inside_ && column < outputs_) {
      *reinterpret_cast<uint4*>(place_ + column) = make_uint4(v[0], v[1], v[2], v[3]);
    }
  }
  __device__ bool inside() const { return inside_; }

 private:
  __nv_bfloat16* place_;
  bool inside_;
  int outputs_;
};

/// Writes the sums of one row that a quad of lanes holds: sum(half, j) are the lane's two columns
/// of block j of the tile's first or second half. All lanes of a warp call it.
template <int kBlocks, bool kSilu, typename Sum>
__device__ void store_row(const GemmArguments& arguments, int row, int end, int first_column_a,
                          int first_column_b, int outputs, const Sum& sum) {
  static_assert(kBlocks % 4 == 0);
  const RowWriter writer(arguments, row, end, outputs);
  float scale = 1.0F;
  if (kSilu && writer.inside() && arguments.row_scale != nullptr) scale = arguments.row_scale[row];
#pragma unroll
  for (int first = 0; first < kBlocks; first += 4) {
    uint32_t v[4];
    if constexpr (kSilu) {
#pragma unroll
      for (int j = 0; j < 4; ++j) {
        const float2 gate = sum(0, first + j);
        const float2 up = sum(1, first + j);
        v[j] = pack<__nv_bfloat16>(silu(gate.x) * up.x * scale, silu(gate.y) * up.y * scale);
      }
      writer.write(v, first_column_a + first * 8);
    } else {
#pragma unroll
      for (int half = 0; half < 2; ++half) {
#pragma unroll
        for (int j = 0; j < 4; ++j) {
          const float2 value = sum(half, first + j);
          v[j] = pack<__nv_bfloat16>(value.x, value.y);
        }
        writer.write(v, (half == 0 ? first_column_a : first_column_b) + first * 8);
      }
    }
  }
}

}  // namespace foregate::kernels
