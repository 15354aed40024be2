#include "nn/rms_norm.h"

#include <ATen/Parallel.h>
#include <torch/types.h>

#include <array>
#include <cmath>

#include "nn/cuda/available.h"
#include "nn/cuda/norm.h"

namespace foregate::nn {
namespace {

constexpr int64_t kGrainTokens = 32;
constexpr int64_t kNormLanes = 16;

// Several partial sums, so that the compiler may use vector registers.
float mean_square(const float* x, int64_t hidden) {
  std::array<float, kNormLanes> sum{};
  const int64_t whole = hidden / kNormLanes * kNormLanes;
  for (int64_t h = 0; h < whole; h += kNormLanes) {
    for (int64_t i = 0; i < kNormLanes; ++i) sum[i] += x[h + i] * x[h + i];
  }
  for (int64_t h = whole; h < hidden; ++h) sum[h - whole] += x[h] * x[h];
  float total = 0;
  for (const float lane : sum) total += lane;
  return total / static_cast<float>(hidden);
}

// One pass over each row while it is in the cache; ATen would make four over the whole batch.
torch::Tensor rms_norm_cpu_float(const torch::Tensor& x, const torch::Tensor& weight,
                                 float epsilon) {
  const int64_t hidden = x.size(1);
  torch::Tensor result = torch::empty_like(x);
  const float* input = x.const_data_ptr<float>();
  const float* scale = weight.const_data_ptr<float>();
  float* output = result.mutable_data_ptr<float>();
  at::parallel_for(0, x.size(0), kGrainTokens, [&](int64_t begin, int64_t end) {
    for (int64_t t = begin; t < end; ++t) {
      const float* row = input + t * hidden;
      const float factor = 1.0F / std::sqrt(mean_square(row, hidden) + epsilon);
      for (int64_t h = 0; h < hidden; ++h) output[t * hidden + h] = scale[h] * (row[h] * factor);
    }
  });
  return result;
}

}  // namespace

torch::Tensor rms_norm(const torch::Tensor& x, const torch::Tensor& weight, double epsilon) {
  TORCH_CHECK(x.dim() == 2 && weight.dim() == 1 && x.size(1) == weight.size(0), "rms_norm: x is ",
              x.sizes(), ", weight ", weight.sizes(), "; expected [T, H] and [H]");
  TORCH_CHECK(x.scalar_type() == weight.scalar_type(), "rms_norm: x and weight differ in dtype");
  if (x.device().is_cpu() && x.scalar_type() == torch::kFloat32) {
    return rms_norm_cpu_float(x.contiguous(), weight.contiguous(), static_cast<float>(epsilon));
  }
  if (has_cuda_kernels(x)) return rms_norm_cuda(x, weight, epsilon);
  const torch::Tensor values = x.to(torch::kFloat32);
  const torch::Tensor variance = values.square().mean(-1, /*keepdim=*/true);
  return weight * (values * torch::rsqrt(variance + epsilon)).to(x.scalar_type());
}

}  // namespace foregate::nn
