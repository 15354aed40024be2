#pragma once

#include <cstdint>

#include "kernels/cache/cache.h"
#include "kernels/cache/sync.cuh"

namespace foregate::kernels {

/// What a block copies at once while it has as much on its way: 16 bytes a load.
template <int kThreads>
inline constexpr int kLoadsOnTheWay = 2048 / kThreads;

__host__ __device__ inline int pieces_of(int64_t bytes, int64_t piece_bytes) {
  return static_cast<int>((bytes + piece_bytes - 1) / piece_bytes);
}

/// Pieces of an expert; each lies in one part.
__host__ __device__ inline int pieces_of(const ExpertParts& parts, int64_t piece_bytes) {
  int pieces = 0;
  for (int part = 0; part < parts.count; ++part)
    pieces += pieces_of(parts.bytes[part], piece_bytes);
  return pieces;
}

struct Piece {
  const char* from;
  char* to;
  int64_t bytes;
};

__device__ inline Piece piece_at(const ExpertParts& parts, int experts, int expert, int slot,
                                 int number, int64_t piece_bytes) {
  int part = 0;
  for (; part + 1 < parts.count; ++part) {
    const int here = pieces_of(parts.bytes[part], piece_bytes);
    if (number < here) break;
    number -= here;
  }
  const int64_t begin = number * piece_bytes;
  const int64_t size = parts.bytes[part];
  const int layer = expert / experts;
  const auto* const from = static_cast<const char*>(parts.hosts[layer * parts.count + part]);
  return {from + int64_t{expert % experts} * parts.host_strides[part] + begin,
          static_cast<char*>(parts.slots[part]) + int64_t{slot} * size + begin,
          min(piece_bytes, size - begin)};
}

/// A load that no cache keeps.
__device__ inline uint4 load_once(const uint4* from) {
  uint4 value;
  asm volatile("ld.global.cs.v4.u32 {%0, %1, %2, %3}, [%4];"
               : "=r"(value.x), "=r"(value.y), "=r"(value.z), "=r"(value.w)
               : "l"(from));
  return value;
}

/// By a whole block.
template <int kThreads>
__device__ void copy_piece(const Piece& piece) {
  constexpr int kLoads = kLoadsOnTheWay<kThreads>;
  const int thread = static_cast<int>(threadIdx.x);
  const auto address = reinterpret_cast<uintptr_t>(piece.from) |
                       reinterpret_cast<uintptr_t>(piece.to) | static_cast<uintptr_t>(piece.bytes);
  if (address % 16 != 0) {
    for (int i = thread; i < piece.bytes / 4; i += kThreads) {
      reinterpret_cast<uint32_t*>(piece.to)[i] = reinterpret_cast<const uint32_t*>(piece.from)[i];
    }
    return;
  }
  const auto* const from = reinterpret_cast<const uint4*>(piece.from);
  auto* const to = reinterpret_cast<uint4*>(piece.to);
  const auto size = static_cast<int>(piece.bytes / 16);
  int at = thread;
  for (; at + (kLoads - 1) * kThreads < size; at += kLoads * kThreads) {
    uint4 values[kLoads];
#pragma unroll
    for (int i = 0; i < kLoads; ++i) values[i] = load_once(from + at + i * kThreads);
#pragma unroll
    for (int i = 0; i < kLoads; ++i) to[at + i * kThreads] = values[i];
  }
  for (; at < size; at += kThreads) to[at] = load_once(from + at);
}

__device__ inline uint32_t mix(uint32_t value) {
  value = (value ^ (value >> 16)) * 0x7feb352dU;
  value = (value ^ (value >> 15)) * 0x846ca68bU;
  return value ^ (value >> 16);
}

/// For tests: waits up to 30 microseconds, now and then.
__device__ inline void delay_at_random(uint32_t chaos, uint32_t where) {
  const uint32_t number = mix(chaos ^ mix(where + static_cast<uint32_t>(now_ns() >> 5)));
  if (number % 4 == 0) __nanosleep((number >> 8) % 30000);
}

/// Claims the transfer's next piece; none if that is not below `pieces`.
__device__ inline uint32_t claim_piece(Transfer& transfer, uint32_t pieces) {
  // A plain look first: additions to what is closed would add up.
  return load_relaxed(&transfer.next) < pieces ? add_acquire(&transfer.next, 1) : pieces;
}

/// Where a piece that was claimed is copied from and to.
__device__ inline Piece claimed_piece(const CacheTables& tables, const ExpertParts& parts,
                                      const Transfer& transfer, uint32_t piece, uint32_t pieces) {
  const uint32_t chaos = tables.control->chaos;
  if (chaos != 0) {
    piece = (piece + mix(chaos + static_cast<uint32_t>(transfer.slot)) % pieces) % pieces;
    delay_at_random(chaos, piece);
  }
  return piece_at(parts, tables.shape.experts, transfer.expert, transfer.slot,
                  static_cast<int>(piece), parts.piece_bytes);
}

/// Behind the piece's stores.
__device__ inline void arrive(const CacheTables& tables, Transfer& transfer) {
  const uint32_t chaos = tables.control->chaos;
  if (chaos != 0) delay_at_random(chaos, static_cast<uint32_t>(transfer.slot) + 77);
  add_release(&transfer.done, 1);
}

}  // namespace foregate::kernels
