#include "nn/rope.h"

#include "compare.h"

namespace foregate {
namespace {

using testing::expect_close;

// transformers' rotate_half form, in float64, of the first elements of every head. Interleaved
// pairs are put into halves, rotated and put back.
torch::Tensor reference(const torch::Tensor& heads, const torch::Tensor& positions,
                        const nn::Rotary& rotary) {
  const int64_t width = rotary.width();
  const torch::Tensor half_angle = torch::outer(
      positions.to(torch::kFloat64), torch::tensor(rotary.inverse_frequencies).to(torch::kFloat64));
  const torch::Tensor angle = torch::cat({half_angle, half_angle}, -1).unsqueeze(1);
  torch::Tensor result = heads.to(torch::kFloat64).clone();
  torch::Tensor turned = result.narrow(2, 0, width);
  const bool interleaved = rotary.pairs == nn::Rotary::Pairs::kInterleaved;
  const torch::Tensor order =
      interleaved ? torch::cat({torch::arange(0, width, 2), torch::arange(1, width, 2)})
                  : torch::arange(width);
  const torch::Tensor halves = turned.index_select(2, order);
  const std::vector<torch::Tensor> parts = halves.chunk(2, -1);
  const torch::Tensor swapped = torch::cat({-parts[1], parts[0]}, -1);
  turned.index_copy_(2, order, (halves * angle.cos() + swapped * angle.sin()) * rotary.factor);
  return result;
}

class RopeTest : public testing::DtypeTest {
 protected:
  // Turns three heads in the middle of wider rows, and looks at what lies around them.
  void expect_rotated(const nn::Rotary& rotary, int64_t head_dim, int64_t tokens) {
    nn::Rope rope(rotary, torch::kCPU, GetParam());
    torch::Tensor rows = random({tokens, 5 * head_dim + 3});
    const auto heads = [&](const torch::Tensor& all) {
      return all.narrow(1, head_dim + 1, 3 * head_dim).view({tokens, 3, head_dim});
    };
    const torch::Tensor positions = torch::arange(tokens) % 97;
    torch::Tensor expected = rows.to(torch::kFloat64).clone();
    heads(expected).copy_(reference(heads(rows), positions, rotary));
    rope.apply(heads(rows), positions, 96);
    expect_close(rows, expected, tolerance());
    for (const auto& [first, size] :
         {std::pair{int64_t{0}, head_dim + 1}, std::pair{4 * head_dim + 1, head_dim + 2}}) {
      EXPECT_TRUE(torch::equal(rows.narrow(1, first, size),
                               expected.narrow(1, first, size).to(GetParam())));
    }
  }
};

TEST_P(RopeTest, RotatesNothingElse) {
  for (const int64_t tokens : testing::kSizes) {
    for (const int64_t head_dim : {2, 16, 34}) {
      for (const auto pairs : {nn::Rotary::Pairs::kHalves, nn::Rotary::Pairs::kInterleaved}) {
        nn::Rotary rotary = nn::plain_rotary(head_dim, 1e4);
        rotary.pairs = pairs;
        expect_rotated(rotary, head_dim, tokens);
        if (head_dim == 2) continue;
        rotary = nn::plain_rotary(head_dim / 4 * 2, 1e4);
        rotary.pairs = pairs;
        rotary.factor = 1.25;
        expect_rotated(rotary, head_dim, tokens);
      }
    }
  }
}

TEST_P(RopeTest, GrowsToLaterPositions) {
  const nn::Rotary rotary = nn::plain_rotary(8, 1e6);
  nn::Rope rope(rotary, torch::kCPU, GetParam());
  torch::Tensor heads = random({2, 1, 8});
  const torch::Tensor positions = torch::tensor({0, 3000});
  const torch::Tensor expected = reference(heads, positions, rotary);
  rope.apply(heads, positions, 3000);
  // Angles of thousands of radians are taken in float32.
  expect_close(heads, expected, std::max(tolerance(), 1e-3));
}

INSTANTIATE_TEST_SUITE_P(Dtypes, RopeTest, testing::compute_dtypes());

}  // namespace
}  // namespace foregate
