#include "nn/linear.h"

#include "compare.h"

namespace foregate {
namespace {

using testing::expect_close;

class LinearTest : public testing::DtypeTest {};

TEST_P(LinearTest, MatchesTheFormula) {
  for (const int64_t tokens : testing::kSizes) {
    for (const int64_t depth : {1, 31, 64}) {
      for (const int64_t columns : {1, 31, 32, 33, 100}) {
        const torch::Tensor x = random({tokens, depth});
        const torch::Tensor weight = random({columns, depth});
        const torch::Tensor bias = random({columns});
        const torch::Tensor product =
            torch::matmul(x.to(torch::kFloat64), weight.to(torch::kFloat64).t());
        expect_close(nn::Linear(weight, bias).forward(x), product + bias.to(torch::kFloat64),
                     tolerance());
        const torch::Tensor start = random({tokens, columns});
        torch::Tensor sum = start.clone();
        nn::Linear(weight).add_to(sum, x);
        expect_close(sum, start.to(torch::kFloat64) + product, tolerance());
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Dtypes, LinearTest, testing::compute_dtypes());

TEST(PackedWeight, KeepsEveryColumnInItsPlace) {
  const torch::Tensor weight = torch::arange(0, 37 * 3, torch::kFloat32).view({37, 3});
  const nn::PackedWeight packed = nn::pack(weight);
  EXPECT_EQ(packed.panels.sizes(), (std::vector<int64_t>{2, 3, 32}));
  EXPECT_EQ(packed.panels[1][2][4].item<float>(), weight[36][2].item<float>());
  EXPECT_EQ(packed.panels[1][2][5].item<float>(), 0.0F);
  const nn::PackedWeight halves = nn::pack_gate_up(weight.narrow(0, 0, 36));
  EXPECT_EQ(halves.columns, 18);
  EXPECT_EQ(halves.panels[1][0][1].item<float>(), weight[17][0].item<float>());
  EXPECT_EQ(halves.panels[1][0][16 + 1].item<float>(), weight[18 + 17][0].item<float>());
}

// The order of summation is one, whatever the rows beside and the instruction set.
TEST(GemmKernel, InstructionSetsAndBatchesGiveTheSameBits) {
  if (nn::best_gemm_kernel() == nullptr) GTEST_SKIP() << "this processor has no AVX2";
  torch::manual_seed(3);
  constexpr int64_t kRows = 41;
  const torch::Tensor x = torch::randn({kRows, 70});
  const nn::PackedWeight weight = nn::pack_gate_up(torch::randn({2 * 25, 70}) * 0.3);
  const auto run = [&](nn::GemmKernel kernel, nn::GemmEpilogue epilogue, int64_t first,
                       int64_t rows) {
    const int64_t columns = epilogue == nn::GemmEpilogue::kSiluMultiply ? 25 : 50;
    torch::Tensor out = torch::zeros({rows, columns});
    kernel({.x = x[first].const_data_ptr<float>(),
            .x_stride = 70,
            .rows = rows,
            .depth = 70,
            .panels = weight.panels.const_data_ptr<float>(),
            .out = out.mutable_data_ptr<float>(),
            .out_stride = columns,
            .columns = columns,
            .epilogue = epilogue});
    return out;
  };
  for (const auto epilogue :
       {nn::GemmEpilogue::kStore, nn::GemmEpilogue::kAdd, nn::GemmEpilogue::kSiluMultiply}) {
    const torch::Tensor whole = run(nn::best_gemm_kernel(), epilogue, 0, kRows);
    EXPECT_TRUE(torch::equal(run(nn::gemm_avx2, epilogue, 0, kRows), whole));
    for (int64_t rows = 1; rows < kRows; ++rows) {
      const int64_t first = kRows - rows;
      EXPECT_TRUE(
          torch::equal(run(nn::best_gemm_kernel(), epilogue, first, rows), whole.slice(0, first)));
    }
  }
}

TEST(GemmKernel, SiluOfExtremeValues) {
  if (nn::best_gemm_kernel() == nullptr) GTEST_SKIP() << "this processor has no AVX2";
  const float inf = std::numeric_limits<float>::infinity();
  const std::vector<float> gates = {-1e30F, -200, -88, -1e-3F, 0, 1e-3F, 88, 200, 1e30F, inf, NAN};
  const torch::Tensor gate = torch::tensor(gates).unsqueeze(1);
  const nn::PackedWeight identity = nn::pack_gate_up(torch::ones({2, 1}));
  for (const nn::GemmKernel kernel : {nn::gemm_avx2, nn::best_gemm_kernel()}) {
    torch::Tensor out = torch::empty_like(gate);
    kernel({.x = gate.const_data_ptr<float>(),
            .x_stride = 1,
            .rows = gate.size(0),
            .depth = 1,
            .panels = identity.panels.const_data_ptr<float>(),
            .out = out.mutable_data_ptr<float>(),
            .out_stride = 1,
            .columns = 1,
            .epilogue = nn::GemmEpilogue::kSiluMultiply});
    const torch::Tensor expected = torch::silu(gate) * gate;
    EXPECT_TRUE(torch::allclose(out, expected, 1e-5, 1e-30, /*equal_nan=*/true)) << out << expected;
  }
}

}  // namespace
}  // namespace foregate
