#include "nn/attention.h"

#include "gpu_test.h"

namespace foregate {
namespace {

class AttentionOnGpu : public testing::GpuTest {};

TEST_P(AttentionOnGpu, MatchesTheCpu) {
  // Texts of 1, 31, 32, 33, 63, 64, 65, 1 and 510 tokens.
  const std::vector<int32_t> bounds = {0, 1, 32, 64, 97, 160, 224, 289, 290, 800};
  for (const int64_t kv_heads : {4, 2, 1}) {
    for (const int64_t head_dim : {8, 34, 64, 128}) {
      const nn::AttentionShape shape{4, kv_heads, head_dim};
      const torch::Tensor qkv = random({bounds.back(), shape.qkv_size()});
      const torch::Tensor expected =
          nn::attention(qkv.to(torch::kFloat64), {bounds, torch::kCPU}, shape);
      testing::expect_close(nn::attention(testing::gpu(qkv), {bounds, torch::kCUDA}, shape).cpu(),
                            expected, tolerance());
    }
  }
}

// Scores that overflow without the highest being taken off, and one that outweighs all others.
TEST_P(AttentionOnGpu, LargeScores) {
  const std::vector<int32_t> bounds = {0, 100, 300};
  const nn::AttentionShape shape{2, 2, 128};
  const torch::Tensor qkv = random({bounds.back(), shape.qkv_size()});
  qkv.narrow(1, 0, shape.num_heads * shape.head_dim).mul_(30);
  const torch::Tensor expected =
      nn::attention(qkv.to(torch::kFloat64), {bounds, torch::kCPU}, shape);
  testing::expect_close(nn::attention(testing::gpu(qkv), {bounds, torch::kCUDA}, shape).cpu(),
                        expected, tolerance());
}

// What lies in memory behind a text, or in front of it, is nothing to it.
TEST_P(AttentionOnGpu, OtherTextsDoNotMatter) {
  const nn::AttentionShape shape{2, 1, 128};
  const torch::Tensor text = random({70, shape.qkv_size()});
  torch::Tensor other = random({70, shape.qkv_size()});
  other.fill_(std::nan(""));
  const std::vector<int32_t> alone = {0, 70};
  const std::vector<int32_t> between = {0, 70, 140, 210};
  const torch::Tensor all = testing::gpu(torch::cat({other, text, other}));
  const torch::Tensor found = nn::attention(all, {between, torch::kCUDA}, shape).narrow(0, 70, 70);
  EXPECT_TRUE(
      found.equal(nn::attention(testing::gpu(text), {alone, torch::kCUDA}, shape).contiguous()));
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
