#include "nn/attention.h"

#include "compare.h"

namespace foregate {
namespace {

using testing::expect_close;

// Causal softmax attention of one text, head by head, in float64.
torch::Tensor reference_text(const torch::Tensor& qkv, const nn::AttentionShape& shape) {
  const int64_t tokens = qkv.size(0);
  const torch::Tensor heads = qkv.to(torch::kFloat64).view({tokens, -1, shape.head_dim});
  const torch::Tensor mask = torch::ones({tokens, tokens}, torch::kBool).tril().logical_not();
  std::vector<torch::Tensor> mixed;
  for (int64_t head = 0; head < shape.num_heads; ++head) {
    const int64_t kv = head / (shape.num_heads / shape.num_kv_heads);
    const torch::Tensor key = heads.select(1, shape.num_heads + kv);
    const torch::Tensor value = heads.select(1, shape.num_heads + shape.num_kv_heads + kv);
    const torch::Tensor scores =
        torch::matmul(heads.select(1, head), key.t()) / std::sqrt(shape.head_dim);
    mixed.push_back(torch::matmul(scores.masked_fill(mask, -INFINITY).softmax(-1), value));
  }
  return torch::cat(mixed, -1);
}

struct Heads {
  int64_t query, kv;
};

class AttentionTest : public testing::DtypeTest {};

TEST_P(AttentionTest, PackedTextsMatchTextsAlone) {
  const std::vector<int32_t> cu_seqlens = {0, 1, 32, 64, 97, 98, 300};
  for (const Heads heads : {Heads{4, 4}, Heads{4, 2}, Heads{6, 1}}) {
    for (const int64_t head_dim : {8, 34}) {
      const nn::AttentionShape shape{heads.query, heads.kv, head_dim};
      const torch::Tensor qkv = random({300, shape.qkv_size()});
      std::vector<torch::Tensor> expected;
      for (size_t i = 0; i + 1 < cu_seqlens.size(); ++i) {
        expected.push_back(reference_text(qkv.slice(0, cu_seqlens[i], cu_seqlens[i + 1]), shape));
      }
      expect_close(nn::attention(qkv, {cu_seqlens, torch::kCPU}, shape), torch::cat(expected),
                   tolerance());
    }
  }
}

TEST_P(AttentionTest, NoTokens) {
  const nn::AttentionShape shape{2, 1, 8};
  const std::vector<int32_t> none = {0};
  const std::vector<int32_t> empty_text = {0, 0};
  const torch::Tensor qkv = random({0, shape.qkv_size()});
  EXPECT_EQ(nn::attention(qkv, {none, torch::kCPU}, shape).sizes(), (std::vector<int64_t>{0, 16}));
  EXPECT_EQ(nn::attention(qkv, {empty_text, torch::kCPU}, shape).sizes(),
            (std::vector<int64_t>{0, 16}));
}

INSTANTIATE_TEST_SUITE_P(Dtypes, AttentionTest, testing::compute_dtypes());

}  // namespace
}  // namespace foregate
