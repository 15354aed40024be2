#include "nn/attention.h"

#include "gpu_test.h"

namespace foregate {
namespace {

class AttentionOnGpu : public testing::GpuTest {};

TEST_P(AttentionOnGpu, MatchesTheCpu) {
  const std::vector<int32_t> bounds = {0, 1, 32, 64, 97, 98, 300};
  for (const int64_t kv_heads : {4, 2, 1}) {
    for (const int64_t head_dim : {8, 34, 64, 128}) {
      const nn::AttentionShape shape{4, kv_heads, head_dim};
      const torch::Tensor qkv = random({300, shape.qkv_size()});
      const torch::Tensor expected =
          nn::attention(qkv.to(torch::kFloat64), {bounds, torch::kCPU}, shape);
      testing::expect_close(nn::attention(testing::gpu(qkv), {bounds, torch::kCUDA}, shape).cpu(),
                            expected, tolerance());
    }
  }
}

TEST_P(AttentionOnGpu, NoTokens) {
  const nn::AttentionShape shape{2, 1, 8};
  const std::vector<int32_t> none = {0};
  const torch::Tensor qkv = testing::gpu(random({0, shape.qkv_size()}));
  EXPECT_EQ(nn::attention(qkv, {none, torch::kCUDA}, shape).sizes(), (std::vector<int64_t>{0, 16}));
}

INSTANTIATE_TEST_SUITE_P(Dtypes, AttentionOnGpu, testing::compute_dtypes());

}  // namespace
}  // namespace foregate
