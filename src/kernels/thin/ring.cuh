#pragma once

#include <cstdint>

#include "kernels/thin/codes.cuh"

namespace foregate::kernels {

inline constexpr int kChunkBytes = 64;  ///< of a row, that four lanes read at once

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

/// A lane's part of a chunk of codes.
template <MatrixCodes kKind>
struct Codes {
  uint4 low;
  uint4 high;
  float low_scale;  ///< of blocks
  float high_scale;
};

/// Codes of one warp on their way through shared memory, kPerUnit chunks that lie together at a
/// time, in any order of tiles. A lane takes what it has fetched itself, so nobody waits for
/// another.
template <MatrixCodes kKind, int kSlots, int kPerUnit>
class CodeRing {
 public:
  static constexpr int kUnits = kSlots;
  static constexpr int kUnit = kPerUnit;
  static constexpr bool kScaled = row_scales(kKind, 64) > 0;
  static constexpr int kScales = 2 * 32 * 16;  // behind the low codes of all lanes and the high
  static constexpr int kSlotBytes = kScales + (kScaled ? 2 * 32 * 4 : 0);
  static constexpr int kUnitBytes = kUnit * kSlotBytes;
  static constexpr int kBytes = kSlots * kUnitBytes;

  __device__ explicit CodeRing(void* memory)
      : memory_(static_cast<uint32_t>(__cvta_generic_to_shared(memory))) {}

  /// Starts fetching a unit of a tile's rows behind what was fetched before; what lies behind the
  /// rows' ends is zeros.
  __device__ void fetch(const TileRows& rows, int unit) const {
#pragma unroll
    for (int i = 0; i < kUnit; ++i) fetch_chunk(rows, unit * kUnit + i, filled_ + i * kSlotBytes);
  }
  /// Behind each fetch, and where there was none: the next goes to the next slot.
  __device__ void commit() {
    asm volatile("cp.async.commit_group;" ::: "memory");
    filled_ = next_slot(filled_);
  }
  /// Waits for the oldest unit and takes it.
  __device__ void take(Codes<kKind> (&codes)[kUnit]) {
    asm volatile("cp.async.wait_group %0;" ::"n"(kSlots - 1) : "memory");
#pragma unroll
    for (int i = 0; i < kUnit; ++i) codes[i] = take_chunk(taken_ + i * kSlotBytes);
    taken_ = next_slot(taken_);
  }

 private:
  __device__ void fetch_chunk(const TileRows& rows, int chunk, uint32_t slot) const {
    const int piece = 4 * chunk + static_cast<int>(threadIdx.x) % 4;
    const bool here = piece < rows.pieces;
    const uint32_t place = memory_ + slot + threadIdx.x % 32 * 16;
    copy(place, rows.low + chunk * kChunkBytes, here);
    copy(place + kScales / 2, rows.high + chunk * kChunkBytes, here);
    if constexpr (kScaled) {
      const int block = here ? piece * Piece<kKind>::kValues / Piece<kKind>::kBlock : 0;
      const uint32_t scales = memory_ + slot + kScales + threadIdx.x % 32 * 8;
      copy_scale(scales, rows.low_scales + block, here);
      copy_scale(scales + 4, rows.high_scales + block, here);
    }
  }
  __device__ Codes<kKind> take_chunk(uint32_t slot) const {
    const uint32_t place = memory_ + slot + threadIdx.x % 32 * 16;
    Codes<kKind> codes{load(place), load(place + kScales / 2), 1, 1};
    if constexpr (kScaled) {
      asm volatile("ld.shared.v2.f32 {%0, %1}, [%2];"
                   : "=f"(codes.low_scale), "=f"(codes.high_scale)
                   : "r"(memory_ + slot + kScales + threadIdx.x % 32 * 8)
                   : "memory");
    }
    return codes;
  }
  __device__ static uint32_t next_slot(uint32_t offset) {
    return offset + kUnitBytes == kBytes ? 0 : offset + kUnitBytes;
  }
  __device__ static void copy(uint32_t to, const uint8_t* from, bool here) {
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(to), "l"(from),
                 "r"(here ? 16 : 0)
                 : "memory");
  }
  __device__ static void copy_scale(uint32_t to, const float* from, bool here) {
    asm volatile("cp.async.ca.shared.global [%0], [%1], 4, %2;" ::"r"(to), "l"(from),
                 "r"(here ? 4 : 0)
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

  uint32_t memory_;
  uint32_t filled_ = 0;
  uint32_t taken_ = 0;
};

}  // namespace foregate::kernels
