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

// Pairs are `distance` apart, and follow each other by `step`.
void rotate_head(float* head, const float* cos, const float* sin, int64_t pairs, int64_t distance,
                 int64_t step) {
  for (int64_t i = 0; i < pairs; ++i) {
    float* first = head + i * step;
    const float low = first[0];
    const float high = first[distance];
    first[0] = low * cos[i] - high * sin[i];
    first[distance] = high * cos[i] + low * sin[i];
  }
}

void apply_cpu_float(const torch::Tensor& heads, const torch::Tensor& positions, bool interleaved,
                     const torch::Tensor& cos, const torch::Tensor& sin) {
  const int64_t pairs = cos.size(1);
  const int64_t row_stride = heads.stride(0);
  const int64_t head_stride = heads.stride(1);
  const int64_t count = heads.size(1);
  float* data = heads.mutable_data_ptr<float>();
  const auto* position = positions.const_data_ptr<int64_t>();
  const float* cos_data = cos.const_data_ptr<float>();
  const float* sin_data = sin.const_data_ptr<float>();
  at::parallel_for(0, heads.size(0), kRopeGrain, [&](int64_t begin, int64_t end) {
    for (int64_t t = begin; t < end; ++t) {
      const float* row_cos = cos_data + position[t] * pairs;
      const float* row_sin = sin_data + position[t] * pairs;
      for (int64_t head = 0; head < count; ++head) {
        float* first = data + t * row_stride + head * head_stride;
        if (interleaved) {
          rotate_head(first, row_cos, row_sin, pairs, 1, 2);
        } else {
          rotate_head(first, row_cos, row_sin, pairs, pairs, 1);
        }
      }
    }
  });
}

}  // namespace

Rope::Rope(const Rotary& rotary, torch::Device device, torch::ScalarType dtype)
    : width_(rotary.width()), pairs_(rotary.pairs), factor_(rotary.factor), dtype_(dtype) {
  TORCH_CHECK(width_ > 0, "rope: nothing turns");
  inverse_frequency_ = torch::tensor(rotary.inverse_frequencies).to(device);
  grow(kFirstPositions);
}

void Rope::grow(int64_t positions) {
  const torch::Tensor position = torch::arange(positions, inverse_frequency_.options());
  const torch::Tensor angle = torch::outer(position, inverse_frequency_);
  angles_ = {(angle.cos() * factor_).to(dtype_), (angle.sin() * factor_).to(dtype_)};
}

const RotaryAngles& Rope::angles(int64_t max_position) {
  const int64_t known = angles_.cos.size(0);
  if (max_position >= known) grow(std::max(max_position + 1, 2 * known));
  return angles_;
}

void Rope::apply(const torch::Tensor& heads, const torch::Tensor& positions, int64_t max_position) {
  TORCH_CHECK(heads.dim() == 3 && heads.size(2) >= width_ && heads.stride(2) == 1 &&
                  heads.scalar_type() == dtype_,
              "rope: heads are ", heads.scalar_type(), " ", heads.sizes(), "; expected ", dtype_,
              " [T, n, >= ", width_, "]");
  TORCH_CHECK(positions.dim() == 1 && positions.size(0) == heads.size(0), "rope: positions are ",
              positions.sizes(), "; expected [", heads.size(0), "]");
  const auto& [all_cos, all_sin] = angles(max_position);
  const bool interleaved = pairs_ == Rotary::Pairs::kInterleaved;
  if (heads.device().is_cpu() && dtype_ == torch::kFloat32) {
    apply_cpu_float(heads, positions, interleaved, all_cos, all_sin);
    return;
  }
  if (has_cuda_kernels(heads) && turns_halves_of(heads.stride(1))) {
    rope_cuda(heads, positions, all_cos, all_sin);
    return;
  }
  const int64_t pairs = width_ / 2;
  const auto ends = [&](int64_t which) {
    return interleaved ? heads.slice(2, which, width_, 2) : heads.narrow(2, which * pairs, pairs);
  };
  torch::Tensor low = ends(0);
  torch::Tensor high = ends(1);
  const torch::Tensor cos = all_cos.index_select(0, positions).unsqueeze(1);
  const torch::Tensor sin = all_sin.index_select(0, positions).unsqueeze(1);
  const torch::Tensor new_low = low * cos - high * sin;
  high.copy_(high * cos + low * sin);
  low.copy_(new_low);
}

}  // namespace foregate::nn
