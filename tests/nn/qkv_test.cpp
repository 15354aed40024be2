#include "nn/qkv.h"

#include "compare.h"
#include "nn/qk_norm.h"
#include "qkv_case.h"

namespace foregate {
namespace {

constexpr int64_t kHidden = 24;

class QkvTest : public testing::DtypeTest {
 protected:
  // The parts, each tested by itself, one after the other in float64.
  static torch::Tensor expected(const testing::QkvCase& layer, const torch::Tensor& x,
                                const torch::Tensor& positions) {
    torch::Tensor qkv = torch::matmul(x.to(torch::kFloat64), layer.projection.t());
    if (layer.bias.defined()) qkv = qkv + layer.bias;
    if (layer.query_norm.defined()) {
      nn::qk_norm(qkv, layer.query_norm, layer.key_norm, layer.shape, 1e-6);
    }
    nn::Rope rope(nn::plain_rotary(layer.shape.head_dim, 1e4), torch::kCPU, torch::kFloat64);
    const int64_t rotated = layer.shape.num_heads + layer.shape.num_kv_heads;
    rope.apply(qkv.narrow(1, 0, rotated * layer.shape.head_dim)
                   .view({qkv.size(0), rotated, layer.shape.head_dim}),
               positions, 599);
    return qkv;
  }
};

TEST_P(QkvTest, IsProductNormAndRotation) {
  const nn::AttentionShape shape{.num_heads = 4, .num_kv_heads = 2, .head_dim = 8};
  const auto exact = [&](at::IntArrayRef sizes) { return random(sizes).to(torch::kFloat64); };
  const torch::Tensor projection = exact({shape.qkv_size(), kHidden});
  const std::vector<testing::QkvCase> layers = {
      {shape, projection, {}, {}, {}},
      {shape, projection, exact({shape.qkv_size()}), {}, {}},
      {shape, projection, {}, exact({8}), exact({8})},
  };
  for (const testing::QkvCase& layer : layers) {
    for (const int64_t tokens : testing::kSizes) {
      const torch::Tensor x = random({tokens, kHidden});
      const torch::Tensor positions = torch::arange(tokens) % 600;
      testing::expect_close(layer.run(x, positions), expected(layer, x, positions), tolerance());
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Dtypes, QkvTest, testing::compute_dtypes());

}  // namespace
}  // namespace foregate
