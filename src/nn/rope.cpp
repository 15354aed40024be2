#include "nn/rope.h"

#include <ATen/Parallel.h>
#include <torch/types.h>

#include <algorithm>

#include "nn/cuda/available.h"
#include "nn/cuda/rope.h"

namespace foregate::nn {
namespace {

constexpr int64_t kRopeGrain = 32;
constexpr int64_t kFirstPositions = 512;

void rotate_head(float* head, const float* cos, const float* sin, int64_t half) {
  for (int64_t i = 0; i < half; ++i) {
    const float low = head[i];
    const float high = head[i + half];
    head[i] = low * cos[i] - high * sin[i];
    head[i + half] = high * cos[i] + low * sin[i];
  }
}

void apply_cpu_float(torch::Tensor& rows, const torch::Tensor& positions, int64_t heads,
                     const torch::Tensor& cos, const torch::Tensor& sin) {
  const int64_t half = cos.size(1);
  const int64_t stride = rows.size(1);
  float* data = rows.mutable_data_ptr<float>();
  const auto* position = positions.const_data_ptr<int64_t>();
  const float* cos_data = cos.const_data_ptr<float>();
  const float* sin_data = sin.const_data_ptr<float>();
  at::parallel_for(0, rows.size(0), kRopeGrain, [&](int64_t begin, int64_t end) {
    for (int64_t t = begin; t < end; ++t) {
      for (int64_t head = 0; head < heads; ++head) {
        rotate_head(data + t * stride + head * 2 * half, cos_data + position[t] * half,
                    sin_data + position[t] * half, half);
      }
    }
  });
}

}  // namespace

Rope::Rope(int64_t head_dim, double theta, torch::Device device, torch::ScalarType dtype)
    : head_dim_(head_dim), dtype_(dtype) {
  TORCH_CHECK(head_dim > 0 && head_dim % 2 == 0, "rope: head_dim is ", head_dim, "; expected even");
  const auto options = torch::TensorOptions().dtype(torch::kFloat32).device(device);
  const torch::Tensor exponent =
      torch::arange(0, head_dim, 2, options) / static_cast<double>(head_dim);
  inverse_frequency_ = 1.0 / torch::pow(theta, exponent);
  grow(kFirstPositions);
}

void Rope::grow(int64_t positions) {
  const torch::Tensor position = torch::arange(positions, inverse_frequency_.options());
  const torch::Tensor angle = torch::outer(position, inverse_frequency_);
  angles_ = {angle.cos().to(dtype_), angle.sin().to(dtype_)};
}

const RotaryAngles& Rope::angles(int64_t max_position) {
  const int64_t known = angles_.cos.size(0);
  if (max_position >= known) grow(std::max(max_position + 1, 2 * known));
  return angles_;
}

void Rope::apply(torch::Tensor& rows, const torch::Tensor& positions, int64_t heads,
                 int64_t max_position) {
  const int64_t tokens = rows.size(0);
  TORCH_CHECK(
      rows.is_contiguous() && rows.size(1) >= heads * head_dim_ && rows.scalar_type() == dtype_,
      "rope: rows are ", rows.sizes(), "; expected [T, >= ", heads * head_dim_, "]");
  TORCH_CHECK(positions.dim() == 1 && positions.size(0) == tokens, "rope: positions are ",
              positions.sizes(), "; expected [", tokens, "]");
  const auto& [all_cos, all_sin] = angles(max_position);
  if (rows.device().is_cpu() && dtype_ == torch::kFloat32) {
    apply_cpu_float(rows, positions, heads, all_cos, all_sin);
    return;
  }
  if (has_cuda_kernels(rows)) {
    rope_cuda(rows, positions, all_cos, all_sin, heads);
    return;
  }
  const torch::Tensor turned =
      rows.narrow(1, 0, heads * head_dim_).view({tokens, heads, head_dim_});
  torch::Tensor low = turned.narrow(2, 0, head_dim_ / 2);
  torch::Tensor high = turned.narrow(2, head_dim_ / 2, head_dim_ / 2);
  const torch::Tensor cos = all_cos.index_select(0, positions).unsqueeze(1);
  const torch::Tensor sin = all_sin.index_select(0, positions).unsqueeze(1);
  const torch::Tensor new_low = low * cos - high * sin;
  high.copy_(high * cos + low * sin);
  low.copy_(new_low);
}

}  // namespace foregate::nn
