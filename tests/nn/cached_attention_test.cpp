#include "nn/cached_attention.h"

#include "compare.h"
#include "paged_feed.h"

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
  Feed alone(shape, {rows[0]}, 8);
  Feed together(shape, rows, 8);
  alone.step({39});
  together.step({39, 5, 70});
  const torch::Tensor mixed = together.step({1, 3, 7});
  EXPECT_TRUE(torch::equal(alone.step({1}), mixed.narrow(0, 0, 1)));
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
