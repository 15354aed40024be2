#include "models/weights/arrangement.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/types.h>
#include <torch/utils.h>

namespace foregate::models {
namespace {

using ::testing::ElementsAre;

// Two experts, I = 3, H = 4; square where a transposition would not show by the shape.
TEST(Arrangement, MakesTransposedAlternatingRowsGatesThenUps) {
  torch::manual_seed(1);
  const torch::Tensor gate = torch::randn({2, 3, 4});
  const torch::Tensor up = torch::randn({2, 3, 4});
  const torch::Tensor kept = torch::cat({gate, up}, 1);
  // As gpt-oss has them: [E, H, 2I] with columns gate, up, gate, up, ...
  torch::Tensor stored = torch::empty({2, 4, 6});
  for (int64_t i = 0; i < 3; ++i) {
    stored.select(2, 2 * i).copy_(gate.select(1, i));
    stored.select(2, 2 * i + 1).copy_(up.select(1, i));
  }
  const Arrangement both{.transposed = true, .interleaved = true};
  EXPECT_THAT(stored_shape({2, 6, 4}, both), ElementsAre(2, 4, 6));
  EXPECT_TRUE(torch::equal(rearranged(stored, both).dense(), kept));
  EXPECT_TRUE(
      torch::equal(rearranged(stored.transpose(1, 2), {.interleaved = true}).dense(), kept));
  const torch::Tensor square = torch::randn({2, 4, 4});
  EXPECT_TRUE(
      torch::equal(rearranged(square, {.transposed = true}).dense(), square.transpose(1, 2)));
}

TEST(Arrangement, SeparatesBiases) {
  const torch::Tensor stored = torch::tensor({{0, 10, 1, 11, 2, 12}, {3, 13, 4, 14, 5, 15}});
  EXPECT_TRUE(torch::equal(rearranged(stored, {.interleaved = true}).dense(),
                           torch::tensor({{0, 1, 2, 10, 11, 12}, {3, 4, 5, 13, 14, 15}})));
}

// Rows carry their scales along.
TEST(Arrangement, SeparatesCodes) {
  torch::manual_seed(2);
  const torch::Tensor stored = torch::randn({2, 6, 70});
  for (const auto kind : {tensor::Quantization::kInt8, tensor::Quantization::kNf4}) {
    tensor::Weight codes = tensor::Weight::empty({2, 6, 70}, kind, torch::kCPU, torch::kFloat32);
    codes.assign(stored, "test");
    const Arrangement alternating{.interleaved = true};
    EXPECT_TRUE(torch::equal(rearranged(codes, alternating).dequantize(torch::kFloat32),
                             rearranged(codes.dequantize(torch::kFloat32), alternating).dense()));
    EXPECT_THROW(rearranged(codes, {.transposed = true}), std::logic_error);
  }
}

}  // namespace
}  // namespace foregate::models
