#include "kernels/cache/cache.h"
#include "kernels/cache/sync.cuh"
#include "kernels/cache/transfer.cuh"

namespace foregate::kernels {
namespace {

constexpr int kCopyThreads = 256;
constexpr int kThreads = kCopyThreads + 32;  // the last warp says what is copied next
constexpr unsigned kPauseNs = 200;
/// In which no layer is looked up: then the compute branch does not run beside this one.
constexpr uint64_t kPatienceNs = 50'000'000;

constexpr int kNothing = -1;
constexpr int kLeave = -2;

struct Job {
  int transfer;  ///< or kNothing, kLeave
  Piece piece;
};

/// By a warp: number of the transfer that is needed first of those that can be claimed from.
__device__ int first_needed(const CacheTables& tables, uint32_t pieces) {
  constexpr unsigned kAll = 0xffffffffU;
  const int lane = static_cast<int>(threadIdx.x) % 32;
  // `need` may be that of an earlier use of the transfer: it only says what comes first.
  int64_t need = INT64_MAX;
  int number = kNothing;
  for (int i = lane; i < tables.shape.transfers; i += 32) {
    if (load_relaxed(&tables.transfers[i].next) >= pieces) continue;
    const int64_t here = *const_cast<volatile int64_t*>(&tables.transfers[i].need);
    if (here < need) {
      need = here;
      number = i;
    }
  }
  __syncwarp();
  for (int width = 16; width > 0; width /= 2) {
    const int64_t other = __shfl_xor_sync(kAll, need, width);
    const int other_number = __shfl_xor_sync(kAll, number, width);
    if (other < need || (other == need && other_number > number)) {
      need = other;
      number = other_number;
    }
  }
  return number;
}

/// By a warp: claims the next piece, if there is one and no layer waits for what it misses.
__device__ Job next_job(const CacheTables& tables, const ExpertParts& parts, uint32_t pieces) {
  constexpr unsigned kAll = 0xffffffffU;
  const CacheControl& control = *tables.control;
  const bool is_first = threadIdx.x % 32 == 0;
  Job job{kNothing, {}};
  // One lane looks, so that all do the same.
  int order = 0;
  if (is_first) {
    order = load_relaxed(&control.stop) != 0          ? kLeave
            : load_relaxed(&control.demand_open) != 0 ? kNothing
                                                      : 0;
  }
  order = __shfl_sync(kAll, order, 0);
  if (order != 0) {
    job.transfer = order;
    return job;
  }
  const int number = first_needed(tables, pieces);
  if (number == kNothing || !is_first) return job;
  Transfer& transfer = tables.transfers[number];
  const uint32_t claimed = claim_piece(transfer, pieces);
  if (claimed < pieces) {
    job = {number, claimed_piece(tables, parts, transfer, claimed, pieces)};
  }
  return job;  // of the first lane
}

/// The last warp claims a piece ahead of the one that the others copy, and tells of it when it has
/// arrived.
__global__ void __launch_bounds__(kThreads)
    mover_kernel(const CacheTables tables, const __grid_constant__ ExpertParts parts) {
  __shared__ Job jobs[2];
  const auto pieces = static_cast<uint32_t>(pieces_of(parts, parts.piece_bytes));
  const bool leads = threadIdx.x >= kCopyThreads;
  const bool speaks = threadIdx.x == kCopyThreads;
  uint32_t events = 0;
  uint64_t seen = now_ns();
  if (speaks) jobs[0].transfer = jobs[1].transfer = kNothing;
  __syncthreads();
  int before = kNothing;  // transfer of the piece that was copied last
  for (int turn = 0;; turn ^= 1) {
    // jobs[turn] is copied now, and the one of the turn before is over.
    const Job& job = jobs[turn];
    const int number = job.transfer;
    if (!leads) {
      if (number >= 0) copy_piece<kCopyThreads>(job.piece);
    } else {
      if (speaks && before >= 0) arrive(tables, tables.transfers[before]);
      __syncwarp();
      Job next = next_job(tables, parts, pieces);
      if (speaks) {
        if (next.transfer == kNothing && number < 0) {
          const uint32_t now = load_relaxed(&tables.control->events);
          if (now != events) {
            events = now;
            seen = now_ns();
          } else if (now_ns() - seen > kPatienceNs) {
            next.transfer = kLeave;
          }
          __nanosleep(kPauseNs);
        }
        jobs[turn ^ 1] = next;
      }
    }
    before = number;
    __syncthreads();
    if (jobs[turn ^ 1].transfer != kLeave) continue;
    if (speaks && before >= 0) arrive(tables, tables.transfers[before]);
    return;
  }
}

}  // namespace

cudaError_t cache_run_mover(const CacheTables& tables, const ExpertParts& parts, int blocks,
                            cudaStream_t stream) {
  if (blocks < 1) return cudaErrorInvalidValue;
  mover_kernel<<<static_cast<unsigned>(blocks), kThreads, 0, stream>>>(tables, parts);
  return cudaGetLastError();
}

}  // namespace foregate::kernels
