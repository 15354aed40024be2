#include <cmath>

#include "kernels/cache/cache.h"
#include "kernels/cache/sync.cuh"
#include "kernels/workspace.h"

namespace foregate::kernels {
namespace {

constexpr int kThreads = 1024;
/// LRFU's weights grow from step to step; from here on all values are scaled down, by a power of
/// two, which rounds nothing.
constexpr double kLargestExponent = 200;

__global__ void __launch_bounds__(kThreads) begin_step_kernel(const CacheTables tables) {
  __shared__ double shared_scale;
  const CacheShape& shape = tables.shape;
  if (threadIdx.x == 0) {
    CacheControl& control = *tables.control;
    const int64_t step = ++control.step;
    if (control.first_step < 0) control.first_step = step;
    double scale = 1;
    if (shape.policy == SlotPolicy::kLrfu) {
      const double exponent = static_cast<double>(step - control.first_step) / shape.half_life;
      while (exponent - control.scaled_down >= kLargestExponent) {
        control.scaled_down += kLargestExponent;
        scale = ldexp(scale, -static_cast<int>(kLargestExponent));
      }
      control.weight = exp2(exponent - control.scaled_down);
    }
    control.num_demands = 0;
    control.num_misses = 0;
    control.demand_open = 0;
    store_relaxed(&control.stop, 0);
    shared_scale = scale;
  }
  __syncthreads();
  const double scale = shared_scale;
  if (scale == 1) return;
  const int thread = static_cast<int>(threadIdx.x);
  for (int i = thread; i < shape.layers * shape.experts; i += kThreads) tables.values[i] *= scale;
  for (int i = thread; i < shape.slots; i += kThreads) tables.slots[i].value *= scale;
}

__global__ void end_step_kernel(const CacheTables tables) {
  store_relaxed(&tables.control->stop, 1);
}

/// The strictest alignment first.
CacheTables take_tables(const CacheShape& shape, WorkspaceParts& parts) {
  const int64_t all = int64_t{shape.layers} * shape.experts;
  CacheTables tables{.shape = shape};
  tables.control = parts.take<CacheControl>(1);
  tables.transfers = parts.take<Transfer>(shape.transfers);
  tables.slots = parts.take<CacheSlot>(shape.slots);
  tables.counts = parts.take<CacheCounts>(shape.layers);
  tables.values = parts.take<double>(all);
  tables.slot_of = parts.take<int32_t>(all);
  tables.used = parts.take<int32_t>(shape.layers);
  tables.demands = parts.take<Demand>(kMostCachePairs);
  return tables;
}

}  // namespace

bool can_run_cache(const CacheShape& shape) {
  return shape.layers > 0 && shape.experts > 0 && shape.experts <= kMostCacheExperts &&
         shape.slots > 0 && shape.slots <= kMostCacheSlots && shape.staging >= 0 &&
         shape.transfers >= 0 && shape.transfers <= kMostTransfers;
}

int64_t cache_table_bytes(const CacheShape& shape) {
  WorkspaceParts parts(nullptr);
  take_tables(shape, parts);
  return parts.bytes();
}

CacheTables lay_out_cache(const CacheShape& shape, void* memory) {
  WorkspaceParts parts(memory);
  return take_tables(shape, parts);
}

void clear_cache(const CacheTables& host) {
  const CacheShape& shape = host.shape;
  const int64_t all = int64_t{shape.layers} * shape.experts;
  for (int64_t i = 0; i < all; ++i) {
    host.slot_of[i] = -1;
    host.values[i] = 0;
  }
  for (int i = 0; i < shape.slots; ++i) {
    host.slots[i] = {
        .value = 0, .need = -1, .owner = -1, .transfer = -1, .used_step = -1, .unused = 0};
  }
  for (int i = 0; i < shape.transfers; ++i) {
    host.transfers[i] = {.next = Transfer::kClosed,
                         .done = 0,
                         .expert = -1,
                         .slot = -1,
                         .need = 0,
                         .expected = 0,
                         .state = Transfer::kIdle};
  }
  for (int i = 0; i < shape.layers; ++i) {
    host.used[i] = 0;
    host.counts[i] = {};
  }
  for (int i = 0; i < kMostCachePairs; ++i) host.demands[i] = {-1, -1, -1};
  *host.control = {};
  host.control->step = -1;
  host.control->first_step = -1;
  host.control->weight = 1;
  host.control->stop = 1;
}

cudaError_t cache_begin_step(const CacheTables& tables, cudaStream_t stream) {
  if (!can_run_cache(tables.shape)) return cudaErrorInvalidValue;
  begin_step_kernel<<<1, kThreads, 0, stream>>>(tables);
  return cudaGetLastError();
}

cudaError_t cache_end_step(const CacheTables& tables, cudaStream_t stream) {
  end_step_kernel<<<1, 1, 0, stream>>>(tables);
  return cudaGetLastError();
}

}  // namespace foregate::kernels
