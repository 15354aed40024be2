#include "nn/attention/attention.h"

#include "../compare.h"

namespace foregate {
namespace {

using testing::expect_close;

// Causal softmax attention of one text, head by head, in float64. A sink is one more score, whose
// weight is dropped.
torch::Tensor reference_text(const torch::Tensor& qkv, const nn::AttentionShape& shape,
                             const nn::LayerAttention& layer = {}) {
  const int64_t tokens = qkv.size(0);
  const torch::Tensor heads = qkv.to(torch::kFloat64).view({tokens, -1, shape.head_dim});
  const int64_t window = layer.window > 0 ? layer.window : tokens;
  const torch::Tensor mask =
      torch::ones({tokens, tokens}, torch::kBool).tril().triu(1 - window).logical_not();
  std::vector<torch::Tensor> mixed;
  for (int64_t head = 0; head < shape.num_heads; ++head) {
    const int64_t kv = head / (shape.num_heads / shape.num_kv_heads);
    const torch::Tensor key = heads.select(1, shape.num_heads + kv);
    const torch::Tensor value = heads.select(1, shape.num_heads + shape.num_kv_heads + kv);
    torch::Tensor scores =
        torch::matmul(heads.select(1, head), key.t()) / std::sqrt(shape.head_dim);
    scores = scores.masked_fill(mask, -INFINITY);
    if (layer.sinks.defined()) {
      scores = torch::cat({scores, layer.sinks[head].to(torch::kFloat64).expand({tokens, 1})}, 1);
    }
    mixed.push_back(torch::matmul(scores.softmax(-1).narrow(1, 0, tokens), value));
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

// Windows shorter than a text, as long, and longer; texts longer than what is computed at once.
TEST_P(AttentionTest, WindowsAndSinksStayInsideTheirText) {
  const std::vector<int32_t> cu_seqlens = {0, 1, 32, 65, 66, 400};
  const nn::AttentionShape shape{6, 2, 8};
  const torch::Tensor qkv = random({400, shape.qkv_size()});
  for (const int64_t window : {0, 1, 2, 31, 32, 33, 127, 334, 500}) {
    for (const bool sinks : {false, true}) {
      const nn::LayerAttention layer{window, sinks ? torch::randn({6}) * 2 : torch::Tensor()};
      std::vector<torch::Tensor> expected;
      for (size_t i = 0; i + 1 < cu_seqlens.size(); ++i) {
        expected.push_back(
            reference_text(qkv.slice(0, cu_seqlens[i], cu_seqlens[i + 1]), shape, layer));
      }
      expect_close(nn::attention(qkv, {cu_seqlens, torch::kCPU}, shape, layer),
                   torch::cat(expected), tolerance());
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
