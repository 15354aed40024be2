#include "nn/attention/attention.h"

#include "gpu_test.h"
#include "nn/cuda/attention.h"

namespace foregate {
namespace {

class AttentionOnGpu : public testing::GpuTest {};

TEST_P(AttentionOnGpu, MatchesTheCpu) {
  // Texts of 1, 31, 32, 33, 63, 64, 65, 1 and 510 tokens.
  const std::vector<int32_t> cu_seqlens = {0, 1, 32, 64, 97, 160, 224, 289, 290, 800};
  for (const int64_t kv_heads : {4, 2, 1}) {
    for (const int64_t head_dim : {8, 34, 64, 128}) {
      const nn::AttentionShape shape{4, kv_heads, head_dim};
      const torch::Tensor qkv = random({cu_seqlens.back(), shape.qkv_size()});
      const torch::Tensor expected =
          nn::attention(qkv.to(torch::kFloat64), {cu_seqlens, torch::kCPU}, shape);
      const torch::Tensor found =
          nn::attention(testing::gpu(qkv), {cu_seqlens, torch::kCUDA}, shape).cpu();
      testing::expect_close(found, expected, tolerance());
      // Rows far into a text are means of many values, and small: a key left out shows there.
      testing::expect_close(found.slice(0, 600), expected.slice(0, 600), tolerance());
    }
  }
}

// Scores that overflow without the highest being taken off, and one that outweighs all others.
TEST_P(AttentionOnGpu, LargeScores) {
  const std::vector<int32_t> cu_seqlens = {0, 100, 300};
  const nn::AttentionShape shape{2, 2, 128};
  const torch::Tensor qkv = random({cu_seqlens.back(), shape.qkv_size()});
  qkv.narrow(1, 0, shape.num_heads * shape.head_dim).mul_(30);
  const torch::Tensor expected =
      nn::attention(qkv.to(torch::kFloat64), {cu_seqlens, torch::kCPU}, shape);
  testing::expect_close(nn::attention(testing::gpu(qkv), {cu_seqlens, torch::kCUDA}, shape).cpu(),
                        expected, tolerance());
}

// What lies in memory behind a text, or in front of it, is nothing to it.
TEST_P(AttentionOnGpu, OtherTextsDoNotMatter) {
  const nn::AttentionShape shape{2, 1, 128};
  const torch::Tensor text = random({70, shape.qkv_size()});
  const torch::Tensor other = torch::full_like(text, std::nan(""));
  const std::vector<int32_t> alone = {0, 70};
  const std::vector<int32_t> between = {0, 70, 140, 210};
  const torch::Tensor all = testing::gpu(torch::cat({other, text, other}));
  const torch::Tensor found = nn::attention(all, {between, torch::kCUDA}, shape).narrow(0, 70, 70);
  EXPECT_TRUE(found.equal(nn::attention(testing::gpu(text), {alone, torch::kCUDA}, shape)));
}

TEST_P(AttentionOnGpu, NoTokens) {
  for (const int64_t head_dim : {8, 128}) {
    const nn::AttentionShape shape{2, 1, head_dim};
    for (const std::vector<int32_t>& none : {std::vector<int32_t>{0}, {0, 0}}) {
      const torch::Tensor qkv = testing::gpu(random({0, shape.qkv_size()}));
      EXPECT_EQ(nn::attention(qkv, {none, torch::kCUDA}, shape).sizes(),
                (std::vector<int64_t>{0, 2 * head_dim}));
    }
  }
}

TEST_P(AttentionOnGpu, TextsWithoutTokens) {
  const nn::AttentionShape shape{2, 1, 128};
  const std::vector<int32_t> cu_seqlens = {0, 0, 65, 65};
  const torch::Tensor qkv = random({65, shape.qkv_size()});
  testing::expect_close(nn::attention(testing::gpu(qkv), {cu_seqlens, torch::kCUDA}, shape).cpu(),
                        nn::attention(qkv.to(torch::kFloat64), {cu_seqlens, torch::kCPU}, shape),
                        tolerance());
}

TEST_P(AttentionOnGpu, OurKernelTakesHeadsOf64And128In16Bits) {
  const std::vector<int32_t> cu_seqlens = {0, 3};
  const auto takes = [&](const torch::Tensor& qkv, const nn::AttentionShape& shape) {
    return nn::has_packed_attention_cuda(qkv, {cu_seqlens, torch::kCUDA}, shape);
  };
  for (const int64_t head_dim : {8, 34, 64, 128}) {
    const nn::AttentionShape shape{4, 2, head_dim};
    EXPECT_EQ(takes(testing::gpu(random({3, shape.qkv_size()})), shape),
              head_dim >= 64 && GetParam() != torch::kFloat32);
  }
  const nn::AttentionShape shape{1, 1, 64};
  const torch::Tensor wide = testing::gpu(random({3, 2 * shape.qkv_size()}));
  EXPECT_FALSE(takes(wide.narrow(1, 0, shape.qkv_size()), shape));
  const torch::Tensor shifted = testing::gpu(random({3 * shape.qkv_size() + 1})).slice(0, 1);
  EXPECT_FALSE(takes(shifted.view({3, shape.qkv_size()}), shape));
  EXPECT_FALSE(takes(testing::gpu(random({3, 7 * 64})), {3, 2, 64}));
}

INSTANTIATE_TEST_SUITE_P(Dtypes, AttentionOnGpu, testing::compute_dtypes());

}  // namespace
}  // namespace foregate
