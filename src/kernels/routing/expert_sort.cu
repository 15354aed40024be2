#include "kernels/routing/routing.h"
#include "kernels/vector.cuh"

namespace foregate::kernels {
namespace {

constexpr int kThreads = 1024;
constexpr int kWarps = kThreads / 32;

int64_t num_blocks(int64_t pairs) {
  return (pairs + kThreads - 1) / kThreads;
}

// counts[e][block]: pairs of expert e among the block's kThreads pairs.
__global__ void __launch_bounds__(kThreads)
    count_kernel(const int64_t* __restrict__ chosen, int32_t* __restrict__ counts, int64_t pairs,
                 int experts) {
  __shared__ int32_t bins[kMaxSortedExperts];
  const int thread = static_cast<int>(threadIdx.x);
  if (thread < experts) bins[thread] = 0;
  __syncthreads();
  const int64_t pair = int64_t{blockIdx.x} * kThreads + thread;
  if (pair < pairs) atomicAdd(&bins[chosen[pair]], 1);
  __syncthreads();
  if (thread < experts) counts[int64_t{thread} * gridDim.x + blockIdx.x] = bins[thread];
}

// Exclusive sums of counts, in place, by one block; ends[e] is where expert e's slots end.
__global__ void __launch_bounds__(kThreads)
    scan_kernel(int32_t* __restrict__ counts, int32_t* __restrict__ ends, int blocks, int experts) {
  __shared__ int32_t warp_totals[kWarps];
  const int thread = static_cast<int>(threadIdx.x);
  const int size = blocks * experts;
  int32_t before = 0;
  for (int first = 0; first < size; first += kThreads) {
    const int i = first + thread;
    const int32_t value = i < size ? counts[i] : 0;
    int32_t sum = warp_inclusive_sum(value);
    if (thread % 32 == 31) warp_totals[thread / 32] = sum;
    __syncthreads();
    int32_t total = 0;
    for (int warp = 0; warp < kWarps; ++warp) {
      if (warp < thread / 32) sum += warp_totals[warp];
      total += warp_totals[warp];
    }
    if (i < size) {
      counts[i] = before + sum - value;
      if ((i + 1) % blocks == 0) ends[i / blocks] = before + sum;
    }
    before += total;
    __syncthreads();
  }
}

// A pair's slot: its expert's and block's start, then equal pairs in warps and lanes before it.
__global__ void __launch_bounds__(kThreads)
    place_kernel(const int64_t* __restrict__ chosen, const int32_t* __restrict__ starts,
                 int32_t* __restrict__ slots, int32_t* __restrict__ tokens, int64_t pairs, int k,
                 int experts) {
  __shared__ uint16_t in_warp[kWarps][kMaxSortedExperts];
  const int thread = static_cast<int>(threadIdx.x);
  for (int i = thread; i < kWarps * static_cast<int>(kMaxSortedExperts); i += kThreads) {
    (&in_warp[0][0])[i] = 0;
  }
  __syncthreads();
  const int64_t pair = int64_t{blockIdx.x} * kThreads + thread;
  const bool holds = pair < pairs;
  // Lanes beyond the end match each other only.
  const int expert = holds ? static_cast<int>(chosen[pair]) : -1;
  const unsigned equal = __match_any_sync(0xffffffffU, expert);
  const int rank = __popc(equal & ((1U << (thread % 32)) - 1U));
  if (holds && rank == 0) in_warp[thread / 32][expert] = static_cast<uint16_t>(__popc(equal));
  __syncthreads();
  if (thread < experts) {
    int sum = 0;
    for (int warp = 0; warp < kWarps; ++warp) {
      const int count = in_warp[warp][thread];
      in_warp[warp][thread] = static_cast<uint16_t>(sum);
      sum += count;
    }
  }
  __syncthreads();
  if (!holds) return;
  const int32_t slot =
      starts[int64_t{expert} * gridDim.x + blockIdx.x] + in_warp[thread / 32][expert] + rank;
  slots[pair] = slot;
  tokens[slot] = static_cast<int32_t>(pair / k);
}

}  // namespace

int64_t expert_sort_workspace(int64_t pairs, int64_t experts) {
  return num_blocks(pairs) * experts;
}

cudaError_t expert_sort(const int64_t* chosen, int32_t* slots, int32_t* tokens, int32_t* ends,
                        int32_t* workspace, int64_t pairs, int64_t k, int64_t experts,
                        cudaStream_t stream) {
  if (experts < 1 || experts > kMaxSortedExperts) return cudaErrorInvalidValue;
  if (pairs == 0) return cudaMemsetAsync(ends, 0, experts * sizeof(int32_t), stream);
  const auto blocks = static_cast<unsigned>(num_blocks(pairs));
  const auto bins = static_cast<int>(experts);
  count_kernel<<<blocks, kThreads, 0, stream>>>(chosen, workspace, pairs, bins);
  scan_kernel<<<1, kThreads, 0, stream>>>(workspace, ends, static_cast<int>(blocks), bins);
  place_kernel<<<blocks, kThreads, 0, stream>>>(chosen, workspace, slots, tokens, pairs,
                                                static_cast<int>(k), bins);
  return cudaGetLastError();
}

}  // namespace foregate::kernels
