#pragma once

#include <cuda_bf16.h>

#include <cstdint>

#include "kernels/dependent_launch.cuh"
#include "kernels/thin/codes.cuh"

namespace foregate::kernels {

// A tile is 16 rows of a matrix. A block takes one after another; its warps share the columns, so
// that long runs of a row are fetched at once, and add up what they have in the order of their
// numbers. While a tile is multiplied the codes of the next are on their way.

inline constexpr int kWarps = 8;
inline constexpr int kThreads = 32 * kWarps;
inline constexpr int kTileRows = 16;
inline constexpr int kChunkBytes = 64;  ///< of a row, that four lanes read at once
inline constexpr int kTokenTile = 8;    ///< rows of x that one instruction takes

/// NF4 (Dettmers et al. 2023).
__constant__ const float kNf4Table[16] = {
    -1.0F,
    -0.6961928009986877F,
    -0.5250730514526367F,
    -0.39491748809814453F,
    -0.28444138169288635F,
    -0.18477343022823334F,
    -0.09105003625154495F,
    0.0F,
    0.07958029955625534F,
    0.16093020141124725F,
    0.24611230194568634F,
    0.33791524171829224F,
    0.44070982933044434F,
    0.5626170039176941F,
    0.7229568362236023F,
    1.0F,
};

/// The 16 rows of a tile, as one lane sees them: its row of the first eight and its row of the
/// last.
struct TileRows {
  const uint8_t* low;  ///< this lane's pieces are every fourth from here
  const uint8_t* high;
  const float* low_scales;  ///< by the block, if codes are scaled so
  const float* high_scales;
  int pieces;  ///< of 16 bytes in a row

  __device__ int chunks() const { return (pieces + 3) / 4; }
};

/// Sums of a lane: of rows g and g + 8 with rows 2t and 2t + 1 of each tile of x.
template <int kTiles>
struct TileSums {
  float of[kTiles][4] = {};
};

__device__ inline void multiply_add(float (&sum)[4], const Pair (&low)[2], const Pair (&high)[2],
                                    const Pair x0, const Pair x1) {
  asm("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, "
      "{%8, %9}, {%0, %1, %2, %3};"
      : "+f"(sum[0]), "+f"(sum[1]), "+f"(sum[2]), "+f"(sum[3])
      : "r"(low[0]), "r"(high[0]), "r"(low[1]), "r"(high[1]), "r"(x0), "r"(x1));
}

__host__ __device__ constexpr int num_chunks(int64_t bytes) {
  return static_cast<int>((bytes + kChunkBytes - 1) / kChunkBytes);
}

/// Chunks that a warp has on the way.
inline constexpr int kOnTheWay = 4;

/// Codes of one warp on their way through shared memory, in any order of tiles. A lane takes what
/// it has fetched itself, so nobody waits for another.
class CodeRing {
 public:
  static constexpr int kSlotBytes = 2 * 32 * 16;  // low codes of all lanes, then high ones
  static constexpr int kBytes = kOnTheWay * kSlotBytes;

  __device__ explicit CodeRing(void* memory)
      : place_(static_cast<uint32_t>(__cvta_generic_to_shared(memory)) + threadIdx.x % 32 * 16) {}

  /// Starts fetching a chunk of a tile's rows behind what was fetched before; what lies behind the
  /// rows' ends is zeros.
  __device__ void fetch(const TileRows& rows, int chunk) {
    const int bytes = 4 * chunk + static_cast<int>(threadIdx.x) % 4 < rows.pieces ? 16 : 0;
    copy(place_ + filled_, rows.low + chunk * kChunkBytes, bytes);
    copy(place_ + filled_ + kSlotBytes / 2, rows.high + chunk * kChunkBytes, bytes);
  }
  /// Behind each fetch, and where there was none: the next goes to the next slot.
  __device__ void commit() {
    asm volatile("cp.async.commit_group;" ::: "memory");
    filled_ = next_slot(filled_);
  }
  /// Waits for the oldest chunk and takes it.
  __device__ void take(uint4& low, uint4& high) {
    asm volatile("cp.async.wait_group %0;" ::"n"(kOnTheWay - 1) : "memory");
    low = load(place_ + taken_);
    high = load(place_ + taken_ + kSlotBytes / 2);
    taken_ = next_slot(taken_);
  }

 private:
  __device__ static uint32_t next_slot(uint32_t offset) {
    static_assert((kBytes & (kBytes - 1)) == 0);
    return (offset + kSlotBytes) & (kBytes - 1);
  }
  __device__ static void copy(uint32_t to, const uint8_t* from, int bytes) {
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(to), "l"(from), "r"(bytes)
                 : "memory");
  }
  __device__ static uint4 load(uint32_t from) {
    uint4 value;
    asm volatile("ld.shared.v4.u32 {%0, %1, %2, %3}, [%4];"
                 : "=r"(value.x), "=r"(value.y), "=r"(value.z), "=r"(value.w)
                 : "r"(from)
                 : "memory");
    return value;
  }

  uint32_t place_;
  uint32_t filled_ = 0;
  uint32_t taken_ = 0;
};

/// What a chunk of codes meets: this lane's part of its row of each tile of x.
template <MatrixCodes kKind, int kTiles>
struct Inputs {
  uint4 of[kTiles][Piece<kKind>::kValues / 8];
};

/// `x`: this lane's row of each tile of x; where there is none, any row: nobody takes its sums.
template <MatrixCodes kKind, int kTiles>
__device__ Inputs<kKind, kTiles> load_inputs(const __nv_bfloat16* const (&x)[kTiles],
                                             const TileRows& rows, int chunk) {
  const int piece = 4 * chunk + static_cast<int>(threadIdx.x) % 4;
  const int column =
      piece < rows.pieces ? piece * Piece<kKind>::kValues : 0;  // zeros meet anything
  Inputs<kKind, kTiles> inputs;
#pragma unroll
  for (int tile = 0; tile < kTiles; ++tile) {
#pragma unroll
    for (int i = 0; i < Piece<kKind>::kValues / 8; ++i) {
      inputs.of[tile][i] = *reinterpret_cast<const uint4*>(x[tile] + column + 8 * i);
    }
  }
  return inputs;
}

/// Adds the products of a chunk to the sums.
template <MatrixCodes kKind, int kTiles>
__device__ void multiply_chunk(TileSums<kTiles>& sums, const TileRows& rows, int chunk,
                               const uint4& low_codes, const uint4& high_codes,
                               const Inputs<kKind, kTiles>& inputs, const float* table) {
  using Kind = Piece<kKind>;
  const int piece = 4 * chunk + static_cast<int>(threadIdx.x) % 4;
  const bool here = piece < rows.pieces;
  const auto low_scales = Kind::scales(rows.low_scales, piece * Kind::kValues, here);
  const auto high_scales = Kind::scales(rows.high_scales, piece * Kind::kValues, here);
#pragma unroll
  for (int step = 0; step < Kind::kValues / 4; ++step) {
    Pair low[2];
    Pair high[2];
    Kind::decode(low_codes, step, low_scales, table, low);
    Kind::decode(high_codes, step, high_scales, table, high);
#pragma unroll
    for (int tile = 0; tile < kTiles; ++tile) {
      const uint4& eight = inputs.of[tile][step / 2];
      multiply_add(sums.of[tile], low, high, step % 2 == 0 ? eight.x : eight.z,
                   step % 2 == 0 ? eight.y : eight.w);
    }
  }
}

/// Puts what codes stand for into shared memory, before they are decoded.
template <MatrixCodes kKind>
__device__ void fill_table(float* table) {
  if constexpr (kKind == MatrixCodes::kNf4) {
    if (threadIdx.x < 16) table[threadIdx.x] = kNf4Table[threadIdx.x];
    __syncthreads();
  }
}

/// Adds up one tile of x of all warps' sums, of this lane's rows, in the order of the warps.
template <int kTiles, int kBlockWarps>
__device__ float4 sum_of_warps(const float4 (&sums)[kBlockWarps][kTiles][32], int tile) {
  float4 total{};
  for (const auto& of_warp : sums) {
    const float4 part = of_warp[tile][threadIdx.x % 32];
    total.x += part.x;
    total.y += part.y;
    total.z += part.z;
    total.w += part.w;
  }
  return total;
}

/// Shared memory of a block that takes tiles.
template <int kTiles>
struct BlockScratch {
  alignas(16) unsigned char rings[kWarps][CodeRing::kBytes];
  float4 sums[2][kWarps][kTiles][32];  // of two tiles in turn, so that one barrier a tile is enough
  float table[16];
};

/// Multiplies the tiles blockIdx.x, blockIdx.x + work.stride(), ... of some work:
///
/// work.ready            tiles before this one may be fetched before wait_for_previous()
/// work.begin()          called behind that: how many tiles there are
/// work.tile(index)      what the others take
/// work.rows(tile)       the TileRows of this lane
/// work.inputs(tile, x)  this lane's rows of x
/// work.store(tile, token, low sum, high sum), scaled by work.scales(tile)
template <MatrixCodes kKind, int kTiles, typename Work>
__device__ void run_tiles(const Work& work, BlockScratch<kTiles>& scratch) {
  const int warp = static_cast<int>(threadIdx.x) / 32;
  const int lane = static_cast<int>(threadIdx.x) % 32;
  const int stride = work.stride();
  CodeRing ring(scratch.rings[warp]);
  fill_table<kKind>(scratch.table);

  // What is fetched next.
  int next_tile = static_cast<int>(blockIdx.x);
  int next_chunk = warp;
  int known = work.ready;
  TileRows next{};
  int next_chunks = 0;
  const auto look_up = [&] {
    if (next_tile >= known) return;
    next = work.rows(work.tile(next_tile));
    next_chunks = next.chunks();
  };
  look_up();
  // A chunk, if there is one more.
  const auto fetch = [&] {
    while (next_tile < known && next_chunk >= next_chunks) {
      next_tile += stride;
      next_chunk = warp;
      look_up();
    }
    if (next_tile < known) ring.fetch(next, next_chunk);
    ring.commit();
    next_chunk += kWarps;
  };
  int first = 0;  // chunks of the first tile that are fetched before the wait
  if (next_tile < known) {
#pragma unroll 1
    for (; first < kOnTheWay && next_chunk < next_chunks; ++first) fetch();
  }
  wait_for_previous();
  let_next_begin();
  const bool looked_up = next_tile < known;
  known = work.begin();
  if (!looked_up) look_up();
#pragma unroll 1
  for (; first < kOnTheWay; ++first) fetch();

  int parity = 0;
  for (int at = static_cast<int>(blockIdx.x); at < known; at += stride) {
    const auto tile = work.tile(at);
    const TileRows rows = work.rows(tile);
    const float2 scales = work.scales(tile);
    const int chunks = rows.chunks();
    const __nv_bfloat16* x[kTiles];
    work.inputs(tile, x);
    TileSums<kTiles> sums;
    Inputs<kKind, kTiles> inputs;
    if (warp < chunks) inputs = load_inputs<kKind, kTiles>(x, rows, warp);
#pragma unroll 1
    for (int chunk = warp; chunk < chunks; chunk += kWarps) {
      uint4 low;
      uint4 high;
      ring.take(low, high);
      // A chunk ahead, where registers allow it.
      Inputs<kKind, kTiles> ahead;
      if constexpr (kTiles == 1) ahead = load_inputs<kKind, kTiles>(x, rows, chunk + kWarps);
      multiply_chunk<kKind, kTiles>(sums, rows, chunk, low, high, inputs, scratch.table);
      if constexpr (kTiles > 1) ahead = load_inputs<kKind, kTiles>(x, rows, chunk + kWarps);
      inputs = ahead;
      fetch();
    }
    auto& shared_sums = scratch.sums[parity];
#pragma unroll
    for (int i = 0; i < kTiles; ++i) {
      const float(&sum)[4] = sums.of[i];
      shared_sums[warp][i][lane] = {sum[0], sum[1], sum[2], sum[3]};
    }
    __syncthreads();
    if (warp < kTiles) {
      const float4 total = sum_of_warps<kTiles>(shared_sums, warp);
      const int token = warp * kTokenTile + 2 * (lane % 4);
      work.store(tile, token, total.x * scales.x, total.z * scales.y);
      work.store(tile, token + 1, total.y * scales.x, total.w * scales.y);
    }
    parity = 1 - parity;
  }
}

/// Blocks of a kernel of `tiles` tiles: as many as run at once, at most.
template <typename... Parameters>
LaunchShape tiles_shape(void (*kernel)(Parameters...), int64_t tiles, size_t shared_bytes) {
  int device = 0;
  int processors = 0;
  int blocks = 0;
  const auto bytes = static_cast<int>(shared_bytes);
  if (cudaGetDevice(&device) != cudaSuccess ||
      cudaDeviceGetAttribute(&processors, cudaDevAttrMultiProcessorCount, device) != cudaSuccess ||
      cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, bytes) !=
          cudaSuccess ||
      cudaOccupancyMaxActiveBlocksPerMultiprocessor(&blocks, kernel, kThreads, shared_bytes) !=
          cudaSuccess) {
    return {1, kThreads, shared_bytes};  // the launch will tell
  }
  const int64_t most = static_cast<int64_t>(processors) * blocks;
  return {static_cast<unsigned>(tiles < most ? tiles : most), kThreads, shared_bytes};
}

}  // namespace foregate::kernels
