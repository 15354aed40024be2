#include "kernels/dependent_launch.cuh"
#include "kernels/routing/choose_experts.cuh"
#include "kernels/routing/routing.h"

namespace foregate::kernels {
namespace {

constexpr int kThreads = 256;
constexpr int kTokensPerBlock = kThreads / 32;

template <int kPerLane>
__global__ void __launch_bounds__(kThreads)
    softmax_topk_kernel(const float* __restrict__ logits, int64_t* __restrict__ chosen,
                        float* __restrict__ gate_weights, int64_t tokens, int experts, int k,
                        bool norm_topk) {
  wait_for_previous();
  let_next_begin();
  const int64_t token = int64_t{blockIdx.x} * kTokensPerBlock + threadIdx.x / 32;
  if (token >= tokens) return;
  choose_experts<kPerLane>(logits + token * experts, chosen + token * k, gate_weights + token * k,
                           experts, k, norm_topk);
}

}  // namespace

cudaError_t softmax_topk(const float* logits, int64_t* chosen, float* gate_weights, int64_t tokens,
                         int64_t experts, int64_t k, bool norm_topk, cudaStream_t stream) {
  if (tokens == 0) return cudaSuccess;
  const auto blocks = static_cast<unsigned>((tokens + kTokensPerBlock - 1) / kTokensPerBlock);
  return with_keys_per_lane(experts, [&](auto per_lane) {
    return launch_early(softmax_topk_kernel<per_lane.value>, {blocks, kThreads}, stream, logits,
                        chosen, gate_weights, tokens, static_cast<int>(experts),
                        static_cast<int>(k), norm_topk);
  });
}

}  // namespace foregate::kernels
