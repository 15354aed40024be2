#include "kernels/cache/cache.h"
#include "kernels/cache/sync.cuh"
#include "kernels/cache/transfer.cuh"
#include "kernels/dependent_launch.cuh"

namespace foregate::kernels {
namespace {

constexpr int kThreads = 512;
/// Of what is missing; small, so that all blocks have as much to do.
constexpr int64_t kDemandPiece = 32 << 10;
constexpr uint64_t kGiveUpNs = 20'000'000'000;

/// What is on its way already: this takes over what nobody has claimed.
__device__ void finish_late(const CacheTables& tables, const ExpertParts& parts, int begin, int end,
                            uint32_t pieces) {
  __shared__ Piece piece;
  __shared__ bool found;
  for (int i = begin; i < end;) {
    Transfer& transfer = tables.transfers[tables.demands[i].transfer];
    if (threadIdx.x == 0) {
      const uint32_t claimed = claim_piece(transfer, pieces);
      found = claimed < pieces;
      if (found) piece = claimed_piece(tables, parts, transfer, claimed, pieces);
    }
    __syncthreads();
    const bool is_claimed = found;
    if (is_claimed) {
      copy_piece<kThreads>(piece);
    } else {
      ++i;
    }
    __syncthreads();
    if (threadIdx.x == 0 && is_claimed) arrive(tables, transfer);
  }
}

__device__ void copy_missing(const CacheTables& tables, const ExpertParts& parts, int misses,
                             int blocks) {
  const int pieces = pieces_of(parts, kDemandPiece);
  for (int i = static_cast<int>(blockIdx.x); i < misses * pieces; i += blocks) {
    const Demand demand = tables.demands[i / pieces];
    copy_piece<kThreads>(piece_at(parts, tables.shape.experts, demand.expert, demand.slot,
                                  i % pieces, kDemandPiece));
  }
}

/// What others have claimed is on its way: they run.
__device__ void wait_for_late(const CacheTables& tables, int begin, int end, uint32_t pieces) {
  const uint64_t began = now_ns();
  for (int i = begin; i < end; ++i) {
    const Transfer& transfer = tables.transfers[tables.demands[i].transfer];
    while (load_acquire(&transfer.done) != pieces) {
      __nanosleep(100);
      if (now_ns() - began > kGiveUpNs) __trap();  // The protocol is broken: better than to hang.
    }
  }
}

__global__ void __launch_bounds__(kThreads)
    fetch_kernel(const CacheTables tables, const __grid_constant__ ExpertParts parts) {
  wait_for_previous();
  let_next_begin();
  CacheControl& control = *tables.control;
  const int demands = control.num_demands;
  if (demands == 0) return;
  const int misses = control.num_misses;
  const auto blocks = static_cast<int>(gridDim.x);
  const auto pieces = static_cast<uint32_t>(pieces_of(parts, parts.piece_bytes));
  finish_late(tables, parts, misses, demands, pieces);
  copy_missing(tables, parts, misses, blocks);
  __syncthreads();
  if (threadIdx.x != 0) return;
  if (blockIdx.x == 0) wait_for_late(tables, misses, demands, pieces);
  if (atomicAdd(&control.blocks_done, 1) + 1 == gridDim.x) {
    control.blocks_done = 0;
    store_relaxed(&control.demand_open, 0);
  }
}

}  // namespace

cudaError_t cache_fetch(const CacheTables& tables, const ExpertParts& parts, int blocks,
                        cudaStream_t stream) {
  if (blocks < 1) return cudaErrorInvalidValue;
  return launch_early(fetch_kernel, {static_cast<unsigned>(blocks), kThreads}, stream, tables,
                      parts);
}

}  // namespace foregate::kernels
