#include "nn/qk_norm.h"

#include "compare.h"

namespace foregate {
namespace {

using testing::expect_close;

class QkNormTest : public testing::DtypeTest {
 protected:
  static constexpr nn::AttentionShape kShape{.num_heads = 4, .num_kv_heads = 2, .head_dim = 8};

  // The definition, in float64, over groups as wide as the weight.
  static torch::Tensor expected(const torch::Tensor& rows, const torch::Tensor& weight) {
    const torch::Tensor groups = rows.to(torch::kFloat64).reshape({-1, weight.size(0)});
    const torch::Tensor root = (groups.square().mean(-1, true) + 1e-6).sqrt();
    return (weight.to(torch::kFloat64) * groups / root).view(rows.sizes());
  }
  void check(const torch::Tensor& query_weight, const torch::Tensor& key_weight) {
    for (const int64_t tokens : testing::kSizes) {
      const torch::Tensor before = 3 * random({tokens, kShape.qkv_size()});
      torch::Tensor qkv = before.clone();
      nn::qk_norm(qkv, query_weight, key_weight, kShape, 1e-6);
      expect_close(qkv.narrow(1, 0, 32), expected(before.narrow(1, 0, 32), query_weight),
                   tolerance());
      expect_close(qkv.narrow(1, 32, 16), expected(before.narrow(1, 32, 16), key_weight),
                   tolerance());
      EXPECT_TRUE(torch::equal(qkv.narrow(1, 48, 16), before.narrow(1, 48, 16)));
    }
  }
};

TEST_P(QkNormTest, EveryHeadByItself) {
  check(random({8}), random({8}));
}

TEST_P(QkNormTest, AllHeadsTogether) {
  check(random({32}), random({16}));
}

TEST_P(QkNormTest, OtherWidthsAreRefused) {
  torch::Tensor qkv = random({3, kShape.qkv_size()});
  EXPECT_ANY_THROW(nn::qk_norm(qkv, random({7}), random({8}), kShape, 1e-6));
}

INSTANTIATE_TEST_SUITE_P(Dtypes, QkNormTest, testing::compute_dtypes());

}  // namespace
}  // namespace foregate
