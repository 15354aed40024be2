#include "nn/cuda/grouped_linear.h"

#include "gpu_test.h"
#include "kernels/gemm/grouped_gemm.h"
#include "nn/router.h"

namespace foregate {
namespace {

using testing::expect_close;
using testing::gpu;

// Ends of groups of very different sizes, some empty, that add up to `rows`.
torch::Tensor ragged_ends(int64_t rows, int64_t groups) {
  const torch::Tensor shares = torch::randn({groups}).mul_(1.5).exp_();
  const torch::Tensor chosen = torch::multinomial(shares, std::max<int64_t>(rows, 1), true);
  return torch::bincount(chosen.narrow(0, 0, rows), {}, groups).cumsum(0).to(torch::kInt32);
}

torch::Tensor reference(const torch::Tensor& x, const nn::GroupedLinear& linear) {
  const torch::Tensor values = x.to(torch::kFloat64);
  std::vector<torch::Tensor> parts;
  int64_t first = 0;
  for (int64_t g = 0; g < linear.weight.size(0); ++g) {
    const int64_t end = linear.ends[g].item<int64_t>();
    parts.push_back(
        torch::matmul(values.slice(0, first, end), linear.weight[g].to(torch::kFloat64).t()));
    first = end;
  }
  torch::Tensor result = torch::cat(parts);
  if (!linear.silu_product) return result;
  const std::vector<torch::Tensor> halves = result.chunk(2, 1);
  result = torch::silu(halves[0]) * halves[1];
  return linear.row_scale.defined() ? result * linear.row_scale.unsqueeze(1) : result;
}

using Product = torch::Tensor (*)(const torch::Tensor&, const nn::GroupedLinear&);

// What cards before Hopper run, on whatever card this is.
torch::Tensor product_of_earlier_cards(const torch::Tensor& x, const nn::GroupedLinear& linear) {
  const int64_t n = linear.weight.size(1);
  const torch::Tensor out =
      torch::full({x.size(0), linear.silu_product ? n / 2 : n}, std::nan(""), x.options());
  const cudaError_t error = kernels::grouped_gemm_sm80(
      {.x = x.const_data_ptr(),
       .weight = linear.weight.const_data_ptr(),
       .ends = linear.ends.const_data_ptr<int32_t>(),
       .out = out.mutable_data_ptr(),
       .rows = x.size(0),
       .groups = linear.weight.size(0),
       .n = n,
       .k = x.size(1),
       .silu_product = linear.silu_product,
       .row_scale =
           linear.row_scale.defined() ? linear.row_scale.const_data_ptr<float>() : nullptr},
      nullptr);
  EXPECT_EQ(error, cudaSuccess);
  return out;
}

class GroupedLinearOnGpu : public testing::GpuTest {
 protected:
  void expect_as_on_the_cpu(Product product) const {
    for (const int64_t rows : {1, 31, 32, 33, 255, 257, 3000}) {
      for (const int64_t groups : {1, 7, 60}) {
        for (const int64_t k : {8, 72, 512}) {
          const torch::Tensor x = random({rows, k});
          const torch::Tensor weight = random({groups, 400, k}) * 0.1;
          const torch::Tensor scale = torch::rand({rows});
          for (const bool silu : {false, true}) {
            nn::GroupedLinear linear{.weight = weight,
                                     .ends = ragged_ends(rows, groups),
                                     .silu_product = silu,
                                     .row_scale = silu ? scale : torch::Tensor()};
            const torch::Tensor expected = reference(x, linear);
            linear.weight = gpu(weight);
            linear.ends = gpu(linear.ends);
            if (silu) linear.row_scale = gpu(scale);
            expect_close(product(gpu(x), linear).cpu(), expected, tolerance());
          }
        }
      }
    }
  }
};

TEST_P(GroupedLinearOnGpu, MatchesTheCpu) {
  ASSERT_TRUE(nn::has_grouped_linear_cuda(gpu(random({4, 16})), gpu(random({7, 16, 16}))));
  expect_as_on_the_cpu(nn::grouped_linear_cuda);
}

TEST_P(GroupedLinearOnGpu, EarlierCardsMatchTheCpu) {
  expect_as_on_the_cpu(product_of_earlier_cards);
}

TEST_P(GroupedLinearOnGpu, NoRowsGiveNone) {
  const nn::GroupedLinear linear{.weight = gpu(random({7, 400, 72})),
                                 .ends = gpu(torch::zeros({7}, torch::kInt32))};
  EXPECT_EQ(nn::grouped_linear_cuda(gpu(random({0, 72})), linear).numel(), 0);
}

// By the kernel itself where it can, by a copy in front of it elsewhere.
TEST_P(GroupedLinearOnGpu, GathersRows) {
  for (const int64_t tokens : {1, 33, 130, 3000}) {
    for (const int64_t k : {8, 72, 512}) {
      for (const bool silu : {false, true}) {
        const torch::Tensor x = random({tokens, k});
        const torch::Tensor chosen = nn::route(torch::randn({tokens, 7}), {}, {}, 3).experts;
        const nn::ExpertOrder order = nn::sort_by_expert_cuda(gpu(chosen), 7);
        nn::GroupedLinear linear{
            .weight = random({7, 400, k}) * 0.1, .ends = order.ends.cpu(), .silu_product = silu};
        const torch::Tensor expected = reference(x.index_select(0, order.tokens.cpu()), linear);
        linear.weight = gpu(linear.weight);
        linear.ends = order.ends;
        linear.order = &order;
        expect_close(nn::grouped_linear_cuda(gpu(x), linear).cpu(), expected, tolerance());
      }
    }
  }
}

TEST_P(GroupedLinearOnGpu, RefusesWhatIsNotWholeSixteenBytes) {
  EXPECT_FALSE(nn::has_grouped_linear_cuda(gpu(random({4, 12})), gpu(random({16, 12}))));
  EXPECT_FALSE(nn::has_grouped_linear_cuda(gpu(random({4, 16})), gpu(random({12, 16}))));
  EXPECT_TRUE(nn::has_grouped_linear_cuda(gpu(random({4, 16})), gpu(random({16, 16}))));
  const torch::Tensor unaligned = gpu(random({65})).narrow(0, 1, 64).view({4, 16});
  EXPECT_FALSE(nn::has_grouped_linear_cuda(unaligned, gpu(random({16, 16}))));
}

INSTANTIATE_TEST_SUITE_P(BFloat16, GroupedLinearOnGpu, ::testing::Values(torch::kBFloat16));

}  // namespace
}  // namespace foregate
