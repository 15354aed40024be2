#include "nn/attention/cached_attention.h"

#include "../compare.h"
#include "../paged_feed.h"

namespace foregate {
namespace {

using testing::expect_close;

// Sequences that are fed to a cache of keys and values.
struct Feed {
  Feed(const nn::AttentionShape& heads, std::vector<torch::Tensor> rows, int64_t page_tokens,
       nn::LayerAttention of_layer = {})
      : shape(heads), layer(std::move(of_layer)), feed(std::move(rows), page_tokens) {
    cache.keys = feed.empty_pages(shape.num_kv_heads, shape.head_dim);
    cache.values = cache.keys.clone();
  }

  void keep_in_int8() {
    const nn::PagedRows keys = feed.empty_int8_pages(shape.num_kv_heads, shape.head_dim);
    const nn::PagedRows values = feed.empty_int8_pages(shape.num_kv_heads, shape.head_dim);
    cache = {keys.rows, values.rows, keys.scales, values.scales};
  }
  torch::Tensor attend(const testing::PagedFeed::Step& step) {
    return nn::cached_attention(step.rows, {step.cu_seqlens, torch::kCPU}, step.pages, shape, cache,
                                layer);
  }
  // Adds so many tokens to each sequence; returns what attention makes of them.
  torch::Tensor step(const std::vector<int64_t>& counts) { return attend(feed.step(counts)); }

  nn::AttentionShape shape;
  nn::LayerAttention layer;
  testing::PagedFeed feed;
  nn::PagedKv cache;
};

torch::Tensor whole(const torch::Tensor& rows, const nn::AttentionShape& shape,
                    const nn::LayerAttention& layer = {}) {
  const std::vector<int32_t> bounds = {0, static_cast<int32_t>(rows.size(0))};
  return nn::attention(rows, {bounds, torch::kCPU}, shape, layer);
}

class CachedAttentionTest : public testing::DtypeTest {
 protected:
  std::vector<torch::Tensor> sequences(const std::vector<int64_t>& lengths,
                                       const nn::AttentionShape& shape) const {
    std::vector<torch::Tensor> rows;
    for (const int64_t length : lengths) rows.push_back(random({length, shape.qkv_size()}));
    return rows;
  }
};

TEST_P(CachedAttentionTest, StepsMatchWholeSequences) {
  for (const nn::AttentionShape shape : {nn::AttentionShape{4, 4, 8}, nn::AttentionShape{4, 2, 34},
                                         nn::AttentionShape{18, 1, 8, 0.5}}) {
    for (const int64_t page_tokens : {1, 4, 32, 64}) {
      Feed feed(shape, sequences(testing::grown_lengths(), shape), page_tokens);
      const std::vector<torch::Tensor> mixed =
          testing::grow(feed.feed, [&](const auto& step) { return feed.attend(step); });
      for (size_t s = 0; s < 4; ++s) {
        expect_close(mixed[s], whole(feed.feed.rows[s], shape), tolerance());
      }
    }
  }
}

TEST_P(CachedAttentionTest, StepsWithWindowsAndSinksMatchWholeSequences) {
  const nn::AttentionShape shape{18, 2, 8};
  for (const int64_t window : {0, 1, 3, 32, 1000}) {
    for (const bool sinks : {false, true}) {
      const nn::LayerAttention layer{window, sinks ? torch::randn({18}) * 2 : torch::Tensor()};
      Feed feed(shape, sequences(testing::grown_lengths(), shape), /*page_tokens=*/4, layer);
      const std::vector<torch::Tensor> mixed =
          testing::grow(feed.feed, [&](const auto& step) { return feed.attend(step); });
      for (size_t s = 0; s < 4; ++s) {
        expect_close(mixed[s], whole(feed.feed.rows[s], shape, layer), tolerance());
      }
    }
  }
}

// Queries, then keys and values as an int8 cache has them.
torch::Tensor as_kept(const torch::Tensor& rows, const nn::AttentionShape& shape) {
  const torch::Tensor heads = rows.view({rows.size(0), -1, shape.head_dim});
  const int64_t kept = 2 * shape.num_kv_heads;
  return torch::cat({heads.narrow(1, 0, shape.num_heads),
                     testing::rounded_to_int8(heads.narrow(1, shape.num_heads, kept))},
                    1)
      .view(rows.sizes());
}

// However the tokens come, each sees keys and values rounded once.
TEST_P(CachedAttentionTest, StepsOfAnInt8CacheMatchRoundedSequences) {
  for (const nn::AttentionShape shape : {nn::AttentionShape{4, 4, 8}, nn::AttentionShape{4, 2, 34},
                                         nn::AttentionShape{18, 1, 8, 0.5}}) {
    for (const int64_t page_tokens : {1, 4, 32, 64}) {
      const nn::LayerAttention layer{page_tokens == 4 ? 3 : 0, {}};
      Feed feed(shape, sequences(testing::grown_lengths(), shape), page_tokens, layer);
      feed.keep_in_int8();
      const std::vector<torch::Tensor> mixed =
          testing::grow(feed.feed, [&](const auto& step) { return feed.attend(step); });
      for (size_t s = 0; s < 4; ++s) {
        expect_close(mixed[s], whole(as_kept(feed.feed.rows[s], shape), shape, layer), tolerance());
      }
    }
  }
}

// A key is off by at most a 254th of its largest magnitude, so a score by no more than that times
// the sum of the query's magnitudes, and a share of the softmax by the exponential of twice that.
TEST_P(CachedAttentionTest, AnInt8CacheIsWithinItsBound) {
  const nn::AttentionShape shape{4, 2, 64};
  Feed feed(shape, sequences(testing::grown_lengths(), shape), 16);
  feed.keep_in_int8();
  const std::vector<torch::Tensor> mixed =
      testing::grow(feed.feed, [&](const auto& step) { return feed.attend(step); });
  for (size_t s = 0; s < 4; ++s) {
    const torch::Tensor heads = feed.feed.rows[s].to(torch::kFloat64).view({-1, 8, 64});
    const auto largest = [](const torch::Tensor& each) { return each.abs().max().item<double>(); };
    const double keys = largest(heads.narrow(1, 4, 2));
    const double values = largest(heads.narrow(1, 6, 2));
    const double query = heads.narrow(1, 0, 4).abs().sum(-1).max().item<double>();
    const double score = shape.score_scale() * query * keys / 254;
    const double bound = std::expm1(2 * score) * values + values / 254 + tolerance() * values;
    const torch::Tensor exact = whole(feed.feed.rows[s].to(torch::kFloat32), shape);
    const double error = largest(mixed[s].to(torch::kFloat64) - exact);
    EXPECT_LE(error, bound);
    EXPECT_LE(error, 0.02 * values + tolerance() * values) << "what is met is far less";
    EXPECT_GT(error, 0);
  }
}

TEST_P(CachedAttentionTest, WithoutEarlierTokensTheBitsAreThoseOfPackedTexts) {
  const nn::AttentionShape shape{4, 2, 8};
  Feed feed(shape, sequences({33, 1, 20}, shape), 8);
  const std::vector<int32_t> cu_seqlens = {0, 33, 34, 54};
  EXPECT_TRUE(
      torch::equal(feed.step({33, 1, 20}),
                   nn::attention(torch::cat(feed.feed.rows), {cu_seqlens, torch::kCPU}, shape)));
}

TEST_P(CachedAttentionTest, DecodingDoesNotDependOnTheOtherSequences) {
  const nn::AttentionShape shape{4, 2, 8};
  const std::vector<torch::Tensor> rows = sequences({40, 9, 77}, shape);
  for (const bool int8 : {false, true}) {
    Feed alone(shape, {rows[0]}, 8);
    Feed together(shape, rows, 8);
    if (int8) {
      alone.keep_in_int8();
      together.keep_in_int8();
    }
    alone.step({39});
    together.step({39, 5, 70});
    const torch::Tensor mixed = together.step({1, 3, 7});
    EXPECT_TRUE(torch::equal(alone.step({1}), mixed.narrow(0, 0, 1)));
  }
}

// As without rounding: what is no number shows in the result instead of passing for one.
TEST_P(CachedAttentionTest, AnInt8CacheKeepsThatARowIsNoNumber) {
  const nn::AttentionShape shape{2, 1, 8};
  std::vector<torch::Tensor> rows = sequences({5}, shape);
  rows[0][1][16] = NAN;       // of token 1's key
  rows[0][3][24] = INFINITY;  // of token 3's value
  Feed feed(shape, rows, 2);
  feed.keep_in_int8();
  const torch::Tensor mixed = torch::cat({feed.step({1}), feed.step({1})});
  EXPECT_TRUE(mixed[0].isfinite().all().item<bool>());
  EXPECT_TRUE(mixed[1].isnan().all().item<bool>());
}

TEST_P(CachedAttentionTest, NoTokens) {
  const nn::AttentionShape shape{2, 1, 8};
  Feed feed(shape, sequences({3, 4}, shape), 2);
  EXPECT_EQ(feed.step({0, 0}).sizes(), (std::vector<int64_t>{0, 16}));
}

TEST_P(CachedAttentionTest, RefusesACacheOfAnotherShape) {
  const nn::AttentionShape shape{2, 1, 8};
  Feed feed(shape, sequences({3}, shape), 2);
  feed.cache.values = feed.cache.values.narrow(3, 0, 4).contiguous();
  EXPECT_THROW(feed.step({3}), c10::Error);
}

INSTANTIATE_TEST_SUITE_P(Dtypes, CachedAttentionTest, testing::compute_dtypes());

}  // namespace
}  // namespace foregate
