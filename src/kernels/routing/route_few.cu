#include <cuda_pipeline.h>

#include "kernels/dependent_launch.cuh"
#include "kernels/rms_norm.cuh"
#include "kernels/routing/choose_experts.cuh"
#include "kernels/routing/routing.h"

namespace foregate::kernels {
namespace {

// A block takes kTokens x kExperts logits; it copies its experts before the tokens are there. Eight
// threads share a logit, each has two neighbouring ones of its 16 partial sums (nn/router.h).
constexpr int kThreads = 256;
constexpr int kTokens = static_cast<int>(kRouteTokens);
constexpr int kExperts = 4;
constexpr int kSharing = 8;
static_assert(kTokens * kExperts * kSharing == kThreads && kThreads == kNormThreads);
constexpr int kColumns = static_cast<int>(kMostRouteNorm);  // copied at once
// Rows that a warp reads at once lie in different banks.
constexpr int kStride = kColumns + 16;

template <typename T>
struct Stage {
  alignas(16) float weight[kExperts][kStride];
  alignas(16) T x[kTokens][kStride];
};
static_assert(sizeof(Stage<float>) <= 99 << 10);  // what sm_86 and sm_89 have
constexpr int64_t kMostChoosing = sizeof(Stage<float>::weight) / sizeof(float) / kTokens;

template <typename T>
__device__ void copy_rows(T (*target)[kStride], const T* source, int64_t rows, int size,
                          int64_t hidden) {
  const int packs = size / kWideSize<T>;
  for (int i = static_cast<int>(threadIdx.x); i < rows * packs; i += kThreads) {
    const int row = i / packs;
    const int column = i % packs * kWideSize<T>;
    __pipeline_memcpy_async(&target[row][column], source + row * hidden + column, 16);
  }
}

// Whether this block is the last of those of its tokens.
__device__ bool is_last(int32_t* arrived) {
  __shared__ bool last;
  __threadfence();
  __syncthreads();
  if (threadIdx.x == 0) {
    last = atomicAdd(arrived, 1) == static_cast<int>(gridDim.x) - 1;
    if (last) *arrived = 0;
  }
  __syncthreads();
  __threadfence();
  return last;
}

template <typename T, int kPerLane>
__global__ void __launch_bounds__(kThreads) route_kernel(const __grid_constant__ Route route) {
  extern __shared__ __align__(16) unsigned char memory[];
  __shared__ NormSums norm_sums;
  auto& stage = *reinterpret_cast<Stage<T>*>(memory);
  const auto hidden = static_cast<int>(route.hidden);
  const auto experts = static_cast<int>(route.experts);
  const int first_expert = static_cast<int>(blockIdx.x) * kExperts;
  const int64_t first_token = int64_t{blockIdx.y} * kTokens;
  const int present = min(kExperts, experts - first_expert);
  const int64_t tokens = min(int64_t{kTokens}, route.tokens - first_token);
  const int thread = static_cast<int>(threadIdx.x);
  const int lane = thread % kSharing * 2;
  const int expert = thread / kSharing % kExperts;
  const int token = thread / kSharing / kExperts;
  const bool normalizes = route.norm_weight != nullptr;
  const RowNorm<T, kWideSize<T>> norm(static_cast<const T*>(route.norm_weight),
                                      normalizes ? hidden : 0);
  float2 sum{};
  for (int begin = 0; begin < hidden; begin += kColumns) {
    const int size = min(kColumns, hidden - begin);
    if (begin > 0) __syncthreads();
    copy_rows(stage.weight, route.weight + int64_t{first_expert} * hidden + begin, present, size,
              hidden);
    if (begin == 0) {
      wait_for_previous();
      let_next_begin();
    }
    const T* const x = static_cast<const T*>(route.x) + first_token * hidden + begin;
    if (normalizes) {
      norm.run(x, stage.x[0], route.epsilon, norm_sums);
    } else {
      copy_rows(stage.x, x, tokens, size, hidden);
    }
    __pipeline_commit();
    __pipeline_wait_prior(0);
    __syncthreads();
    if (token >= tokens || expert >= present) continue;
    const float* const weights = stage.weight[expert] + lane;
    const T* const values = stage.x[token] + lane;
#pragma unroll 8
    for (int h = 0; h < size; h += 2 * kSharing) {
      const float2 value = pair_at(values + h);
      const float2 weight = pair_at(weights + h);
      sum.x = fmaf(value.x, weight.x, sum.x);
      sum.y = fmaf(value.y, weight.y, sum.y);
    }
  }
  if (normalizes && blockIdx.x == 0) {
    for (int i = thread; i < hidden; i += kThreads) {
      static_cast<T*>(route.normalized)[i] = stage.x[0][i];
    }
  }
  // sum[i] += sum[i + 8], then + 4, + 2: the one 2 i further lies in the thread i further.
  for (int width = kSharing / 2; width > 0; width /= 2) {
    sum.x += __shfl_xor_sync(0xffffffffU, sum.x, width);
    sum.y += __shfl_xor_sync(0xffffffffU, sum.y, width);
  }
  if (lane == 0 && token < tokens && expert < present) {
    route.logits[(first_token + token) * experts + first_expert + expert] = sum.x + sum.y;
  }
  if (route.chosen == nullptr || !is_last(route.arrived + blockIdx.y)) return;
  auto* const rows = &stage.weight[0][0];
  for (int i = thread; i < tokens * experts; i += kThreads) {
    rows[i] = __ldcg(route.logits + first_token * experts + i);
  }
  __syncthreads();
  if (const int mine = thread / 32; mine < tokens) {
    const int64_t place = (first_token + mine) * route.top_k;
    choose_experts<kPerLane>(rows + mine * experts, route.chosen + place,
                             route.gate_weights + place, experts, static_cast<int>(route.top_k),
                             route.norm_topk);
  }
}

template <typename T>
bool is_possible(const Route& route) {
  return route.tokens >= 1 && route.tokens <= kRouteGroups * kRouteTokens &&
         route.hidden % 16 == 0 && is_wide<T>(route.x, route.hidden) &&
         is_wide<float>(route.weight, route.hidden) &&
         (route.norm_weight == nullptr || (route.tokens == 1 && route.hidden <= kColumns &&
                                           is_wide<T>(route.norm_weight, route.hidden))) &&
         (route.chosen == nullptr || route.experts <= kMostChoosing);
}

template <typename T>
cudaError_t launch(const Route& route, cudaStream_t stream) {
  if (!is_possible<T>(route)) return cudaErrorInvalidValue;
  const dim3 grid(static_cast<unsigned>((route.experts + kExperts - 1) / kExperts),
                  static_cast<unsigned>((route.tokens + kTokens - 1) / kTokens));
  return with_keys_per_lane(route.experts, [&](auto per_lane) {
    const auto kernel = route_kernel<T, per_lane.value>;
    constexpr int kBytes = static_cast<int>(sizeof(Stage<T>));
    const cudaError_t error =
        cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, kBytes);
    if (error != cudaSuccess) return error;
    return launch_early(kernel, {grid, kThreads, kBytes}, stream, route);
  });
}

}  // namespace

bool can_route_few(const Route& route, DType dtype) {
  return with_type(
      dtype, [&](auto* type) { return is_possible<std::remove_pointer_t<decltype(type)>>(route); });
}

cudaError_t route_few(const Route& route, DType dtype, cudaStream_t stream) {
  return with_type(dtype, [&](auto* type) {
    return launch<std::remove_pointer_t<decltype(type)>>(route, stream);
  });
}

}  // namespace foregate::kernels
