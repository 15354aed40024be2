#include "nn/cuda/thin.h"

#include "gpu_test.h"
#include "nn/router.h"

namespace foregate {
namespace {

using tensor::Quantization;
using testing::expect_close;
using testing::gpu;

// In bfloat16, the one dtype of these products, by how the matrices are kept.
class ThinOnGpu : public ::testing::TestWithParam<Quantization> {
 protected:
  void SetUp() override {
    if (!torch::cuda::is_available()) GTEST_SKIP() << "no CUDA device on this machine";
    torch::manual_seed(1);
  }
  static torch::Tensor random(at::IntArrayRef shape) {
    return torch::randn(shape).to(torch::kBFloat16);
  }
  // A weight on the GPU, and its values in float64.
  struct Matrix {
    tensor::Weight weight;
    torch::Tensor values;
  };
  Matrix matrix(at::IntArrayRef shape) const {
    const torch::Tensor dense = random(shape) / 8;
    tensor::Weight host = tensor::Weight::empty(shape, GetParam(), torch::kCPU, torch::kBFloat16);
    host.assign(dense, "a matrix");
    const torch::Tensor values = host.dequantize(torch::kFloat32).to(torch::kFloat64);
    if (!host.is_quantized()) return {gpu(host.dense()), values};
    return {{GetParam(), gpu(host.codes()), gpu(host.scales()), shape.back()}, values};
  }
  static torch::Tensor silu_product(const torch::Tensor& rows) {
    const int64_t half = rows.size(1) / 2;
    return at::silu(rows.narrow(1, 0, half)) * rows.narrow(1, half, half);
  }
  // Rounding of bfloat16, and of what NF4's values are rounded to before they are multiplied.
  static constexpr double kTolerance = 1e-2;
};

TEST_P(ThinOnGpu, LinearMatchesTheCpu) {
  // Whole chunks, and rows that end within one; rows of the matrix that fill no tile.
  // Many tiles and columns, too.
  for (const auto& [n, k] :
       std::vector<std::pair<int64_t, int64_t>>{{256, 1408}, {40, 160}, {8192, 256}, {96, 16384}}) {
    for (const int64_t rows : {1, 2, 8, 9, 17, 32}) {
      const torch::Tensor x = random({rows, k});
      const torch::Tensor bias = random({n});
      const Matrix weight = matrix({n, k});
      const torch::Tensor gpu_x = gpu(x);
      ASSERT_TRUE(nn::has_thin_linear_cuda(gpu_x, weight.weight));
      const torch::Tensor expected =
          x.to(torch::kFloat64).matmul(weight.values.t()) + bias.to(torch::kFloat64);
      for (const torch::ScalarType dtype : {torch::kBFloat16, torch::kFloat32}) {
        expect_close(nn::thin_linear_cuda(gpu_x, weight.weight, gpu(bias), dtype).cpu(), expected,
                     kTolerance);
      }
      torch::Tensor residual = gpu(random({rows, n}));
      const torch::Tensor before = residual.cpu().to(torch::kFloat64);
      nn::add_thin_linear_cuda(residual, gpu_x, weight.weight, gpu(bias));
      expect_close(residual.cpu(), before + expected, kTolerance);
      const torch::Tensor scale = torch::rand({rows});
      expect_close(nn::thin_silu_linear_cuda(gpu_x, weight.weight, gpu(scale)).cpu(),
                   silu_product(expected - bias.to(torch::kFloat64)) *
                       scale.to(torch::kFloat64).unsqueeze(1),
                   kTolerance);
    }
  }
}

// What a row is like beside the others of its step, and zeros, change nothing.
TEST_P(ThinOnGpu, RowsAreByThemselves) {
  const Matrix weight = matrix({64, 512});
  const torch::Tensor x = random({8, 512});
  x[1].zero_();
  x[2].mul_(1e4);
  x[3].mul_(1e-6);
  const auto product = [&](const torch::Tensor& rows) {
    return nn::thin_linear_cuda(gpu(rows), weight.weight, {}, torch::kFloat32).cpu();
  };
  const torch::Tensor before = product(x);
  EXPECT_EQ(before[1].abs().sum().item<float>(), 0.0F);
  torch::Tensor other = random({8, 512}) * 100;
  other[5].copy_(x[5]);
  EXPECT_TRUE(torch::equal(product(other)[5], before[5]));
  for (const int64_t row : {2, 3}) {
    const torch::Tensor expected = x[row].to(torch::kFloat64).matmul(weight.values.t());
    const double scale = expected.abs().max().item<double>();
    expect_close(before[row] / scale, expected / scale, kTolerance);
  }
}

TEST_P(ThinOnGpu, ManyRowsAndOddSizesAreLeftToOthers) {
  EXPECT_FALSE(nn::has_thin_linear_cuda(gpu(random({33, 64})), matrix({16, 64}).weight));
  EXPECT_FALSE(nn::has_thin_linear_cuda(gpu(random({0, 64})), matrix({16, 64}).weight));
  EXPECT_FALSE(nn::has_thin_linear_cuda(gpu(random({1, 36})), matrix({16, 36}).weight));
  EXPECT_FALSE(
      nn::has_thin_linear_cuda(gpu(random({1, 64}).to(torch::kFloat16)), matrix({16, 64}).weight));
}

TEST_P(ThinOnGpu, ExpertsMatchTheCpu) {
  constexpr int64_t kHidden = 256;
  constexpr int64_t kInner = 96;
  struct Case {
    int64_t tokens, experts, k, shared_inner;
    bool gate;
  };
  // All tokens choose the same experts in the last: more than eight rows an expert.
  for (const auto& [tokens, experts, k, shared_inner, gate] :
       {Case{1, 12, 4, 160, true}, Case{1, 300, 8, 0, false}, Case{2, 12, 4, 160, false},
        Case{9, 60, 4, 160, true}, Case{32, 300, 8, 64, true}, Case{32, 4, 4, 160, true}}) {
    const torch::Tensor x = random({tokens, kHidden});
    const Matrix gate_up = matrix({experts, 2 * kInner, kHidden});
    const Matrix down = matrix({experts, kHidden, kInner});
    nn::Routing routing{torch::empty({tokens, k}, torch::kInt64), torch::rand({tokens, k})};
    for (int64_t t = 0; t < tokens; ++t) {
      routing.experts[t].copy_(torch::randperm(experts, torch::kInt64).narrow(0, 0, k));
    }
    const torch::Tensor residual = random({tokens, kHidden});
    torch::Tensor expected = residual.to(torch::kFloat64);
    const auto mlp = [](const torch::Tensor& row, const torch::Tensor& up,
                        const torch::Tensor& out) {
      return silu_product(row.to(torch::kFloat64).matmul(up.t())).matmul(out.t());
    };
    for (int64_t t = 0; t < tokens; ++t) {
      for (int64_t i = 0; i < k; ++i) {
        const auto expert = routing.experts[t][i].item<int64_t>();
        expected[t] += routing.gate_weights[t][i].to(torch::kFloat64) *
                       mlp(x.narrow(0, t, 1), gate_up.values[expert], down.values[expert])[0];
      }
    }
    nn::MlpWeights shared;
    torch::Tensor shared_gate;
    if (shared_inner > 0) {
      const Matrix shared_gate_up = matrix({2 * shared_inner, kHidden});
      const Matrix shared_down = matrix({kHidden, shared_inner});
      shared = {shared_gate_up.weight, shared_down.weight};
      torch::Tensor output = mlp(x, shared_gate_up.values, shared_down.values);
      if (gate) {
        shared_gate = random({1, kHidden}) / 16;
        output *= torch::sigmoid(x.to(torch::kFloat64).matmul(shared_gate.to(torch::kFloat64).t()));
        shared_gate = gpu(shared_gate);
      }
      expected += output;
    }
    const nn::ExpertWeights weights{gate_up.weight, down.weight};
    const torch::Tensor gpu_x = gpu(x);
    ASSERT_TRUE(nn::has_thin_experts_cuda(gpu_x, weights, shared));
    torch::Tensor result = gpu(residual);
    const nn::Routing gpu_routing{gpu(routing.experts), gpu(routing.gate_weights)};
    nn::add_thin_experts_cuda(result, gpu_x, gpu_routing, weights, shared, shared_gate, {});
    expect_close(result.cpu(), expected, kTolerance);
    // Normalised by the way: as if it had been done before.
    if (tokens > 1) continue;
    const torch::Tensor ones = gpu(torch::ones({kHidden}, torch::kBFloat16));
    const torch::Tensor normed = nn::rms_norm(gpu_x, ones, 1e-6);
    torch::Tensor by_the_way = gpu(residual);
    torch::Tensor apart = gpu(residual);
    nn::add_thin_experts_cuda(apart, normed, gpu_routing, weights, shared, shared_gate, {});
    nn::add_thin_experts_cuda(by_the_way, gpu_x, gpu_routing, weights, shared, shared_gate,
                              {gpu_x, ones, 1e-6});
    EXPECT_TRUE(torch::equal(by_the_way, apart));
  }
}

INSTANTIATE_TEST_SUITE_P(Codes, ThinOnGpu,
                         ::testing::Values(Quantization::kNone, Quantization::kInt8,
                                           Quantization::kNf4),
                         [](const auto& codes) { return tensor::quantization_name(codes.param); });

}  // namespace
}  // namespace foregate
