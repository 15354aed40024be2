#include "nn/qkv.h"

#include "../qkv_case.h"
#include "gpu_test.h"
#include "kernels/gemm/grouped_gemm.h"
#include "nn/cuda/grouped_linear.h"

namespace foregate {
namespace {

using testing::gpu;

constexpr int64_t kHidden = 136;

class QkvOnGpu : public testing::GpuTest {
 protected:
  torch::Tensor exact(at::IntArrayRef sizes) const { return random(sizes).to(torch::kFloat64); }

  void expect_as_on_the_cpu(const testing::QkvCase& layer) const {
    for (const int64_t tokens : testing::kRowCounts) {
      const torch::Tensor x = random({tokens, kHidden});
      const torch::Tensor positions = torch::arange(tokens) * 7 % 900;
      testing::expect_close(layer.run(gpu(x), positions).cpu(),
                            layer.run(x.to(torch::kFloat64), positions), tolerance());
    }
  }
};

// Heads of 128 without norms are what the product rotates itself, two a tile: {3, 1} has half a
// tile at the end, {4, 1} a tile of which one head turns.
TEST_P(QkvOnGpu, MatchesTheCpu) {
  for (const auto& [heads, kv_heads] :
       std::vector<std::pair<int64_t, int64_t>>{{4, 2}, {3, 1}, {4, 1}}) {
    for (const int64_t head_dim : {64, 128}) {
      const nn::AttentionShape shape{heads, kv_heads, head_dim};
      const torch::Tensor projection = exact({shape.qkv_size(), kHidden}) * 0.1;
      expect_as_on_the_cpu({shape, projection, {}, {}, {}});
      expect_as_on_the_cpu({shape, projection, exact({shape.qkv_size()}), {}, {}});
      expect_as_on_the_cpu({shape, projection, {}, exact({head_dim}), exact({head_dim})});
      expect_as_on_the_cpu(
          {shape, projection, exact({shape.qkv_size()}), {}, {}, exact({kHidden})});
    }
  }
}

TEST_P(QkvOnGpu, HopperRotatesHeadsOf128InTheProduct) {
  const torch::Tensor x = gpu(random({4, kHidden}));
  const auto takes = [&](int64_t head_dim) {
    nn::Rope rope(nn::plain_rotary(head_dim, 1e4), torch::kCUDA, GetParam());
    return nn::has_rotated_linear_cuda(x, {.weight = gpu(random({3 * head_dim, kHidden})),
                                           .bias = {},
                                           .positions = {},
                                           .angles = rope.angles(8),
                                           .heads = 2});
  };
  EXPECT_EQ(takes(128), kernels::has_fused_gemm(0) && GetParam() == torch::kBFloat16);
  EXPECT_FALSE(takes(64));
}

INSTANTIATE_TEST_SUITE_P(Dtypes, QkvOnGpu, testing::compute_dtypes());

}  // namespace
}  // namespace foregate
