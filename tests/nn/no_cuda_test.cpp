#include <gtest/gtest.h>
#include <torch/types.h>

#include <stdexcept>

#include "nn/cuda/attention.h"
#include "nn/cuda/available.h"
#include "nn/cuda/expert_cache.h"
#include "nn/cuda/grouped_linear.h"
#include "nn/cuda/norm.h"
#include "nn/cuda/paged_attention.h"
#include "nn/cuda/thin.h"

namespace foregate {
namespace {

// Compiled into builds without CUDA only, as nn/no_cuda.cpp is.
TEST(NoCuda, AnswersNoAndRunsNothing) {
  const torch::Tensor rows = torch::ones({2, 3 * 64});
  const std::vector<int32_t> cu_seqlens = {0, 2};
  EXPECT_FALSE(nn::has_cuda_kernels(rows));
  EXPECT_FALSE(nn::has_attention_cuda(rows, {cu_seqlens, torch::kCPU}, {1, 1, 64}));
  EXPECT_FALSE(nn::has_rotated_linear_cuda(rows, {}));
  EXPECT_FALSE(nn::has_thin_linear_cuda(rows, rows));
  EXPECT_FALSE(nn::has_thin_experts_cuda(rows, {}, {}));
  EXPECT_FALSE(nn::has_paged_attention_cuda(rows, {1, 1, 64}));
  EXPECT_THROW(nn::thin_linear_cuda(rows, rows, {}, torch::kFloat32), std::logic_error);
  EXPECT_THROW(nn::DeviceExpertCache({}, {}, {}, torch::kCPU), std::logic_error);
  EXPECT_THROW(nn::rms_norm_cuda(rows, rows[0], 1e-6), std::logic_error);
}

}  // namespace
}  // namespace foregate
