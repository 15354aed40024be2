#include <algorithm>

#include "kernels/thin/launch.cuh"
#include "kernels/thin/tile.cuh"
#include "kernels/vector.cuh"

namespace foregate::kernels {
namespace {

/// The tiles of a matrix. Of a gated product a tile holds eight gate rows and the up rows that they
/// meet.
template <MatrixCodes kKind>
class LinearTiles {
 public:
  struct Tile {
    int low;  ///< this lane's rows
    int high;
  };

  __device__ LinearTiles(const ThinLinear& linear, int tiles)
      : ready(tiles), linear_(linear), n_(static_cast<int>(linear.weight.n)) {}

  const int ready;  ///< all: a matrix does not change

  __device__ int stride() const { return static_cast<int>(gridDim.x); }
  __device__ int begin() const { return ready; }
  __device__ Tile tile(int index) const {
    const int low =
        index * (gated() ? kTileRows / 2 : kTileRows) + static_cast<int>(threadIdx.x) % 32 / 4;
    return {low, low + (gated() ? n_ / 2 : kTileRows / 2)};
  }
  __device__ TileRows rows(const Tile& tile) const {
    return tile_rows<kKind>(linear_.weight, 0, tile.low, tile.high);
  }
  __device__ float2 scales(const Tile& tile) const {
    return row_scales_of<kKind>(linear_.weight, 0, tile.low, tile.high);
  }
  template <int kTiles>
  __device__ void inputs(const Tile& /*tile*/, const __nv_bfloat16* (&x)[kTiles]) const {
#pragma unroll
    for (int i = 0; i < kTiles; ++i) {
      const int row = i * kTokenTile + static_cast<int>(threadIdx.x) % 32 / 4;
      x[i] = static_cast<const __nv_bfloat16*>(linear_.x) +
             (row < linear_.rows ? row * linear_.weight.k : 0);
    }
  }
  __device__ void store(const Tile& tile, int token, float low_sum, float high_sum) const {
    if (token >= linear_.rows) return;
    const float times = linear_.row_scale == nullptr ? 1.0F : linear_.row_scale[token];
    if (gated()) {
      const int half = n_ / 2;
      if (tile.low >= half) return;
      static_cast<__nv_bfloat16*>(linear_.out)[int64_t{token} * half + tile.low] =
          __float2bfloat16_rn(silu(biased(low_sum, tile.low)) * biased(high_sum, tile.high) *
                              times);
      return;
    }
    put(token, tile.low, low_sum, times);
    put(token, tile.high, high_sum, times);
  }

 private:
  __device__ bool gated() const {
    return linear_.result == ThinResult::kSiluProduct;
  }
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

  const ThinLinear& linear_;
  const int n_;
};

template <MatrixCodes kKind, int kTiles>
__global__ void __launch_bounds__(kThreads) linear_kernel(const ThinLinear linear, int tiles) {
  extern __shared__ __align__(16) unsigned char memory[];
  const LinearTiles<kKind> work(linear, tiles);
  run_tiles<kKind, kTiles>(work, *reinterpret_cast<BlockScratch<kTiles>*>(memory));
}

}  // namespace

bool can_run_thin(const ThinMatrix& matrix) {
  const int64_t bytes = row_bytes(matrix.kind, matrix.k);
  // Places within a matrix are counted in 32 bits.
  return matrix.k > 0 && bytes % 16 == 0 && matrix.k % 8 == 0 &&
         matrix.n * bytes < int64_t{1} << 32 && reinterpret_cast<uintptr_t>(matrix.codes) % 16 == 0;
}

cudaError_t thin_linear(const ThinLinear& linear, cudaStream_t stream) {
  if (linear.rows < 1 || linear.rows > kThinRows) return cudaErrorInvalidValue;
  const bool halves = linear.result == ThinResult::kSiluProduct;
  const int64_t tiles = halves ? num_tiles(linear.weight.n / 2, kTileRows / 2)
                               : num_tiles(linear.weight.n, kTileRows);
  return with_codes(linear.weight.kind, [&](auto kind) {
    return with_tiles(linear.rows, [&](auto row_tiles) {
      const auto kernel = linear_kernel<kind.value, row_tiles.value>;
      return launch_early(kernel, tiles_shape(kernel, tiles, sizeof(BlockScratch<row_tiles.value>)),
                          stream, linear, static_cast<int>(tiles));
    });
  });
}

}  // namespace foregate::kernels
