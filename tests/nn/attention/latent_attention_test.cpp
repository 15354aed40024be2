#include "nn/attention/latent_attention.h"

#include "../compare.h"
#include "../paged_feed.h"

namespace foregate {
namespace {

using testing::expect_close;

// Values narrower than, as wide as and wider than keys.
const std::vector<nn::LatentShape> kShapes = {
    {.num_heads = 3, .kv_rank = 10, .nope_dim = 6, .rope_dim = 2, .value_dim = 5, .scale = 0.3},
    {.num_heads = 1, .kv_rank = 16, .nope_dim = 4, .rope_dim = 4, .value_dim = 8, .scale = 0.5},
    {.num_heads = 20, .kv_rank = 7, .nope_dim = 3, .rope_dim = 2, .value_dim = 9, .scale = 1.25}};

nn::LatentRows split(const torch::Tensor& rows, const nn::LatentShape& shape) {
  return {rows.narrow(1, 0, shape.query_size()).contiguous(),
          rows.narrow(1, shape.query_size(), shape.latent_size()).contiguous()};
}

// The formulas of the paper in float64: (9) to (19) without what comes before the latents.
torch::Tensor reference(const torch::Tensor& rows, const torch::Tensor& expand,
                        const nn::LatentShape& shape) {
  const nn::LatentRows parts = split(rows.to(torch::kFloat64), shape);
  const int64_t tokens = rows.size(0);
  const torch::Tensor compressed = parts.latent.narrow(1, 0, shape.kv_rank);
  const torch::Tensor both =
      torch::matmul(compressed, expand.to(torch::kFloat64).t()).view({tokens, shape.num_heads, -1});
  const torch::Tensor query =
      parts.query.view({tokens, shape.num_heads, shape.head_dim()}).transpose(0, 1);
  const torch::Tensor shared = parts.latent.narrow(1, shape.kv_rank, shape.rope_dim)
                                   .unsqueeze(1)
                                   .expand({-1, shape.num_heads, -1});
  const torch::Tensor keys =
      torch::cat({both.narrow(2, 0, shape.nope_dim), shared}, 2).transpose(0, 1);
  torch::Tensor scores = torch::matmul(query, keys.transpose(1, 2)) * shape.scale;
  const torch::Tensor later = torch::ones({tokens, tokens}, torch::kBool).triu(1);
  scores = scores.masked_fill(later, -INFINITY).softmax(-1);
  const torch::Tensor values = both.narrow(2, shape.nope_dim, shape.value_dim).transpose(0, 1);
  return torch::matmul(scores, values).transpose(0, 1).reshape({tokens, shape.mixed_size()});
}

class LatentAttentionTest : public testing::DtypeTest {
 protected:
  torch::Tensor random_rows(int64_t tokens, const nn::LatentShape& shape) const {
    return random({tokens, shape.query_size() + shape.latent_size()});
  }
  torch::Tensor random_expand(const nn::LatentShape& shape) const {
    return (0.4 * torch::randn({shape.expanded_size(), shape.kv_rank})).to(GetParam());
  }
  // What is expanded or absorbed is rounded on the way.
  double rounded() const { return 3 * tolerance(); }
};

TEST_P(LatentAttentionTest, MatchesTheFormulasWithinEachText) {
  for (const nn::LatentShape& shape : kShapes) {
    const torch::Tensor expand = random_expand(shape);
    const torch::Tensor rows = random_rows(74, shape);
    const std::vector<int32_t> bounds = {0, 1, 33, 33, 74};
    const torch::Tensor mixed =
        nn::latent_attention(split(rows, shape), {bounds, torch::kCPU}, expand, shape);
    for (size_t i = 0; i + 1 < bounds.size(); ++i) {
      const int64_t count = bounds[i + 1] - bounds[i];
      if (count == 0) continue;
      expect_close(mixed.narrow(0, bounds[i], count),
                   reference(rows.narrow(0, bounds[i], count), expand, shape), rounded());
    }
  }
}

TEST_P(LatentAttentionTest, StepsMatchWholeSequences) {
  for (const nn::LatentShape& shape : kShapes) {
    const torch::Tensor expand = random_expand(shape);
    for (const int64_t page_tokens : {1, 32}) {
      std::vector<torch::Tensor> rows;
      for (const int64_t length : testing::grown_lengths()) {
        rows.push_back(random_rows(length, shape));
      }
      testing::PagedFeed feed(rows, page_tokens);
      nn::PagedKv cache{feed.empty_pages(1, shape.latent_size()), {}};
      const std::vector<torch::Tensor> mixed = testing::grow(feed, [&](const auto& step) {
        return nn::cached_latent_attention(split(step.rows, shape), {step.cu_seqlens, torch::kCPU},
                                           step.pages, expand, shape, cache);
      });
      for (size_t s = 0; s < 4; ++s) {
        expect_close(mixed[s], reference(rows[s], expand, shape), rounded());
      }
    }
  }
}

// However the tokens come, each sees latent rows rounded once.
TEST_P(LatentAttentionTest, StepsOfAnInt8CacheMatchRoundedSequences) {
  for (const nn::LatentShape& shape : kShapes) {
    const torch::Tensor expand = random_expand(shape);
    std::vector<torch::Tensor> rows;
    for (const int64_t length : testing::grown_lengths()) {
      rows.push_back(random_rows(length, shape));
    }
    testing::PagedFeed feed(rows, 8);
    const nn::PagedRows pages = feed.empty_int8_pages(1, shape.latent_size());
    nn::PagedKv cache{pages.rows, {}, pages.scales, {}};
    const std::vector<torch::Tensor> mixed = testing::grow(feed, [&](const auto& step) {
      return nn::cached_latent_attention(split(step.rows, shape), {step.cu_seqlens, torch::kCPU},
                                         step.pages, expand, shape, cache);
    });
    for (size_t s = 0; s < 4; ++s) {
      const nn::LatentRows parts = split(rows[s], shape);
      const torch::Tensor kept =
          torch::cat({parts.query, testing::rounded_to_int8(parts.latent)}, 1);
      expect_close(mixed[s], reference(kept, expand, shape), rounded());
    }
  }
}

TEST_P(LatentAttentionTest, WithoutEarlierTokensTheBitsAreThoseOfPackedTexts) {
  const nn::LatentShape& shape = kShapes.front();
  const torch::Tensor expand = random_expand(shape);
  testing::PagedFeed feed({random_rows(33, shape), random_rows(1, shape)}, 8);
  nn::PagedKv cache{feed.empty_pages(1, shape.latent_size()), {}};
  const testing::PagedFeed::Step step = feed.step({33, 1});
  const nn::PackedTexts texts(step.cu_seqlens, torch::kCPU);
  const nn::LatentRows rows = split(step.rows, shape);
  EXPECT_TRUE(
      torch::equal(nn::cached_latent_attention(rows, texts, step.pages, expand, shape, cache),
                   nn::latent_attention(rows, texts, expand, shape)));
}

TEST_P(LatentAttentionTest, RefusesACacheOfAnotherShape) {
  const nn::LatentShape& shape = kShapes.front();
  testing::PagedFeed feed({random_rows(3, shape)}, 2);
  nn::PagedKv cache{feed.empty_pages(1, shape.kv_rank), {}};
  const testing::PagedFeed::Step step = feed.step({3});
  EXPECT_THROW(nn::cached_latent_attention(split(step.rows, shape), {step.cu_seqlens, torch::kCPU},
                                           step.pages, random_expand(shape), shape, cache),
               c10::Error);
}

// Products, norms and rotation, each tested by itself.
TEST_P(LatentAttentionTest, RotatedLatents) {
  const nn::LatentShape& shape = kShapes.front();
  constexpr int64_t kHidden = 12;
  constexpr int64_t kRank = 8;
  for (const bool low_rank : {true, false}) {
    const auto exact = [&](at::IntArrayRef sizes) { return random(sizes).to(torch::kFloat64); };
    const torch::Tensor down = exact({kRank, kHidden});
    const torch::Tensor down_norm = exact({kRank});
    const torch::Tensor query = exact({shape.query_size(), low_rank ? kRank : kHidden});
    const torch::Tensor latent = exact({shape.latent_size(), kHidden});
    const torch::Tensor norm = exact({shape.kv_rank});
    const auto rows_of = [&](const torch::Tensor& x) {
      const auto as = [&](const torch::Tensor& weight) { return weight.to(x.scalar_type()); };
      nn::Rotary rotary = nn::plain_rotary(shape.rope_dim, 1e4);
      nn::Rope rope(rotary, torch::kCPU, x.scalar_type());
      nn::LatentWeights weights{.query_down = {},
                                .query_norm = {},
                                .query = as(query),
                                .latent = as(latent),
                                .latent_norm = as(norm),
                                .epsilon = 1e-6};
      if (low_rank) {
        weights.query_down = as(down);
        weights.query_norm = as(down_norm);
      }
      return nn::rotated_latents(x, weights, shape, rope, torch::arange(x.size(0)), x.size(0));
    };
    const torch::Tensor x = random({31, kHidden});
    const nn::LatentRows rows = rows_of(x);
    const torch::Tensor exact_x = x.to(torch::kFloat64);
    const auto normalized = [](const torch::Tensor& values, const torch::Tensor& weight) {
      return weight * values / (values.square().mean(-1, true) + 1e-6).sqrt();
    };
    const torch::Tensor narrow =
        low_rank ? normalized(torch::matmul(exact_x, down.t()), down_norm) : exact_x;
    torch::Tensor expected_query = torch::matmul(narrow, query.t());
    torch::Tensor expected_latent = torch::matmul(exact_x, latent.t());
    torch::Tensor compressed = expected_latent.narrow(1, 0, shape.kv_rank);
    compressed.copy_(normalized(compressed, norm));
    nn::Rope rope(nn::plain_rotary(shape.rope_dim, 1e4), torch::kCPU, torch::kFloat64);
    const torch::Tensor positions = torch::arange(31);
    rope.apply(expected_query.view({31, shape.num_heads, shape.head_dim()})
                   .narrow(2, shape.nope_dim, shape.rope_dim),
               positions, 30);
    rope.apply(expected_latent.unsqueeze(1).narrow(2, shape.kv_rank, shape.rope_dim), positions,
               30);
    expect_close(rows.query, expected_query, rounded());
    expect_close(rows.latent, expected_latent, rounded());
  }
}

INSTANTIATE_TEST_SUITE_P(Dtypes, LatentAttentionTest, testing::compute_dtypes());

}  // namespace
}  // namespace foregate
