#include "gpu_test.h"
#include "nn/cuda/activation.h"
#include "nn/gather_rms_norm.h"
#include "nn/linear.h"
#include "nn/mlp.h"
#include "nn/rms_norm.h"
#include "nn/rope.h"

namespace foregate {
namespace {

using testing::expect_close;
using testing::gpu;

class LayerOps : public testing::GpuTest {};

TEST_P(LayerOps, RmsNorm) {
  for (const int64_t rows : testing::kRowCounts) {
    for (const int64_t hidden : {1, 31, 32, 33, 2048, 5000, 8192}) {
      const torch::Tensor x = 3 * random({rows, hidden});
      const torch::Tensor weight = random({hidden});
      const torch::Tensor values = x.to(torch::kFloat64);
      const torch::Tensor expected =
          weight.to(torch::kFloat64) * values / (values.square().mean(-1, true) + 1e-6).sqrt();
      expect_close(nn::rms_norm(gpu(x), gpu(weight), 1e-6).cpu(), expected, tolerance());
    }
  }
}

TEST_P(LayerOps, RmsNormOfUnalignedRows) {
  const torch::Tensor x = random({33 * 64 + 1});
  const torch::Tensor rows = gpu(x).narrow(0, 1, 33 * 64).view({33, 64});
  const torch::Tensor expected = nn::rms_norm(rows.cpu(), random({64}).fill_(1), 1e-6);
  expect_close(nn::rms_norm(rows, gpu(random({64}).fill_(1)), 1e-6).cpu(), expected, tolerance());
}

TEST_P(LayerOps, GatherRmsNorm) {
  constexpr int64_t kTokens = 40;
  for (const int64_t batch : testing::kRowCounts) {
    for (const int64_t layers : {1, 3}) {
      for (const int64_t hidden : {1, 31, 32, 33, 256, 2048}) {
        const torch::Tensor states = 3 * random({kTokens, layers, hidden});
        const torch::Tensor tokens = torch::randint(kTokens, {batch}, torch::kInt64);
        const torch::Tensor x = states.to(torch::kFloat64).index_select(0, tokens).transpose(0, 1);
        const torch::Tensor expected = x / (x.square().mean(-1, true) + 1e-6).sqrt();
        for (const torch::ScalarType to : {torch::kFloat32, GetParam()}) {
          const torch::Tensor found = nn::gather_rms_norm(gpu(states), gpu(tokens), 1e-6, to);
          EXPECT_EQ(found.scalar_type(), to);
          expect_close(found.cpu(), expected, testing::tolerance_of(to));
        }
        expect_close(nn::gather_rms_norm(states, tokens, 1e-6, torch::kFloat32), expected,
                     testing::tolerance_of(torch::kFloat32));
      }
    }
  }
}

TEST_P(LayerOps, GatherRmsNormOfUnalignedStates) {
  const torch::Tensor flat = random({5 * 2 * 64 + 1});
  const torch::Tensor states = gpu(flat).narrow(0, 1, 5 * 2 * 64).view({5, 2, 64});
  const torch::Tensor tokens = torch::tensor({4, 0, 4}, torch::kInt64);
  expect_close(nn::gather_rms_norm(states, gpu(tokens), 1e-6, torch::kFloat32).cpu(),
               nn::gather_rms_norm(states.cpu(), tokens, 1e-6, torch::kFloat32),
               testing::tolerance_of(torch::kFloat32));
}

TEST_P(LayerOps, RopeRotatesOnlyTheFirstHeads) {
  for (const int64_t tokens : testing::kRowCounts) {
    for (const int64_t head_dim : {2, 34, 64, 128}) {
      const nn::Rotary rotary = nn::plain_rotary(head_dim, 1e4);
      nn::Rope on_cpu(rotary, torch::kCPU, torch::kFloat32);
      nn::Rope on_gpu(rotary, torch::kCUDA, GetParam());
      const auto first_heads = [&](const torch::Tensor& rows) {
        return rows.narrow(1, 0, 3 * head_dim).view({tokens, 3, head_dim});
      };
      const torch::Tensor rows = random({tokens, 5 * head_dim});
      const torch::Tensor positions = torch::arange(tokens) % 700;
      torch::Tensor expected = rows.to(torch::kFloat32, /*non_blocking=*/false, /*copy=*/true);
      on_cpu.apply(first_heads(expected), positions, 699);
      torch::Tensor actual = gpu(rows);
      on_gpu.apply(first_heads(actual), gpu(positions), 699);
      expect_close(actual.cpu(), expected, tolerance());
      EXPECT_TRUE(torch::equal(actual.cpu().narrow(1, 3 * head_dim, 2 * head_dim),
                               rows.narrow(1, 3 * head_dim, 2 * head_dim)));
    }
  }
}

TEST_P(LayerOps, SiluProduct) {
  for (const int64_t rows : testing::kRowCounts) {
    for (const int64_t inner : {1, 31, 32, 33, 1408, 5632}) {
      const torch::Tensor x = random({rows, 2 * inner}) * 20;
      const torch::Tensor scale = torch::rand({rows});
      const torch::Tensor values = x.to(torch::kFloat64);
      const torch::Tensor expected =
          torch::silu(values.narrow(1, 0, inner)) * values.narrow(1, inner, inner);
      expect_close(nn::silu_product_cuda(gpu(x), {}).cpu(), expected, tolerance());
      expect_close(nn::silu_product_cuda(gpu(x), gpu(scale)).cpu(),
                   expected * scale.to(torch::kFloat64).unsqueeze(1), tolerance());
    }
  }
}

TEST(SiluProduct, ExtremeValues) {
  if (!torch::cuda::is_available()) GTEST_SKIP() << "no CUDA device on this machine";
  const torch::Tensor gate = torch::tensor({-1e30F, -100.0F, -88.0F, 0.0F, 88.0F, 100.0F, 1e30F});
  const torch::Tensor rows = torch::stack({gate, torch::ones_like(gate)}, 1);
  const torch::Tensor result = nn::silu_product_cuda(gpu(rows), {}).cpu().squeeze(1);
  EXPECT_TRUE(torch::allclose(result, torch::silu(gate), 1e-5, 1e-30)) << result;
}

TEST_P(LayerOps, RowGate) {
  for (const int64_t rows : testing::kRowCounts) {
    for (const int64_t hidden : {1, 33, 2048}) {
      const torch::Tensor x = random({rows, hidden});
      const torch::Tensor weight = random({1, hidden}) * 0.05;
      const torch::Tensor expected =
          torch::sigmoid(torch::mv(x.to(torch::kFloat64), weight[0].to(torch::kFloat64)));
      expect_close(nn::sigmoid_gate_cuda(gpu(x), gpu(weight)).cpu(), expected, 1e-5);
    }
  }
}

TEST_P(LayerOps, AddedToTheResidual) {
  for (const int64_t rows : testing::kRowCounts) {
    const torch::Tensor x = random({rows, 64});
    const torch::Tensor residual = random({rows, 64});
    const nn::MlpWeights weights{random({2 * 40, 64}) * 0.2, random({64, 40}) * 0.2};
    const torch::Tensor gate = random({1, 64}) * 0.2;
    torch::Tensor expected = residual.to(torch::kFloat64);
    nn::add_linear(expected, x.to(torch::kFloat64),
                   weights.gate_up.dense().narrow(0, 0, 64).to(torch::kFloat64));
    nn::add_mlp(
        expected, x.to(torch::kFloat64),
        {weights.gate_up.dense().to(torch::kFloat64), weights.down.dense().to(torch::kFloat64)},
        gate.to(torch::kFloat64));
    torch::Tensor actual = gpu(residual);
    nn::add_linear(actual, gpu(x), gpu(weights.gate_up.dense()).narrow(0, 0, 64));
    nn::add_mlp(actual, gpu(x), {gpu(weights.gate_up.dense()), gpu(weights.down.dense())},
                gpu(gate));
    expect_close(actual.cpu(), expected, tolerance());
  }
}

INSTANTIATE_TEST_SUITE_P(Dtypes, LayerOps, testing::compute_dtypes());

}  // namespace
}  // namespace foregate
