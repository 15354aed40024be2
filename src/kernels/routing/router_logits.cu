#include <cuda_pipeline.h>

#include "kernels/routing/routing.h"
#include "kernels/vector.cuh"

namespace foregate::kernels {
namespace {

// Partial sums of a logit, as nn/router.h has them: sum[h % 16].
constexpr int kLanes = 16;

// The tile of a block, kTokens x kExperts, in chunks of the hidden size. A thread holds
// two neighbouring lanes of kThreadTokens x kThreadExperts logits; 8 threads share those logits.
constexpr int kTokens = 32;
constexpr int kExperts = 64;
constexpr int kThreadTokens = 8;
constexpr int kThreadExperts = 8;
constexpr int kThreads = 256;
constexpr int kTokenGroups = kTokens / kThreadTokens;
constexpr int kExpertGroups = kExperts / kThreadExperts;
static_assert(kTokenGroups * kExpertGroups * kLanes / 2 == kThreads);

// Two chunks at once must fit into the 99 KB of shared memory that sm_86 and sm_89 have.
template <typename T>
inline constexpr int kChunk = 256 / static_cast<int>(sizeof(T));
// Rows lie 16 elements further apart than they are long: the rows that a warp reads at once then
// lie in different banks.
template <typename T>
inline constexpr int kStride = kChunk<T> + 16;

template <typename T>
struct Stage {
  alignas(16) T x[kTokens][kStride<T>];
  alignas(16) float weight[kExperts][kStride<T>];
};

// Starts copying a chunk of `rows` rows; those at and beyond `present` are left as they are, and
// their logits are not written.
template <int kRows, int kSize, typename T>
__device__ void copy_chunk(T (*target)[kSize + 16], const T* source, int64_t present, int hidden) {
  constexpr int kPacks = kSize / kWideSize<T>;
  for (int i = static_cast<int>(threadIdx.x); i < kRows * kPacks; i += kThreads) {
    const int row = i / kPacks;
    const int column = i % kPacks * kWideSize<T>;
    if (row < present) {
      __pipeline_memcpy_async(&target[row][column], source + row * hidden + column, 16);
    }
  }
}

template <typename T>
__global__ void __launch_bounds__(kThreads)
    tiled_kernel(const T* __restrict__ x, const float* __restrict__ weight,
                 float* __restrict__ logits, int64_t tokens, int experts, int hidden) {
  extern __shared__ __align__(16) unsigned char memory[];
  auto* stages = reinterpret_cast<Stage<T>*>(memory);
  const int64_t first_token = int64_t{blockIdx.x} * kTokens;
  const int first_expert = static_cast<int>(blockIdx.y) * kExperts;
  const int chunks = hidden / kChunk<T>;
  const auto start_chunk = [&](int chunk) {
    Stage<T>& stage = stages[chunk % 2];
    const int64_t column = int64_t{chunk} * kChunk<T>;
    copy_chunk<kTokens, kChunk<T>>(stage.x, x + first_token * hidden + column, tokens - first_token,
                                   hidden);
    copy_chunk<kExperts, kChunk<T>>(stage.weight, weight + int64_t{first_expert} * hidden + column,
                                    experts - first_expert, hidden);
    __pipeline_commit();
  };

  // A warp is 2 token groups x 2 expert groups x 8 lane pairs. One barrier a chunk: the next one
  // is copied to where the one before was read from.
  const int thread = static_cast<int>(threadIdx.x);
  const int lane = thread % 8 * 2;
  const int warp = thread / 32;
  const int token_group = thread / 8 % 2 + warp % 2 * 2;
  const int expert_group = thread / 16 % 2 + warp / 2 * 2;
  float2 sum[kThreadTokens][kThreadExperts] = {};
  start_chunk(0);
  for (int chunk = 0; chunk < chunks; ++chunk) {
    __pipeline_wait_prior(0);
    __syncthreads();
    if (chunk + 1 < chunks) start_chunk(chunk + 1);
    const Stage<T>& stage = stages[chunk % 2];
#pragma unroll
    for (int h = 0; h < kChunk<T>; h += kLanes) {
      float2 w[kThreadExperts];
#pragma unroll
      for (int e = 0; e < kThreadExperts; ++e) {
        w[e] = pair_at(&stage.weight[expert_group + e * kExpertGroups][h + lane]);
      }
#pragma unroll
      for (int t = 0; t < kThreadTokens; ++t) {
        const float2 value = pair_at(&stage.x[token_group + t * kTokenGroups][h + lane]);
#pragma unroll
        for (int e = 0; e < kThreadExperts; ++e) {
          sum[t][e].x = fmaf(value.x, w[e].x, sum[t][e].x);
          sum[t][e].y = fmaf(value.y, w[e].y, sum[t][e].y);
        }
      }
    }
  }

#pragma unroll
  for (int t = 0; t < kThreadTokens; ++t) {
#pragma unroll
    for (int e = 0; e < kThreadExperts; ++e) {
      float2 total = sum[t][e];
      // sum[i] += sum[i + 8], then + 4, + 2: the lane 2 i further lies in the thread i further.
      for (int width = 4; width > 0; width /= 2) {
        total.x += __shfl_xor_sync(0xffffffffU, total.x, width);
        total.y += __shfl_xor_sync(0xffffffffU, total.y, width);
      }
      const int64_t token = first_token + token_group + t * kTokenGroups;
      const int expert = first_expert + expert_group + e * kExpertGroups;
      if (lane == 0 && token < tokens && expert < experts) {
        logits[token * experts + expert] = total.x + total.y;
      }
    }
  }
}

// Any hidden size: half a warp a logit.
template <typename T>
__global__ void __launch_bounds__(256)
    plain_kernel(const T* __restrict__ x, const float* __restrict__ weight,
                 float* __restrict__ logits, int64_t tokens, int experts, int hidden) {
  const int64_t logit = (int64_t{blockIdx.x} * blockDim.x + threadIdx.x) / kLanes;
  if (logit - logit % 2 >= tokens * experts) return;  // both halves, so that all may shuffle
  const bool holds = logit < tokens * experts;
  const T* row = x + logit / experts * hidden;
  const float* weights = weight + logit % experts * hidden;
  float sum = 0;
  for (int h = static_cast<int>(threadIdx.x) % kLanes; holds && h < hidden; h += kLanes) {
    sum = fmaf(to_float(row[h]), weights[h], sum);
  }
  for (int width = kLanes / 2; width > 0; width /= 2) {
    sum += __shfl_xor_sync(0xffffffffU, sum, width);
  }
  if (holds && threadIdx.x % kLanes == 0) logits[logit] = sum;
}

template <typename T>
cudaError_t launch(const void* x, const float* weight, float* logits, int64_t tokens,
                   int64_t experts, int64_t hidden, cudaStream_t stream) {
  const auto* rows = static_cast<const T*>(x);
  if (hidden % kChunk<T> != 0 || !is_wide<T>(x, hidden) || !is_wide<float>(weight, hidden)) {
    const auto blocks = static_cast<unsigned>((tokens * experts * kLanes + 255) / 256);
    plain_kernel<<<blocks, 256, 0, stream>>>(rows, weight, logits, tokens,
                                             static_cast<int>(experts), static_cast<int>(hidden));
    return cudaGetLastError();
  }
  constexpr int kBytes = 2 * static_cast<int>(sizeof(Stage<T>));
  const cudaError_t error =
      cudaFuncSetAttribute(tiled_kernel<T>, cudaFuncAttributeMaxDynamicSharedMemorySize, kBytes);
  if (error != cudaSuccess) return error;
  const dim3 grid(static_cast<unsigned>((tokens + kTokens - 1) / kTokens),
                  static_cast<unsigned>((experts + kExperts - 1) / kExperts));
  tiled_kernel<<<grid, kThreads, kBytes, stream>>>(
      rows, weight, logits, tokens, static_cast<int>(experts), static_cast<int>(hidden));
  return cudaGetLastError();
}

}  // namespace

cudaError_t router_logits(const void* x, const float* weight, float* logits, int64_t tokens,
                          int64_t experts, int64_t hidden, DType dtype, cudaStream_t stream) {
  if (tokens == 0) return cudaSuccess;
  const Route few{.x = x,
                  .weight = weight,
                  .logits = logits,
                  .tokens = tokens,
                  .experts = experts,
                  .hidden = hidden};
  if (can_route_few(few, dtype)) return route_few(few, dtype, stream);
  return with_type(dtype, [&](auto* type) {
    return launch<std::remove_pointer_t<decltype(type)>>(x, weight, logits, tokens, experts, hidden,
                                                         stream);
  });
}

}  // namespace foregate::kernels
