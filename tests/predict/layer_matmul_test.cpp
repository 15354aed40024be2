#include "predict/training/layer_matmul.h"

#include <gtest/gtest.h>
#include <torch/autograd.h>
#include <torch/cuda.h>
#include <torch/types.h>
#include <torch/utils.h>

namespace foregate::predict {
namespace {

constexpr int64_t kLayers = 3;
constexpr int64_t kTokens = 256;

struct Product {
  torch::Tensor value;
  torch::Tensor of_a;
  torch::Tensor of_b;
};

/// `product` of the same random matrices, and the gradients of a weighted sum of it.
template <typename Multiply>
Product differentiate(const torch::Device& device, const Multiply& multiply) {
  torch::manual_seed(5);
  const torch::Tensor a = torch::randn({kLayers, kTokens, 20}).to(device).requires_grad_();
  const torch::Tensor b = torch::randn({kLayers, 20, 70}).to(device).requires_grad_();
  const torch::Tensor value = multiply(a, b);
  const torch::Tensor sum = (value * torch::randn({kTokens, 70}).to(device)).sum();
  const auto gradients = torch::autograd::grad({sum}, {a, b});
  return {value.detach().cpu(), gradients[0].cpu(), gradients[1].cpu()};
}

class LayerMatmul : public ::testing::TestWithParam<torch::ScalarType> {
 protected:
  Product ours(const torch::Device& device) const {
    return differentiate(device, [&](const torch::Tensor& a, const torch::Tensor& b) {
      return layer_matmul(a, b, GetParam());
    });
  }
  Product reference() const {
    return differentiate(torch::kCPU, [&](const torch::Tensor& a, const torch::Tensor& b) {
      return torch::bmm(a.to(GetParam()), b.to(GetParam())).to(torch::kFloat32);
    });
  }
};

TEST_P(LayerMatmul, OnTheCpuEqualsAutogradThroughBmm) {
  const Product expected = reference();
  const Product found = ours(torch::kCPU);
  EXPECT_TRUE(found.value.equal(expected.value));
  EXPECT_TRUE(found.of_a.equal(expected.of_a));
  EXPECT_TRUE(found.of_b.equal(expected.of_b));
}

TEST_P(LayerMatmul, OnAGpuIsCloseToIt) {
  if (!torch::cuda::is_available()) GTEST_SKIP() << "no CUDA device that this libtorch can use";
  ASSERT_GT(weight_gradient_pieces(kLayers, kTokens, 20, 70), 1);
  const Product expected = reference();
  const Product found = ours(torch::kCUDA);
  const double tolerance = GetParam() == torch::kFloat32 ? 1e-5 : 2e-2;
  EXPECT_TRUE(found.value.allclose(expected.value, tolerance, tolerance * 10));
  EXPECT_TRUE(found.of_a.allclose(expected.of_a, tolerance, tolerance * 10));
  EXPECT_TRUE(found.of_b.allclose(expected.of_b, tolerance, tolerance * 50));
}

INSTANTIATE_TEST_SUITE_P(Dtypes, LayerMatmul, ::testing::Values(torch::kFloat32, torch::kBFloat16));

TEST(WeightGradient, IsTheSameInPieces) {
  torch::manual_seed(6);
  const torch::Tensor a = torch::randn({kLayers, kTokens, 5}, torch::kFloat64);
  const torch::Tensor one = torch::randn({1, kTokens, 5}, torch::kFloat64);
  const torch::Tensor gradient = torch::randn({kLayers, kTokens, 7}, torch::kFloat64);
  for (const torch::Tensor& left : {a, one.expand({kLayers, -1, -1})}) {
    const torch::Tensor expected = torch::einsum("lni,lnj->lij", {left, gradient});
    for (const int64_t pieces : {1, 2, 8, 256}) {
      const torch::Tensor found = weight_gradient(left, gradient, pieces);
      EXPECT_EQ(found.scalar_type(), torch::kFloat32);
      EXPECT_TRUE(found.to(torch::kFloat64).allclose(expected, 1e-5, 1e-5)) << pieces;
    }
  }
}

TEST(WeightGradient, HasPiecesWhereResultsAreFew) {
  EXPECT_EQ(weight_gradient_pieces(11, 4096, 256, 92), 8);    // 88 tiles
  EXPECT_EQ(weight_gradient_pieces(11, 4096, 32, 60), 32);    // 11 tiles, pieces of 128 tokens
  EXPECT_EQ(weight_gradient_pieces(24, 2048, 2048, 256), 1);  // 3,072 tiles
  EXPECT_EQ(weight_gradient_pieces(11, 4095, 256, 92), 1);    // odd
  EXPECT_EQ(weight_gradient_pieces(11, 200, 256, 92), 1);     // few tokens
  EXPECT_EQ(weight_gradient_pieces(11, 384, 256, 92), 2);     // 192 cannot be halved into 128
}

}  // namespace
}  // namespace foregate::predict
