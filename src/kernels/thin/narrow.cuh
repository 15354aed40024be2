#pragma once

#include <cuda_bf16.h>

#include <cstdint>

#include "kernels/thin/tile.cuh"

namespace foregate::kernels {

// Products of a tile of x: up to eight rows. They lie in shared memory as the matrix instruction
// takes them, and a team of warps shares a tile's columns: few where there are many tiles, so that
// warps seldom meet; all where there are few.

inline constexpr int kNarrowWarps = 16;
inline constexpr int kNarrowThreads = 32 * kNarrowWarps;
/// Chunks that lie together, and are fetched together: 128 bytes of each row, a line of the cache.
inline constexpr int kNarrowUnit = 2;

/// Units that a warp has on the way, where there is room.
inline constexpr int kNarrowSlots = 3;

__host__ __device__ constexpr int narrow_slots(int slots, bool has_room) {
  return has_room ? slots : 2;
}

__host__ __device__ constexpr int num_units(int64_t bytes) {
  return (num_chunks(bytes) + kNarrowUnit - 1) / kNarrowUnit;
}

/// How a chunk of codes and what it meets become sums.
template <MatrixCodes kKind>
struct Multiplier;

template <>
struct Multiplier<MatrixCodes::kBFloat16> {
  static constexpr int kInputs = 1;  ///< pieces of x that a lane takes a chunk
  float of[4] = {};

  __device__ void add(const Codes<MatrixCodes::kBFloat16>& codes, const uint4 (&x)[kInputs],
                      const CodePlanes& /*planes*/) {
    const Pair low0[2] = {codes.low.x, codes.low.y};
    const Pair high0[2] = {codes.high.x, codes.high.y};
    multiply_add(of, low0, high0, x[0].x, x[0].y);
    const Pair low1[2] = {codes.low.z, codes.low.w};
    const Pair high1[2] = {codes.high.z, codes.high.w};
    multiply_add(of, low1, high1, x[0].z, x[0].w);
  }
  __device__ float4 sums(const float* /*row_scales*/) const { return {of[0], of[1], of[2], of[3]}; }
};

/// Codes are multiplied as the integers they are, x as three digits of eight bits of what it is in
/// units of 2^-22 of its row's largest: no code is decoded, and all sums are exact.
template <>
struct Multiplier<MatrixCodes::kInt8> {
  static constexpr int kInputs = 3;  ///< a digit each, the last first
  int32_t of[kInputs][4] = {};

  __device__ void add(const Codes<MatrixCodes::kInt8>& codes, const uint4 (&x)[kInputs],
                      const CodePlanes& /*planes*/) {
#pragma unroll
    for (int digit = 0; digit < kInputs; ++digit) {
      multiply(of[digit], codes.low.x, codes.high.x, codes.low.y, codes.high.y, x[digit].x,
               x[digit].y);
    }
#pragma unroll
    for (int digit = 0; digit < kInputs; ++digit) {
      multiply(of[digit], codes.low.z, codes.high.z, codes.low.w, codes.high.w, x[digit].z,
               x[digit].w);
    }
  }
  /// `row_scales`: of the two rows of x that this lane has sums of.
  __device__ float4 sums(const float* row_scales) const {
    const auto sum = [&](int i) {
      const float digits =
          fmaf(static_cast<float>(of[2][i]), 65536.0F,
               fmaf(static_cast<float>(of[1][i]), 256.0F, static_cast<float>(of[0][i])));
      return digits * row_scales[i % 2];
    };
    return {sum(0), sum(1), sum(2), sum(3)};
  }

 private:
  __device__ static void multiply(int32_t (&sum)[4], uint32_t a0, uint32_t a1, uint32_t a2,
                                  uint32_t a3, uint32_t b0, uint32_t b1) {
    asm("mma.sync.aligned.m16n8k32.row.col.s32.s8.s8.s32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, "
        "{%8, %9}, {%0, %1, %2, %3};"
        : "+r"(sum[0]), "+r"(sum[1]), "+r"(sum[2]), "+r"(sum[3])
        : "r"(a0), "r"(a1), "r"(a2), "r"(a3), "r"(b0), "r"(b1));
  }
};

/// What codes stand for is rounded to bfloat16 and not scaled: blocks are added up apart, and
/// scaled in float32.
template <>
struct Multiplier<MatrixCodes::kNf4> {
  static constexpr int kInputs = 4;
  float of[4] = {};

  // A lane's 32 codes of a row are half a block: those of the first two lanes of four the first,
  // the others' the second. Each block meets x with zeros in the place of the other.
  __device__ void add(const Codes<MatrixCodes::kNf4>& codes, const uint4 (&x)[kInputs],
                      const CodePlanes& planes) {
    const bool first = threadIdx.x % 4 < 2;
    float blocks[2][4] = {};
#pragma unroll
    for (int step = 0; step < 8; ++step) {
      Pair low[2];
      Pair high[2];
      look_up(word(codes.low, step), planes, low);
      look_up(word(codes.high, step), planes, high);
      const uint4& eight = x[step / 2];
      const Pair x0 = step % 2 == 0 ? eight.x : eight.z;
      const Pair x1 = step % 2 == 0 ? eight.y : eight.w;
      multiply_add(blocks[0], low, high, first ? x0 : 0, first ? x1 : 0);
      multiply_add(blocks[1], low, high, first ? 0 : x0, first ? 0 : x1);
    }
    // Of the block's first piece, which is there if any of it is.
    const int quad = static_cast<int>(threadIdx.x) % 32 / 4 * 4;
    const auto of_blocks = [&](float scale, float(&scales)[2]) {
      scales[0] = __shfl_sync(0xffffffffU, scale, quad);
      scales[1] = __shfl_sync(0xffffffffU, scale, quad + 2);
    };
    float low_scales[2];
    float high_scales[2];
    of_blocks(codes.low_scale, low_scales);
    of_blocks(codes.high_scale, high_scales);
#pragma unroll
    for (int block = 0; block < 2; ++block) {
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        of[i] = fmaf(i < 2 ? low_scales[block] : high_scales[block], blocks[block][i], of[i]);
      }
    }
  }
  __device__ float4 sums(const float* /*row_scales*/) const {
    return {of[0], of[1], of[2], of[3]};
  }

 private:
  __device__ static uint32_t word(const uint4& codes, int step) {
    const uint32_t eight = step < 2 ? codes.x : step < 4 ? codes.y : step < 6 ? codes.z : codes.w;
    return step % 2 == 0 ? eight : eight >> 16;
  }
  // Four codes in the low half.
  __device__ static void look_up(uint32_t four, const CodePlanes& planes, Pair (&values)[2]) {
    const uint32_t in_half = four & 0x7777U;                   // of the table
    const uint32_t which = ((four >> 1) & 0x4444U) | 0x3210U;  // of its halves
    const auto plane = [&](const uint32_t(&bytes)[4]) {
      return __byte_perm(__byte_perm(bytes[0], bytes[1], in_half),
                         __byte_perm(bytes[2], bytes[3], in_half), which);
    };
    const uint32_t low = plane(planes.low);
    const uint32_t high = plane(planes.high);
    values[0] = __byte_perm(low, high, 0x4051);  // the first code of a byte is its upper half
    values[1] = __byte_perm(low, high, 0x6273);
  }
};

/// Rows of x in shared memory, chunk by chunk: a piece of 16 bytes after the other, of every lane.
/// Of a single row there are four lanes' worth, since all rows of lanes read the same.
template <MatrixCodes kKind>
class StagedRows {
 public:
  static constexpr int kInputs = Multiplier<kKind>::kInputs;

  __host__ __device__ static constexpr int64_t bytes(int64_t units, bool single) {
    return units * kNarrowUnit * kInputs * (single ? 4 : 32) * 16;
  }

  __device__ StagedRows(unsigned char* memory, bool single)
      : memory_(reinterpret_cast<uint4*>(memory)), lanes_(single ? 4 : 32) {}

  /// Stages a row from piece `first` on, by threads `index` of `count`. `units`: how many of an
  /// integer's units are one, if codes are integers.
  __device__ void stage(const __nv_bfloat16* x, int pieces, int row, int first, float units,
                        int index, int count) const {
    constexpr int kPacks = Piece<kKind>::kValues / 8;
    const int whole = num_units(int64_t{16} * pieces) * kNarrowUnit * 4;
    for (int piece = index; piece < whole; piece += count) {
      uint4 packs[kPacks];
#pragma unroll
      for (int i = 0; i < kPacks; ++i) {
        packs[i] = piece < pieces ? reinterpret_cast<const uint4*>(x)[piece * kPacks + i] : uint4{};
      }
      uint4* const to = memory_ + (first + piece) / 4 * kInputs * lanes_ + row * 4 + piece % 4;
      if constexpr (kKind == MatrixCodes::kInt8) {
        put_digits(to, packs, units);
      } else {
#pragma unroll
        for (int i = 0; i < kPacks; ++i) to[i * lanes_] = packs[i];
      }
    }
  }
  __device__ void load(int chunk, uint4 (&x)[kInputs]) const {
    const uint4* const from = memory_ + chunk * kInputs * lanes_ + threadIdx.x % lanes_;
#pragma unroll
    for (int i = 0; i < kInputs; ++i) x[i] = from[i * lanes_];
  }

 private:
  __device__ void put_digits(uint4* to, const uint4 (&packs)[2], float units) const {
    uint32_t digits[3][4] = {};
#pragma unroll
    for (int i = 0; i < 16; ++i) {
      const uint4& pack = packs[i / 8];
      const uint32_t pair = i % 8 < 2 ? pack.x : i % 8 < 4 ? pack.y : i % 8 < 6 ? pack.z : pack.w;
      const float value = __uint_as_float(i % 2 == 0 ? pair << 16 : pair & 0xffff0000U);
      int rest = __float2int_rn(value * units);
#pragma unroll
      for (auto& digit : digits) {
        const int low = static_cast<int8_t>(rest);
        digit[i / 4] |= (static_cast<uint32_t>(low) & 0xffU) << (i % 4 * 8);
        rest = (rest - low) >> 8;
      }
    }
#pragma unroll
    for (int d = 0; d < 3; ++d) {
      to[d * lanes_] = {digits[d][0], digits[d][1], digits[d][2], digits[d][3]};
    }
  }

  uint4* memory_;
  int lanes_;
};

/// The largest magnitude of pieces of 16 bytes of bfloat16, of a lane's share.
__device__ inline float largest_of(const __nv_bfloat16* x, int packs, int index, int count) {
  uint32_t most = 0;
#pragma unroll 4
  for (int i = index; i < packs; i += count) {
    const uint4 pack = reinterpret_cast<const uint4*>(x)[i];
    for (const uint32_t pair : {pack.x, pack.y, pack.z, pack.w}) {
      most = max(most, max(pair & 0x7fffU, pair >> 16 & 0x7fffU));
    }
  }
#pragma unroll
  for (int width = 16; width > 0; width /= 2) {
    most = max(most, __shfl_xor_sync(0xffffffffU, most, width));
  }
  return __uint_as_float(most << 16);
}

/// A power of two that brings what is as large as this near 2^22, below it.
__device__ inline float units_for(float largest) {
  const int exponent = static_cast<int>(__float_as_uint(largest) >> 23);
  return __uint_as_float(static_cast<uint32_t>(min(127 + 21 + 127 - exponent, 254)) << 23);
}

/// Shared memory of a block; behind it, the rows of x.
template <MatrixCodes kKind, int kSlots>
struct NarrowScratch {
  using Ring = CodeRing<kKind, kSlots, kNarrowUnit>;
  alignas(16) unsigned char rings[kNarrowWarps][Ring::kBytes];
  union {
    float4 sums[2][kNarrowWarps][32];  // of two tiles in turn: one barrier a tile is enough
    __nv_bfloat16 normalized[2048];    // until it is staged
  };
  float largest[kTokenTile][kNarrowWarps];
  float row_scales[kTokenTile];
  NormSums norm_sums;
};

/// Stages the rows that a group of tiles meets; all threads of the block. `row(i)`: where they lie.
template <MatrixCodes kKind, typename Scratch, typename Row>
__device__ void stage_rows(Scratch& scratch, const StagedRows<kKind>& staged, int count, int k,
                           bool single, const Row& row) {
  const int warp = static_cast<int>(threadIdx.x) / 32;
  const int lane = static_cast<int>(threadIdx.x) % 32;
  const int sharing = single ? kNarrowWarps : kNarrowWarps / kTokenTile;  // warps of a row
  const int mine = warp / sharing;
  const int index = warp % sharing * 32 + lane;
  const auto pieces = static_cast<int>(row_bytes(kKind, k) / 16);
  float units = 1;
  if constexpr (kKind == MatrixCodes::kInt8) {
    if (mine < count) {
      const float largest = largest_of(row(mine), k / 8, index, sharing * 32);
      if (lane == 0) scratch.largest[mine][warp % sharing] = largest;
    }
    __syncthreads();
    if (mine < count) {
      float largest = 0;
      for (int i = 0; i < sharing; ++i) largest = fmaxf(largest, scratch.largest[mine][i]);
      units = units_for(largest);
      // Not a number if a value is not finite.
      if (index == 0) scratch.row_scales[mine] = 1 / units + (largest - largest);
    }
  }
  if (mine < count) staged.stage(row(mine), pieces, mine, 0, units, index, sharing * 32);
  __syncthreads();
}

/// Takes a unit of codes from the ring.
template <MatrixCodes kKind, typename Ring>
__device__ void multiply_unit(Multiplier<kKind>& products, const StagedRows<kKind>& staged,
                              Ring& ring, int unit, const CodePlanes& planes) {
  uint4 x[kNarrowUnit][Multiplier<kKind>::kInputs];
#pragma unroll
  for (int i = 0; i < kNarrowUnit; ++i) staged.load(unit * kNarrowUnit + i, x[i]);
  Codes<kKind> codes[kNarrowUnit];
  ring.take(codes);
#pragma unroll
  for (int i = 0; i < kNarrowUnit; ++i) products.add(codes[i], x[i], planes);
}

/// A team's sums of a tile, in the order of its warps, by its first warp.
template <int kTeam, typename Sums>
__device__ float4 sum_of_team(Sums& sums, float4 mine, int parity) {
  if constexpr (kTeam == 1) return mine;
  const int warp = static_cast<int>(threadIdx.x) / 32;
  const int lane = static_cast<int>(threadIdx.x) % 32;
  auto& shared = sums[parity];
  shared[warp][lane] = mine;
  asm volatile("bar.sync %0, %1;" ::"r"(1 + warp / kTeam), "n"(32 * kTeam) : "memory");
  if (warp % kTeam != 0) return mine;
#pragma unroll
  for (int i = 1; i < kTeam; ++i) {
    const float4 part = shared[warp + i][lane];
    mine.x += part.x;
    mine.y += part.y;
    mine.z += part.z;
    mine.w += part.w;
  }
  return mine;
}

/// As run_tiles; besides, work.row(tile, i) is where row i of the tile's group lies, and
/// work.end_of_group(tile) the first tile behind it.
template <MatrixCodes kKind, int kTeam, int kSlots, typename Work>
__device__ void run_narrow(const Work& work, unsigned char* memory, const CodePlanes& planes) {
  using Scratch = NarrowScratch<kKind, narrow_slots(kSlots, kHasRoom)>;
  constexpr int kTeams = kNarrowWarps / kTeam;
  auto& scratch = *reinterpret_cast<Scratch*>(memory);
  const int warp = static_cast<int>(threadIdx.x) / 32;
  const int lane = static_cast<int>(threadIdx.x) % 32;
  const int team = warp / kTeam;
  const StagedRows<kKind> staged(memory + sizeof(Scratch), work.is_single());
  typename Scratch::Ring ring(scratch.rings[warp]);
  TileFetcher<kKind, typename Scratch::Ring, Work> fetcher(work, ring, team, kTeams, warp % kTeam,
                                                           kTeam);
  int first = 0;  // units on the way
#pragma unroll 1
  while (first < Scratch::Ring::kUnits && fetcher.fetch_early()) ++first;
  const ThinNorm norm = work.norm();
  if (norm.weight != nullptr) {
    const RowNorm<__nv_bfloat16, 8> row_norm(static_cast<const __nv_bfloat16*>(norm.weight),
                                             work.columns());
    if (!norm.x_is_settled) fetcher.wait();
    row_norm.run(work.x(), scratch.normalized, norm.epsilon, scratch.norm_sums);
    __syncthreads();
    stage_rows<kKind>(scratch, staged, 1, work.columns(), true,
                      [&](int) { return scratch.normalized; });
  } else {
    fetcher.wait();
  }
#pragma unroll 1
  for (; first < Scratch::Ring::kUnits; ++first) fetcher.fetch();

  int parity = 0;
  int group = norm.weight != nullptr ? work.kAnyGroup : work.kAnyGroup - 1;
  const auto multiply = [&](const TileRange& range) {
    int at = range.begin + team;
    for (int begin = range.begin; begin < range.end;) {
      const auto head = work.tile(begin);
      const int end = min(range.end, work.end_of_group(head, begin));
      if (group != work.kAnyGroup && head.group != group) {
        group = head.group;
        __syncthreads();
        stage_rows<kKind>(scratch, staged, work.count(head), static_cast<int>(work.k(head)),
                          work.is_single(), [&](int i) { return work.row(head, i); });
      }
      begin = end;
#pragma unroll 1
      for (; at < end; at += kTeams) {
        const auto tile = work.tile(at);
        const float2 scales = work.scales(tile);
        const int units = num_units(row_bytes(kKind, work.k(tile)));
        Multiplier<kKind> products;
#pragma unroll 1
        for (int unit = warp % kTeam; unit < units; unit += kTeam) {
          multiply_unit(products, staged, ring, unit, planes);
          fetcher.fetch();
        }
        const int token = 2 * (lane % 4);
        const float row_scales[2] = {scratch.row_scales[work.is_single() ? 0 : token],
                                     scratch.row_scales[work.is_single() ? 0 : token + 1]};
        const float4 total = sum_of_team<kTeam>(scratch.sums, products.sums(row_scales), parity);
        parity ^= 1;
        if (warp % kTeam == 0) {
          work.store(tile, token, total.x * scales.x, total.z * scales.y);
          work.store(tile, token + 1, total.y * scales.x, total.w * scales.y);
        }
      }
    }
  };
  multiply(work.early());
  fetcher.wait();
  multiply(fetcher.late());
}

template <MatrixCodes kKind, int kSlots>
size_t narrow_bytes(int64_t k, bool single, bool has_room) {
  const size_t scratch = has_room ? sizeof(NarrowScratch<kKind, narrow_slots(kSlots, true)>)
                                  : sizeof(NarrowScratch<kKind, narrow_slots(kSlots, false)>);
  return scratch + StagedRows<kKind>::bytes(num_units(row_bytes(kKind, k)), single);
}

}  // namespace foregate::kernels
