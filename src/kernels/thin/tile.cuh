#pragma once

#include <cuda_bf16.h>

#include <cstdint>

#include "kernels/dependent_launch.cuh"
#include "kernels/rms_norm.cuh"
#include "kernels/thin/ring.cuh"

namespace foregate::kernels {

// A tile is 16 rows of a matrix. A block takes a run of them; its warps share the columns, so that
// a warp keeps its columns of x in registers from tile to tile, and add up what they have in the
// order of their numbers. While a tile is multiplied the codes of the next ones are on their way.
// Up to eight rows of x that fit into shared memory have it easier: see narrow.cuh.

inline constexpr int kWarps = 16;
inline constexpr int kThreads = 32 * kWarps;
inline constexpr int kTileRows = 16;
inline constexpr int kTokenTile = 8;  ///< rows of x that one instruction takes

#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ < 900
inline constexpr bool kHasRoom = false;
#else
inline constexpr bool kHasRoom = true;  ///< for 227 KB of shared memory a block; else 99
#endif

/// Chunks that a warp has on the way.
__host__ __device__ constexpr int slots_of(MatrixCodes kind, bool has_room) {
  if (kind == MatrixCodes::kNf4) return has_room ? 4 : 3;
  return has_room ? 6 : 4;
}

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

/// What a chunk of codes meets: this lane's part of its row of each tile of x.
template <MatrixCodes kKind, int kTiles>
struct Inputs {
  uint4 of[kTiles][Piece<kKind>::kValues / 8];
};

/// `x`: this lane's row of each tile of x; where there is none, any row: nobody takes its sums.
template <MatrixCodes kKind, int kTiles>
__device__ Inputs<kKind, kTiles> load_inputs(const __nv_bfloat16* const (&x)[kTiles], int pieces,
                                             int chunk) {
  const int piece = 4 * chunk + static_cast<int>(threadIdx.x) % 4;
  const int column = piece < pieces ? piece * Piece<kKind>::kValues : 0;  // zeros meet anything
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
__device__ void multiply_chunk(TileSums<kTiles>& sums, const Codes<kKind>& codes,
                               const Inputs<kKind, kTiles>& inputs, const float* table) {
  using Kind = Piece<kKind>;
#pragma unroll
  for (int step = 0; step < Kind::kValues / 4; ++step) {
    Pair low[2];
    Pair high[2];
    Kind::decode(codes.low, step, codes.low_scale, table, low);
    Kind::decode(codes.high, step, codes.high_scale, table, high);
#pragma unroll
    for (int tile = 0; tile < kTiles; ++tile) {
      const uint4& eight = inputs.of[tile][step / 2];
      multiply_add(sums.of[tile], low, high, step % 2 == 0 ? eight.x : eight.z,
                   step % 2 == 0 ? eight.y : eight.w);
    }
  }
}

/// Columns of x that a warp keeps: those of 2,048.
template <MatrixCodes kKind>
inline constexpr int kKeptChunks = 2048 / kWarps / (4 * Piece<kKind>::kValues);

/// Whether the warps of a block keep all of a row of x.
__host__ __device__ constexpr bool keeps_inputs(MatrixCodes kind, int64_t k) {
  return num_chunks(row_bytes(kind, k)) <= num_chunks(row_bytes(kind, 2048));
}

template <MatrixCodes kKind, int kTiles>
struct KeptInputs {
  Inputs<kKind, kTiles> of[kKeptChunks<kKind>];

  __device__ void load(const __nv_bfloat16* const (&x)[kTiles], int pieces) {
#pragma unroll
    for (int i = 0; i < kKeptChunks<kKind>; ++i) {
      of[i] =
          load_inputs<kKind, kTiles>(x, pieces, static_cast<int>(threadIdx.x) / 32 + i * kWarps);
    }
  }
};

/// Puts what codes stand for into shared memory, before they are decoded.
template <MatrixCodes kKind>
__device__ void fill_table(float* table, const CodeValues& values) {
  if constexpr (kKind == MatrixCodes::kNf4) {
    if (threadIdx.x < 16) table[threadIdx.x] = values.of[threadIdx.x];
    __syncthreads();
  }
}

/// Adds up one tile of x of all warps' sums, of this lane's rows, in the order of the warps.
template <int kTiles>
__device__ float4 sum_of_warps(const float4 (&sums)[kWarps][kTiles][32], int tile) {
  float4 total{};
#pragma unroll
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
template <MatrixCodes kKind, int kTiles, bool kRoom = kHasRoom>
struct BlockScratch {
  using Ring = CodeRing<kKind, slots_of(kKind, kRoom), 1>;
  // Of two tiles in turn, so that one barrier a tile is enough, where that is not too much.
  static constexpr int kBuffers = kTiles == 1 ? 2 : 1;

  alignas(16) unsigned char rings[kWarps][Ring::kBytes];
  union {
    float4 sums[kBuffers][kWarps][kTiles][32];
    __nv_bfloat16 x[2048];  ///< a row that this block normalises, until it is kept
  };
  float table[16];
  NormSums norm_sums;
};

struct TileRange {
  int begin;
  int end;
};

/// The `index`-th of `count` even parts of so many tiles.
__device__ inline TileRange part_of(int tiles, int index, int count) {
  const auto at = [&](int i) { return static_cast<int>(static_cast<int64_t>(tiles) * i / count); };
  return {at(index), at(index + 1)};
}

/// Fetches a warp's chunks of some work's tiles, in order: see run_tiles.
template <MatrixCodes kKind, typename Ring, typename Work>
class TileFetcher {
 public:
  /// This warp's tiles are every `tile_step`-th from `first_tile` on, of them it fetches every
  /// `unit_step`-th unit from `first_unit` on.
  __device__ TileFetcher(const Work& work, Ring& ring, int first_tile, int tile_step,
                         int first_unit, int unit_step)
      : work_(work),
        ring_(ring),
        first_tile_(first_tile),
        tile_step_(tile_step),
        first_unit_(first_unit),
        unit_step_(unit_step) {
    move_to(work.early());
  }

  /// Starts fetching the next chunk, of tiles that are known before the wait: false if there is
  /// none.
  __device__ bool fetch_early() {
    if (!find_chunk()) return false;
    fetch_found();
    return true;
  }
  /// The same; waits before it goes on to the other tiles. Without one more, nothing.
  __device__ void fetch() {
    if (!find_chunk() && !is_late_) {
      wait();
      is_late_ = true;
      move_to(late_);
      find_chunk();
    }
    fetch_found();
  }
  __device__ void wait() {
    if (waited_) return;
    wait_for_previous();
    let_next_begin();
    late_ = work_.late();
    waited_ = true;
  }
  __device__ const TileRange& late() const { return late_; }

 private:
  __device__ void move_to(const TileRange& range) {
    tile_ = range.begin + first_tile_;
    end_ = range.end;
    look_up();
  }
  __device__ void look_up() {
    unit_ = first_unit_;
    if (tile_ < end_) rows_ = work_.rows(work_.tile(tile_));
  }
  __device__ bool find_chunk() {
    while (tile_ < end_ && unit_ * Ring::kUnit >= rows_.chunks()) {
      tile_ += tile_step_;
      look_up();
    }
    return tile_ < end_;
  }
  __device__ void fetch_found() {
    if (tile_ < end_) ring_.fetch(rows_, unit_);
    ring_.commit();
    unit_ += unit_step_;
  }

  const Work& work_;
  Ring& ring_;
  int first_tile_;
  int tile_step_;
  int first_unit_;
  int unit_step_;
  TileRange late_{};
  bool waited_ = false;
  bool is_late_ = false;
  TileRows rows_{};
  int tile_ = 0;
  int end_ = 0;
  int unit_ = 0;
};

/// Multiplies the tiles that some work gives this block:
///
/// work.early()          tiles whose codes may be fetched before wait_for_previous()
/// work.late()           called behind that: the others
/// work.norm()           what the one row x() of columns() is normalised by, for all tiles; or
///                       nothing
/// work.tile(index)      what the following take; tile.group: whose x it meets
/// work.rows(tile)       the TileRows of this lane
/// work.inputs(tile, x)  this lane's rows of x
/// work.store(tile, token, low sum, high sum), scaled by work.scales(tile)
template <MatrixCodes kKind, int kTiles, typename Work>
__device__ void run_tiles(const Work& work, BlockScratch<kKind, kTiles>& scratch,
                          const CodeValues& values) {
  using Scratch = BlockScratch<kKind, kTiles>;
  constexpr int kSlots = slots_of(kKind, kHasRoom);
  const int warp = static_cast<int>(threadIdx.x) / 32;
  const int lane = static_cast<int>(threadIdx.x) % 32;
  typename Scratch::Ring ring(scratch.rings[warp]);
  TileFetcher<kKind, typename Scratch::Ring, Work> fetcher(work, ring, 0, 1, warp, kWarps);
  fill_table<kKind>(scratch.table, values);

  int first = 0;  // chunks on the way
#pragma unroll 1
  while (first < kSlots && fetcher.fetch_early()) ++first;
  KeptInputs<kKind, kTiles> kept;
  int group = -1;
  const ThinNorm norm = work.norm();
  const bool normalizes = kTiles == 1 && norm.weight != nullptr;
  if (normalizes) {
    const RowNorm<__nv_bfloat16, 8> row_norm(static_cast<const __nv_bfloat16*>(norm.weight),
                                             work.columns());
    if (!norm.x_is_settled) fetcher.wait();
    row_norm.run(work.x(), scratch.x, norm.epsilon, scratch.norm_sums);
    __syncthreads();
    const __nv_bfloat16* x[kTiles];
    for (auto& row : x) row = scratch.x;
    kept.load(x, static_cast<int>(row_bytes(kKind, work.columns()) / 16));
    __syncthreads();
  } else {
    fetcher.wait();
  }
#pragma unroll 1
  for (; first < kSlots; ++first) fetcher.fetch();

  int parity = 0;
  const auto multiply = [&](const TileRange& range) {
#pragma unroll 1
    for (int at = range.begin; at < range.end; ++at) {
      const auto tile = work.tile(at);
      const TileRows rows = work.rows(tile);
      const float2 scales = work.scales(tile);
      const int chunks = rows.chunks();
      TileSums<kTiles> sums;
      if (chunks <= kKeptChunks<kKind> * kWarps) {
        if (tile.group != group && !normalizes) {
          const __nv_bfloat16* x[kTiles];
          work.inputs(tile, x);
          kept.load(x, rows.pieces);
          group = tile.group;
        }
#pragma unroll
        for (int i = 0; i < kKeptChunks<kKind>; ++i) {
          if (warp + i * kWarps >= chunks) break;
          Codes<kKind> codes[1];
          ring.take(codes);
          multiply_chunk<kKind, kTiles>(sums, codes[0], kept.of[i], scratch.table);
          fetcher.fetch();
        }
      } else {
        const __nv_bfloat16* x[kTiles];
        work.inputs(tile, x);
        group = -1;
        kept.of[0] = load_inputs<kKind, kTiles>(x, rows.pieces, warp);
#pragma unroll 1
        for (int chunk = warp; chunk < chunks; chunk += kWarps) {
          Codes<kKind> codes[1];
          ring.take(codes);
          multiply_chunk<kKind, kTiles>(sums, codes[0], kept.of[0], scratch.table);
          kept.of[0] = load_inputs<kKind, kTiles>(x, rows.pieces, chunk + kWarps);
          fetcher.fetch();
        }
      }
      auto& shared_sums = scratch.sums[parity];
      if (Scratch::kBuffers == 1) __syncthreads();
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
      parity = (parity + 1) % Scratch::kBuffers;
    }
  };
  multiply(work.early());
  fetcher.wait();
  multiply(fetcher.late());
}

}  // namespace foregate::kernels
