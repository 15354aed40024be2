#pragma once

#include <cuda_runtime_api.h>

#include <cstdint>

#include "kernels/dtype.h"

namespace foregate::kernels {

/// x * weight^T in float32, each logit summed in the one order that nn/router.h fixes: the same
/// bits as on the CPU, whatever the batch.
cudaError_t router_logits(const void* x,        // [tokens, hidden]
                          const float* weight,  // [experts, hidden]
                          float* logits,        // [tokens, experts]
                          int64_t tokens, int64_t experts, int64_t hidden, DType dtype,
                          cudaStream_t stream);

/// Each token's k experts by falling logit, ties by lowest index, NaN last; their softmax weights,
/// divided by their sum if `norm_topk`.
cudaError_t softmax_topk(const float* logits,  // [tokens, experts]
                         int64_t* chosen,      // [tokens, k]
                         float* gate_weights,  // [tokens, k]
                         int64_t tokens, int64_t experts, int64_t k, bool norm_topk,
                         cudaStream_t stream);

inline constexpr int64_t kRouteTokens = 8;  ///< that count their blocks together
inline constexpr int64_t kRouteGroups = 4;  ///< of so many tokens, at most

inline constexpr int64_t kMostRouteNorm = 2048;  ///< elements of a row that it normalises

/// Both of the above of few tokens in one launch, and the norm in front of them.
struct Route {
  const void* x = nullptr;  ///< [tokens, hidden]
  /// [hidden]: x of a single token is normalised by it first, as rms_norm.h has it, and lies in
  /// `normalized` afterwards. Null: x is as it is.
  const void* norm_weight = nullptr;
  void* normalized = nullptr;  ///< [tokens, hidden]
  float epsilon = 0;
  const float* weight = nullptr;  ///< [experts, hidden]
  float* logits = nullptr;        ///< [tokens, experts]
  int64_t* chosen = nullptr;      ///< [tokens, top_k]; null: logits only
  float* gate_weights = nullptr;  ///< [tokens, top_k]
  int32_t* arrived = nullptr;     ///< [kRouteGroups] zeros, which it leaves as zeros
  int64_t tokens = 0;
  int64_t experts = 0;
  int64_t hidden = 0;
  int64_t top_k = 0;
  bool norm_topk = false;
};
bool can_route_few(const Route& route, DType dtype);
cudaError_t route_few(const Route& route, DType dtype, cudaStream_t stream);

inline constexpr int64_t kMaxSortedExperts = 256;

/// Elements of `workspace` that expert_sort needs.
int64_t expert_sort_workspace(int64_t pairs, int64_t experts);

/// Stable counting sort of (token, rank) pairs by expert; experts <= kMaxSortedExperts.
cudaError_t expert_sort(const int64_t* chosen,  // [pairs], 0 <= chosen < experts
                        int32_t* slots,         // [pairs]: place of each pair among the sorted
                        int32_t* tokens,        // [pairs]: token of each place, pair / k
                        int32_t* ends,          // [experts]: end of each expert's slots
                        int32_t* workspace,     // [expert_sort_workspace]
                        int64_t pairs, int64_t k, int64_t experts, cudaStream_t stream);

/// out[slots[t * k + i]] = x[t] for every rank i.
cudaError_t dispatch_rows(const void* x,         // [tokens, hidden]
                          const int32_t* slots,  // [tokens, k]
                          void* out,             // [tokens * k, hidden]
                          int64_t tokens, int64_t k, int64_t hidden, DType dtype,
                          cudaStream_t stream);

/// residual[t] += sum over ranks of gate_weights[t, i] * outputs[slots[t, i]], added up in float32
/// in rank order and rounded once.
cudaError_t combine_rows(const void* outputs,        // [tokens * k, hidden]
                         const int32_t* slots,       // [tokens, k]
                         const float* gate_weights,  // [tokens, k]
                         void* residual,             // [tokens, hidden]
                         int64_t tokens, int64_t k, int64_t hidden, DType dtype,
                         cudaStream_t stream);

}  // namespace foregate::kernels
