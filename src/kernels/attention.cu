#include "kernels/attention.h"

#include <cmath>
#include <limits>

#include "kernels/gemm/ampere.cuh"
#include "kernels/gemm/quad.cuh"
#include "kernels/vector.cuh"

// A block takes 64 queries of one head of one text, 16 a warp, and walks over the keys before them
// in tiles of 64, keeping highest score and sum of each row (online softmax). While scores are
// computed the tile's values arrive, while those are added up the next keys. Blocks follow each
// other by text, then head: a row of qkv holds all heads, and heads taken one after the other over
// all texts would fetch every row once a head from memory, 256 bytes at a time.

namespace foregate::kernels {
namespace {

constexpr int kTile = 64;  // of queries, and of keys
constexpr int kWarps = 4;
constexpr int kThreads = kWarps * 32;
constexpr int kWarpRows = kTile / kWarps;
constexpr int kPack = 8;  // values of one 16-byte copy
constexpr int kKeyBlocks = kTile / 8;
static_assert(kWarpRows == 16);

struct Arguments {
  const void* qkv;
  const int32_t* cu_seqlens;
  void* out;
  int row_tiles;  // of the longest text
  int heads;
  int kv_heads;
  float scale;  // of scores, times log2(e)
};

/// Rows of one head in shared memory. The 16-byte packs of a row change places by row % 8, so that
/// 8 rows at one pack meet no bank twice.
template <typename T, int kHead>
struct Tile {
  alignas(256) T values[kTile * kHead];

  static constexpr int kRowPacks = kHead / kPack;

  __device__ T* at(int row, int column) {
    return values + (row * kRowPacks + (column ^ row % 8)) * kPack;
  }

  /// Address of pack 0 or 1 of a row; two packs further is address ^ 32, four packs address ^ 64.
  __device__ uint32_t address(int row, int column) {
    return ampere::shared_address(at(row, column));
  }

  /// Starts copying the `rows` rows that there are, `stride` values apart; clears the others.
  __device__ void start(const T* source, int stride, int rows) {
    constexpr int kPassRows = kThreads / kRowPacks;
    static_assert(kPassRows % 8 == 0 && kTile % kPassRows == 0);
    const int column = static_cast<int>(threadIdx.x) % kRowPacks;
    const int first = static_cast<int>(threadIdx.x) / kRowPacks;
    T* target = at(first, column);
    source += first * stride + column * kPack;
#pragma unroll
    for (int row = 0; row < kTile; row += kPassRows) {
      const bool present = row < rows - first;
      ampere::copy_16(target + row * kHead, source + (present ? row * stride : 0), present);
    }
  }
};

/// Copies of all threads have arrived, and everybody is done with what they overwrite next.
__device__ void arrive() {
  ampere::commit_copies();
  ampere::wait_for_copies<0>();
  __syncthreads();
}

__device__ float quad_max(float value) {
  value = fmaxf(value, __shfl_xor_sync(0xffffffffU, value, 1));
  return fmaxf(value, __shfl_xor_sync(0xffffffffU, value, 2));
}

__device__ float quad_sum(float value) {
  value += __shfl_xor_sync(0xffffffffU, value, 1);
  return value + __shfl_xor_sync(0xffffffffU, value, 2);
}

/// A warp's 16 rows, of which a lane holds two: lane / 4 and 8 further. Sums lie as the tensor
/// cores leave them: [block of 8 columns][row 0: two columns, row 1: two columns].
template <typename T, int kHead>
class WarpRows {
 public:
  __device__ void take_queries(Tile<T, kHead>& tile) {
    const uint32_t address = tile.address(warp() * kWarpRows + lane() % 16, lane() / 16);
#pragma unroll
    for (int step = 0; step < kHead / 16; ++step) {
      ampere::load_matrices(queries_[step], address ^ step * kStepBytes);
    }
  }

  /// Scores of a tile of keys, turned into weights; in the diagonal tile of keys up to the query's.
  __device__ void weigh(Tile<T, kHead>& keys, float scale, bool diagonal) {
    const int pairs = pairs_of(diagonal);
    const uint32_t address = keys.address(lane() / 16 * 8 + lane() % 8, lane() / 8 % 2);
#pragma unroll
    for (auto& block : scores_) block[0] = block[1] = block[2] = block[3] = 0;
#pragma unroll
    for (int pair = 0; pair < kKeyBlocks / 2; ++pair) {
      if (pair >= pairs) break;
#pragma unroll
      for (int step = 0; step < kHead / 16; ++step) {
        uint32_t key[4];
        ampere::load_matrices(key, (address ^ step * kStepBytes) + pair * kPairBytes);
        ampere::multiply_add<T>(scores_[2 * pair], queries_[step], key[0], key[1]);
        ampere::multiply_add<T>(scores_[2 * pair + 1], queries_[step], key[2], key[3]);
      }
    }
    if (diagonal) hide_later_keys();
    soften(scale);
  }

  __device__ void add_values(Tile<T, kHead>& values, bool diagonal) {
    const int pairs = pairs_of(diagonal);
    const uint32_t address = values.address(lane() % 16, lane() / 16);
#pragma unroll
    for (int pair = 0; pair < kKeyBlocks / 2; ++pair) {
      if (pair >= pairs) break;
      const float(&low)[4] = scores_[2 * pair];
      const float(&high)[4] = scores_[2 * pair + 1];
      const uint32_t weights[4] = {pack<T>(low[0], low[1]), pack<T>(low[2], low[3]),
                                   pack<T>(high[0], high[1]), pack<T>(high[2], high[3])};
#pragma unroll
      for (int columns = 0; columns < kHead / 16; ++columns) {
        uint32_t value[4];
        ampere::load_transposed(value, (address ^ columns * kStepBytes) + pair * kPairBytes);
        ampere::multiply_add<T>(sums_[2 * columns], weights, value[0], value[1]);
        ampere::multiply_add<T>(sums_[2 * columns + 1], weights, value[2], value[3]);
      }
    }
  }

  /// Writes the rows of the tile of which there are so many.
  __device__ void write(T* out, int64_t stride, int rows) {
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      const int row = warp() * kWarpRows + lane() / 4 + half * 8;
      const float share = 1.0F / quad_sum(totals_[half]);
#pragma unroll
      for (int first = 0; first < kHead / 8; first += 4) {
        uint32_t v[4];
#pragma unroll
        for (int j = 0; j < 4; ++j) {
          const float(&sum)[4] = sums_[first + j];
          v[j] = pack<T>(sum[2 * half] * share, sum[2 * half + 1] * share);
        }
        transpose_quad(v);
        if (row < rows) {
          *reinterpret_cast<uint4*>(out + row * stride + (first + lane() % 4) * kPack) =
              make_uint4(v[0], v[1], v[2], v[3]);
        }
      }
    }
  }

 private:
  static constexpr int kStepBytes = 16 * static_cast<int>(sizeof(T));          // 16 columns
  static constexpr int kPairBytes = 16 * kHead * static_cast<int>(sizeof(T));  // 16 rows

  __device__ static int lane() {
    return static_cast<int>(threadIdx.x) % 32;
  }
  __device__ static int warp() {
    return static_cast<int>(threadIdx.x) / 32;
  }
  /// Of 16 keys, those that any of the warp's queries may see.
  __device__ static int pairs_of(bool diagonal) {
    return diagonal ? warp() + 1 : kKeyBlocks / 2;
  }

  __device__ void hide_later_keys() {
#pragma unroll
    for (int block = 0; block < kKeyBlocks; ++block) {
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        const int key = block * 8 + lane() % 4 * 2 + i % 2;
        const int query = warp() * kWarpRows + lane() / 4 + i / 2 * 8;
        if (key > query) scores_[block][i] = -INFINITY;
      }
    }
  }

  __device__ void soften(float scale) {
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      float highest = highest_[half];
#pragma unroll
      for (const auto& block : scores_) {
        highest = fmaxf(highest, fmaxf(block[2 * half], block[2 * half + 1]));
      }
      highest = quad_max(highest);
      const float shrink = exp2f((highest_[half] - highest) * scale);
      highest_[half] = highest;
      totals_[half] *= shrink;
#pragma unroll
      for (auto& block : scores_) {
#pragma unroll
        for (int i = 2 * half; i < 2 * half + 2; ++i) {
          block[i] = exp2f(fmaf(block[i], scale, -highest * scale));
          totals_[half] += block[i];
        }
      }
#pragma unroll
      for (auto& block : sums_) {
        block[2 * half] *= shrink;
        block[2 * half + 1] *= shrink;
      }
    }
  }

  uint32_t queries_[kHead / 16][4];
  float scores_[kKeyBlocks][4];
  float sums_[kHead / 8][4] = {};
  float highest_[2] = {-INFINITY, -INFINITY};
  float totals_[2] = {0, 0};  // of this lane's columns
};

template <typename T, int kHead>
__global__ void __launch_bounds__(kThreads, 3)
    attention_kernel(const __grid_constant__ Arguments arguments) {
  __shared__ Tile<T, kHead> keys;
  __shared__ Tile<T, kHead> values;
  const int row_block = static_cast<int>(blockIdx.x) % arguments.row_tiles;
  const int pair = static_cast<int>(blockIdx.x) / arguments.row_tiles;
  const int head = pair % arguments.heads;
  const int text = pair / arguments.heads;
  const int first = arguments.cu_seqlens[text];
  const int tokens = arguments.cu_seqlens[text + 1] - first;
  // Those with the most keys first.
  const int tile = (tokens + kTile - 1) / kTile - 1 - row_block;
  if (tile < 0) return;

  const int stride = (arguments.heads + 2 * arguments.kv_heads) * kHead;
  const int tile_stride = kTile * stride;
  const T* text_rows = static_cast<const T*>(arguments.qkv) + int64_t{first} * stride;
  const int kv_head = head / (arguments.heads / arguments.kv_heads);
  const T* queries = text_rows + int64_t{tile} * tile_stride + head * kHead;
  const T* key_rows = text_rows + (arguments.heads + kv_head) * kHead;
  const T* value_rows = key_rows + arguments.kv_heads * kHead;
  const int rows = tokens - tile * kTile;

  keys.start(key_rows, stride, tokens);
  values.start(queries, stride, rows);
  arrive();
  WarpRows<T, kHead> warp_rows;
  warp_rows.take_queries(values);
  __syncthreads();
  for (int block = 0; block <= tile; ++block) {
    values.start(value_rows, stride, tokens - block * kTile);
    value_rows += tile_stride;
    warp_rows.weigh(keys, arguments.scale, block == tile);
    arrive();
    if (block < tile) {
      key_rows += tile_stride;
      keys.start(key_rows, stride, tokens - (block + 1) * kTile);
    }
    warp_rows.add_values(values, block == tile);
    if (block < tile) arrive();
  }
  const int64_t out_stride = int64_t{arguments.heads} * kHead;
  warp_rows.write(
      static_cast<T*>(arguments.out) + (first + tile * kTile) * out_stride + head * kHead,
      out_stride, rows);
}

int64_t num_blocks(const PackedAttention& problem) {
  return problem.texts * problem.heads * ((problem.longest + kTile - 1) / kTile);
}

template <typename T, int kHead>
cudaError_t launch(const PackedAttention& problem, cudaStream_t stream) {
  const Arguments arguments{problem.qkv,
                            problem.cu_seqlens,
                            problem.out,
                            static_cast<int>((problem.longest + kTile - 1) / kTile),
                            static_cast<int>(problem.heads),
                            static_cast<int>(problem.kv_heads),
                            static_cast<float>(1.0 / (std::sqrt(kHead) * std::log(2.0)))};
  attention_kernel<T, kHead>
      <<<static_cast<unsigned>(num_blocks(problem)), kThreads, 0, stream>>>(arguments);
  return cudaGetLastError();
}

template <typename T>
cudaError_t launch_of(const PackedAttention& problem, cudaStream_t stream) {
  return problem.head_dim == 128 ? launch<T, 128>(problem, stream) : launch<T, 64>(problem, stream);
}

}  // namespace

bool can_run(const PackedAttention& problem, DType dtype) {
  return dtype != DType::kFloat32 && (problem.head_dim == 64 || problem.head_dim == 128) &&
         problem.kv_heads > 0 && problem.heads % problem.kv_heads == 0 &&
         is_wide<__half>(problem.qkv, problem.head_dim) &&
         is_wide<__half>(problem.out, problem.head_dim) &&
         num_blocks(problem) <= std::numeric_limits<int32_t>::max();
}

cudaError_t packed_attention(const PackedAttention& problem, DType dtype, cudaStream_t stream) {
  if (num_blocks(problem) == 0) return cudaSuccess;
  if (!can_run(problem, dtype)) return cudaErrorInvalidValue;
  return dtype == DType::kBFloat16 ? launch_of<__nv_bfloat16>(problem, stream)
                                   : launch_of<__half>(problem, stream);
}

}  // namespace foregate::kernels
