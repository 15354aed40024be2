#include "nn/cuda/thin.h"

#include <torch/types.h>

#include "kernels/thin/thin.h"
#include "nn/cuda/launch.h"
#include "tensor/weight/quantized_rows.h"

namespace foregate::nn {
namespace {

#pragma GCC diagnostic push
#pragma GCC diagnostic error "-Wswitch"  // a kind without its kernel does not compile
kernels::MatrixCodes codes_of(tensor::Quantization quantization) {
  switch (quantization) {
    case tensor::Quantization::kNone:
      return kernels::MatrixCodes::kBFloat16;
    case tensor::Quantization::kInt8:
      return kernels::MatrixCodes::kInt8;
    case tensor::Quantization::kNf4:
      return kernels::MatrixCodes::kNf4;
  }
  __builtin_unreachable();
}
#pragma GCC diagnostic pop

kernels::ThinMatrix matrix_of(const tensor::Weight& weight) {
  return {.codes = weight.codes().const_data_ptr(),
          .scales = weight.is_quantized() ? weight.scales().const_data_ptr<float>() : nullptr,
          .values = tensor::kNf4Values.data(),
          .kind = codes_of(weight.quantization()),
          .n = weight.size(-2),
          .k = weight.size(-1)};
}

bool can_run(const tensor::Weight& weight) {
  const bool dense = !weight.is_quantized();
  return weight.device().is_cuda() && weight.codes().is_contiguous() &&
         (dense ? weight.dense().scalar_type() == torch::kBFloat16
                : weight.scales().is_contiguous()) &&
         kernels::can_run_thin(matrix_of(weight));
}

bool are_few(const torch::Tensor& x) {
  return x.is_cuda() && x.scalar_type() == torch::kBFloat16 && x.is_contiguous() && x.size(0) > 0 &&
         x.size(0) <= kernels::kThinRows;
}

kernels::ThinNorm norm_of(const RowsBeforeNorm& rows) {
  if (!rows.weight.defined()) return {};
  return {.weight = rows.weight.const_data_ptr(), .epsilon = static_cast<float>(rows.epsilon)};
}

void run(const torch::Tensor& x, const tensor::Weight& weight, const torch::Tensor& bias,
         const torch::Tensor& row_scale, kernels::ThinResult result, const torch::Tensor& out) {
  const kernels::ThinLinear linear{
      .x = x.const_data_ptr(),
      .rows = x.size(0),
      .weight = matrix_of(weight),
      .bias = bias.defined() ? bias.const_data_ptr() : nullptr,
      .row_scale = row_scale.defined() ? row_scale.const_data_ptr<float>() : nullptr,
      .result = result,
      .out = out.mutable_data_ptr()};
  on_stream_of(x, [&](cudaStream_t stream) { return kernels::thin_linear(linear, stream); });
}

}  // namespace

bool has_thin_linear_cuda(const torch::Tensor& x, const tensor::Weight& weight) {
  return are_few(x) && can_run(weight);
}

bool normalizes_in_thin_linear_cuda(const torch::Tensor& x, const tensor::Weight& weight) {
  return has_thin_linear_cuda(x, weight) && x.size(0) == 1 &&
         kernels::can_normalize_thin(matrix_of(weight));
}

torch::Tensor thin_rotated_linear_cuda(const RotatedThinLinear& linear) {
  const torch::Tensor& x = linear.x.rows;
  torch::Tensor result = torch::empty({x.size(0), linear.weight.size(0)}, x.options());
  const kernels::ThinLinear product{
      .x = x.const_data_ptr(),
      .norm = norm_of(linear.x),
      .rows = x.size(0),
      .weight = matrix_of(linear.weight),
      .bias = linear.bias.defined() ? linear.bias.const_data_ptr() : nullptr,
      .rotation = {.positions = linear.positions.const_data_ptr<int64_t>(),
                   .cos = linear.angles.cos.const_data_ptr(),
                   .sin = linear.angles.sin.const_data_ptr(),
                   .heads = linear.heads,
                   .head_dim = linear.head_dim},
      .out = result.mutable_data_ptr()};
  on_stream_of(x, [&](cudaStream_t stream) { return kernels::thin_linear(product, stream); });
  return result;
}

torch::Tensor thin_linear_cuda(const torch::Tensor& x, const tensor::Weight& weight,
                               const torch::Tensor& bias, torch::ScalarType dtype) {
  torch::Tensor result = torch::empty({x.size(0), weight.size(0)}, x.options().dtype(dtype));
  run(x, weight, bias, {},
      dtype == torch::kFloat32 ? kernels::ThinResult::kFloat : kernels::ThinResult::kStore, result);
  return result;
}

void add_thin_linear_cuda(torch::Tensor& residual, const torch::Tensor& x,
                          const tensor::Weight& weight, const torch::Tensor& bias) {
  run(x, weight, bias, {}, kernels::ThinResult::kAdd, residual);
}

torch::Tensor thin_silu_linear_cuda(const torch::Tensor& x, const tensor::Weight& weight,
                                    const torch::Tensor& row_scale) {
  torch::Tensor result = torch::empty({x.size(0), weight.size(0) / 2}, x.options());
  run(x, weight, {}, row_scale, kernels::ThinResult::kSiluProduct, result);
  return result;
}

bool has_thin_experts_cuda(const torch::Tensor& x, const ExpertWeights& experts,
                           const MlpWeights& shared) {
  if (!are_few(x) || !experts.is_plain() || !can_run(experts.gate_up) || !can_run(experts.down) ||
      experts.down.quantization() != experts.gate_up.quantization() ||
      experts.num_experts() > kernels::kMostThinExperts) {
    return false;
  }
  return !shared.gate_up.defined() ||
         (can_run(shared.gate_up) && can_run(shared.down) &&
          shared.gate_up.quantization() == experts.gate_up.quantization() &&
          shared.down.quantization() == experts.gate_up.quantization());
}

void add_thin_experts_cuda(torch::Tensor& residual, const torch::Tensor& x, const Routing& routing,
                           const ExpertWeights& experts, const MlpWeights& shared,
                           const torch::Tensor& shared_gate, const RowsBeforeNorm& before) {
  const torch::Tensor chosen = routing.experts.contiguous();
  const torch::Tensor gate_weights = routing.gate_weights.contiguous();
  kernels::ThinExperts problem{
      .x = x.const_data_ptr(),
      .tokens = x.size(0),
      .experts = experts.num_experts(),
      .top_k = chosen.size(1),
      .chosen = chosen.const_data_ptr<int64_t>(),
      .matrices = experts.matrices.defined() ? experts.matrices.const_data_ptr<int32_t>() : nullptr,
      .gate_weights = gate_weights.const_data_ptr<float>(),
      .gate_up = matrix_of(experts.gate_up),
      .down = matrix_of(experts.down),
      .residual = residual.mutable_data_ptr()};
  if (shared.gate_up.defined()) {
    problem.shared_gate_up = matrix_of(shared.gate_up);
    problem.shared_down = matrix_of(shared.down);
    if (shared_gate.defined()) problem.shared_gate = shared_gate.const_data_ptr();
  }
  if (before.weight.defined() && x.size(0) == 1 && kernels::can_normalize_thin(problem.gate_up)) {
    problem.x = before.rows.const_data_ptr();
    problem.norm = norm_of(before);
    problem.norm.x_is_settled = true;
  }
  const torch::Tensor workspace =
      torch::empty({kernels::thin_experts_workspace(problem)}, x.options().dtype(torch::kUInt8));
  problem.workspace = workspace.mutable_data_ptr();
  on_stream_of(x, [&](cudaStream_t stream) { return kernels::thin_experts(problem, stream); });
}

}  // namespace foregate::nn
