#pragma once

#include <torch/types.h>

#include "nn/attention.h"
#include "nn/rope.h"
#include "nn/router.h"
#include "tensor/weight/weight.h"

namespace foregate::nn {

/// Whether the CUDA kernels are part of this build. Where they are not, operations on GPU tensors
/// fall back to ATen.
#ifdef FOREGATE_CUDA
inline constexpr bool kCudaKernels = true;
#else
inline constexpr bool kCudaKernels = false;
#endif

// The operations of this folder on CUDA tensors, by the kernels of kernels/, on the current stream.
// Shapes have been checked; float32, bfloat16 or float16. Defined in builds with CUDA only.

torch::Tensor rms_norm_cuda(const torch::Tensor& x,       // [T, H]
                            const torch::Tensor& weight,  // [H]
                            double epsilon);              // -> [T, H]

torch::Tensor gather_rms_norm_cuda(const torch::Tensor& states,  // [N, L, H]
                                   const torch::Tensor& tokens,  // [B] int64
                                   double epsilon,
                                   torch::ScalarType dtype);  // -> [L, B, H] dtype

void rope_cuda(torch::Tensor& rows,             // [T, >= heads * 2 * half]
               const torch::Tensor& positions,  // [T] int64
               const torch::Tensor& cos,        // [P, half]
               const torch::Tensor& sin,        // [P, half]
               int64_t heads);

/// Whether attention_cuda takes such heads: of 64 or 128, in 16 bits.
bool has_attention_cuda(const torch::Tensor& qkv, const PackedTexts& texts,
                        const AttentionShape& shape);

torch::Tensor attention_cuda(const torch::Tensor& qkv,  // [T, (num_heads + 2 num_kv_heads) * D]
                             const PackedTexts& texts,
                             const AttentionShape& shape);  // -> [T, num_heads * D]

torch::Tensor router_logits_cuda(const torch::Tensor& x,        // [T, H]
                                 const torch::Tensor& weight);  // [E, H] float32 -> [T, E]

Routing route_cuda(const torch::Tensor& logits,  // [T, E] float32
                   int64_t k, bool norm_topk);

/// silu(gate) * up, each row times its scale if there are scales.
torch::Tensor silu_product_cuda(const torch::Tensor& gate_up,     // [N, 2I]
                                const torch::Tensor& row_scale);  // [N] float32, or undefined

/// sigmoid(x * weight).
torch::Tensor sigmoid_gate_cuda(const torch::Tensor& x,        // [T, H]
                                const torch::Tensor& weight);  // [1, H] -> [T] float32

/// The values of a quantised weight, in one kernel.
torch::Tensor dequantize_cuda(const tensor::Weight& weight,  // [rows, N] or [E, rows, N]
                              torch::ScalarType dtype);      // -> of the same shape

/// Where the k rows of each token lie when rows are sorted by expert.
struct ExpertOrder {
  torch::Tensor slots;   ///< [T, k] int32
  torch::Tensor tokens;  ///< [T * k] int32: the token of each row
  torch::Tensor ends;    ///< [E] int32: end of each expert's rows
};

ExpertOrder sort_by_expert_cuda(const torch::Tensor& chosen,  // [T, k] int64
                                int64_t num_experts);

/// Products of rows sorted by group with their group's matrix.
struct GroupedLinear {
  torch::Tensor weight{};     ///< [G, N, K]
  torch::Tensor x_rows{};     ///< [R] int32: the rows of x to take; undefined: x as it is
  torch::Tensor ends{};       ///< [G] int32 on the device; undefined if there is one group
  bool silu_product = false;  ///< N is gate rows, then up rows: return silu(gate) * up
  torch::Tensor row_scale{};  ///< [R] float32, with silu_product only; may be undefined
};

/// Whether grouped_linear_cuda takes these rows: bfloat16, sizes in whole 16 bytes.
bool has_grouped_linear_cuda(const torch::Tensor& x, const torch::Tensor& weight);

/// Whether grouped_linear_cuda runs on Hopper's own instructions: it takes `x_rows`, and with one
/// group and what is fused into it, it is faster than a library's product and a kernel behind it.
bool is_hopper_cuda(const torch::Tensor& x);

torch::Tensor grouped_linear_cuda(const torch::Tensor& x,        // [R, K] bfloat16, or [any, K]
                                  const GroupedLinear& linear);  // -> [R, N] or [R, N / 2]

/// x * weight^T + bias, whose first heads are rotated.
struct RotatedLinear {
  torch::Tensor weight;     ///< [N, K]
  torch::Tensor bias;       ///< [N], or undefined
  torch::Tensor positions;  ///< [R] int64
  RotaryAngles angles;      ///< of all positions
  int64_t heads = 0;        ///< to rotate
};

/// Whether rotated_linear_cuda does it: bfloat16, heads of 128, on Hopper.
bool has_rotated_linear_cuda(const torch::Tensor& x, const RotatedLinear& linear);

torch::Tensor rotated_linear_cuda(const torch::Tensor& x,        // [R, K] bfloat16
                                  const RotatedLinear& linear);  // -> [R, N]

torch::Tensor dispatch_rows_cuda(const torch::Tensor& x,       // [T, H]
                                 const torch::Tensor& slots);  // [T, k] -> [T * k, H]

/// residual[t] += sum over i of gate_weights[t, i] * outputs[slots[t, i]].
void combine_rows_cuda(torch::Tensor& residual,             // [T, H]
                       const torch::Tensor& outputs,        // [T * k, H]
                       const torch::Tensor& slots,          // [T, k] int32
                       const torch::Tensor& gate_weights);  // [T, k] float32

}  // namespace foregate::nn
