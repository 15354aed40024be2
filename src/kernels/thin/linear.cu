#include <algorithm>

#include "kernels/rope.cuh"
#include "kernels/thin/launch.cuh"
#include "kernels/thin/narrow.cuh"
#include "kernels/thin/tile.cuh"
#include "kernels/vector.cuh"

namespace foregate::kernels {
namespace {

/// What a tile's two rows of a lane have to do with each other.
enum class Rows { kApart, kGateAndUp, kHalvesOfHeads };

Rows rows_of(const ThinLinear& linear) {
  if (linear.result == ThinResult::kSiluProduct) return Rows::kGateAndUp;
  return linear.rotation.positions == nullptr ? Rows::kApart : Rows::kHalvesOfHeads;
}

/// The tiles of a matrix. Of a gated product a tile holds eight gate rows and the up rows that they
/// meet, of one that is rotated eight rows of the first half of a head and those that they turn
/// with.
template <MatrixCodes kKind, Rows kRows>
class LinearTiles {
 public:
  struct Tile {
    int low;  ///< this lane's rows
    int high;
    int group;
  };

  static constexpr int kAnyGroup = 0;  ///< all meet the same rows

  __device__ LinearTiles(const ThinLinear& linear, int tiles)
      : linear_(linear),
        n_(static_cast<int>(linear.weight.n)),
        range_(part_of(tiles, static_cast<int>(blockIdx.x), static_cast<int>(gridDim.x))) {}

  __device__ const TileRange& early() const { return range_; }  // a matrix does not change
  __device__ TileRange late() const { return {}; }
  __device__ const ThinNorm& norm() const { return linear_.norm; }
  __device__ const __nv_bfloat16* x() const { return static_cast<const __nv_bfloat16*>(linear_.x); }
  __device__ int columns() const { return static_cast<int>(linear_.weight.k); }
  __device__ Tile tile(int index) const {
    const int lane_row = static_cast<int>(threadIdx.x) % 32 / 4;
    if constexpr (kRows == Rows::kApart) {
      const int low = index * kTileRows + lane_row;
      return {low, low + kTileRows / 2, 0};
    }
    const int first = index * (kTileRows / 2) + lane_row;
    if constexpr (kRows == Rows::kGateAndUp) return {first, first + n_ / 2, 0};
    const int half = static_cast<int>(linear_.rotation.head_dim) / 2;
    const int low = first / half * 2 * half + first % half;
    return {low, low + half, 0};
  }
  __device__ TileRows rows(const Tile& tile) const {
    return tile_rows<kKind>(linear_.weight, 0, tile.low, tile.high);
  }
  __device__ float2 scales(const Tile& tile) const {
    return row_scales_of<kKind>(linear_.weight, 0, tile.low, tile.high);
  }
  template <int kTiles>
  __device__ void inputs(const Tile& /*tile*/, const __nv_bfloat16* (&rows)[kTiles]) const {
#pragma unroll
    for (int i = 0; i < kTiles; ++i) {
      const int row = i * kTokenTile + static_cast<int>(threadIdx.x) % 32 / 4;
      rows[i] = x() + (row < linear_.rows ? row * linear_.weight.k : 0);
    }
  }
  __device__ bool is_single() const {
    return linear_.rows == 1;
  }
  __device__ int64_t k(const Tile& /*tile*/) const {
    return linear_.weight.k;
  }
  __device__ int count(const Tile& /*tile*/) const {
    return static_cast<int>(linear_.rows);
  }
  __device__ const __nv_bfloat16* row(const Tile& /*tile*/, int i) const {
    return x() + i * linear_.weight.k;
  }
  __device__ int end_of_group(const Tile& /*tile*/, int /*index*/) const {
    return range_.end;
  }
  __device__ void store(const Tile& tile, int token, float low_sum, float high_sum) const {
    if (token >= linear_.rows) return;
    const float times = linear_.row_scale == nullptr ? 1.0F : linear_.row_scale[token];
    if constexpr (kRows == Rows::kGateAndUp) {
      const int half = n_ / 2;
      if (tile.low >= half) return;
      static_cast<__nv_bfloat16*>(linear_.out)[int64_t{token} * half + tile.low] =
          __float2bfloat16_rn(silu(biased(low_sum, tile.low)) * biased(high_sum, tile.high) *
                              times);
    } else if constexpr (kRows == Rows::kHalvesOfHeads) {
      if (tile.high < n_) put_rotated(tile, token, low_sum * times, high_sum * times);
    } else {
      put(token, tile.low, low_sum, times);
      put(token, tile.high, high_sum, times);
    }
  }

 private:
  __device__ float biased(float sum, int row) const {
    const auto* const bias = static_cast<const __nv_bfloat16*>(linear_.bias);
    return bias == nullptr ? sum : sum + __bfloat162float(bias[row]);
  }
  __device__ void put(int token, int row, float sum, float times) const {
    if (row >= n_) return;
    const float value = biased(sum, row) * times;
    const int64_t place = int64_t{token} * n_ + row;
    if (linear_.result == ThinResult::kFloat) {
      static_cast<float*>(linear_.out)[place] = value;
      return;
    }
    auto* const out = static_cast<__nv_bfloat16*>(linear_.out);
    const float before = linear_.result == ThinResult::kAdd ? __bfloat162float(out[place]) : 0.0F;
    out[place] = __float2bfloat16_rn(before + value);
  }
  __device__ void put_rotated(const Tile& tile, int token, float low_sum, float high_sum) const {
    const ThinRotation& rotation = linear_.rotation;
    __nv_bfloat16 low = __float2bfloat16_rn(biased(low_sum, tile.low));
    __nv_bfloat16 high = __float2bfloat16_rn(biased(high_sum, tile.high));
    if (tile.low < rotation.heads * rotation.head_dim) {
      const int half = tile.high - tile.low;
      const int64_t angle = rotation.positions[token] * half + tile.low % (2 * half);
      rotate(low, high, static_cast<const __nv_bfloat16*>(rotation.cos)[angle],
             static_cast<const __nv_bfloat16*>(rotation.sin)[angle]);
    }
    auto* const out = static_cast<__nv_bfloat16*>(linear_.out) + int64_t{token} * n_;
    out[tile.low] = low;
    out[tile.high] = high;
  }

  const ThinLinear& linear_;
  const int n_;
  const TileRange range_;
};

template <MatrixCodes kKind, int kTiles, Rows kRows>
__global__ void __launch_bounds__(kThreads, 1)
    linear_kernel(const __grid_constant__ ThinLinear linear,
                  const __grid_constant__ CodeValues values, int tiles) {
  extern __shared__ __align__(16) unsigned char memory[];
  const LinearTiles<kKind, kRows> work(linear, tiles);
  run_tiles<kKind, kTiles>(work, *reinterpret_cast<BlockScratch<kKind, kTiles>*>(memory), values);
}

template <MatrixCodes kKind, int kTeam, Rows kRows>
__global__ void __launch_bounds__(kNarrowThreads, 1)
    narrow_kernel(const __grid_constant__ ThinLinear linear,
                  const __grid_constant__ CodePlanes planes, int tiles) {
  extern __shared__ __align__(16) unsigned char memory[];
  const LinearTiles<kKind, kRows> work(linear, tiles);
  run_narrow<kKind, kTeam, kNarrowSlots>(work, memory, planes);
}

template <MatrixCodes kKind, int kTeam, Rows kRows>
cudaError_t launch_narrow(const ThinLinear& linear, int64_t tiles, cudaStream_t stream) {
  const auto kernel = narrow_kernel<kKind, kTeam, kRows>;
  LaunchShape shape;
  const cudaError_t error = shape_for_narrow<kKind, kNarrowSlots>(kernel, tiles, linear.weight.k,
                                                                  linear.rows == 1, shape);
  if (error != cudaSuccess) return error;
  return launch_early(kernel, shape, stream, linear, code_planes(linear.weight),
                      static_cast<int>(tiles));
}

template <MatrixCodes kKind, int kTiles, Rows kRows>
cudaError_t launch(const ThinLinear& linear, cudaStream_t stream) {
  const auto kernel = linear_kernel<kKind, kTiles, kRows>;
  const int64_t tiles = kRows == Rows::kGateAndUp ? num_tiles(linear.weight.n / 2, kTileRows / 2)
                                                  : num_tiles(linear.weight.n, kTileRows);
  if (kTiles == 1 && fits_narrow<kKind, kNarrowSlots>(linear.weight.k, linear.rows == 1)) {
    const int64_t each = tiles / launch_device().processors;
    if (each >= 2) return launch_narrow<kKind, 4, kRows>(linear, tiles, stream);
    return launch_narrow<kKind, kNarrowWarps, kRows>(linear, tiles, stream);
  }
  LaunchShape shape;
  const cudaError_t error = shape_for_tiles<kKind, kTiles>(kernel, tiles, shape);
  if (error != cudaSuccess) return error;
  return launch_early(kernel, shape, stream, linear, code_values(linear.weight),
                      static_cast<int>(tiles));
}

bool are_possible(const ThinLinear& linear) {
  const ThinRotation& rotation = linear.rotation;
  const bool turns = rotation.positions != nullptr;
  return linear.rows >= 1 && linear.rows <= kThinRows &&
         (linear.norm.weight == nullptr ||
          (linear.rows == 1 && can_normalize_thin(linear.weight))) &&
         (!turns || (linear.result == ThinResult::kStore && rotation.head_dim % 16 == 0 &&
                     linear.weight.n % rotation.head_dim == 0));
}

}  // namespace

bool can_run_thin(const ThinMatrix& matrix) {
  const int64_t bytes = row_bytes(matrix.kind, matrix.k);
  // Places within a matrix are counted in 32 bits.
  return matrix.k > 0 && bytes % 16 == 0 && matrix.k % 8 == 0 &&
         matrix.n * bytes < int64_t{1} << 32 && reinterpret_cast<uintptr_t>(matrix.codes) % 16 == 0;
}

bool can_normalize_thin(const ThinMatrix& matrix) {
  return can_run_thin(matrix) && keeps_inputs(matrix.kind, matrix.k);
}

cudaError_t thin_linear(const ThinLinear& linear, cudaStream_t stream) {
  if (!are_possible(linear)) return cudaErrorInvalidValue;
  return with_codes(linear.weight.kind, [&](auto kind) {
    return with_tiles(linear.rows, [&](auto tiles) {
      switch (rows_of(linear)) {
        case Rows::kApart:
          return launch<kind.value, tiles.value, Rows::kApart>(linear, stream);
        case Rows::kGateAndUp:
          return launch<kind.value, tiles.value, Rows::kGateAndUp>(linear, stream);
        case Rows::kHalvesOfHeads:
          return launch<kind.value, tiles.value, Rows::kHalvesOfHeads>(linear, stream);
      }
      return cudaErrorInvalidValue;
    });
  });
}

}  // namespace foregate::kernels
