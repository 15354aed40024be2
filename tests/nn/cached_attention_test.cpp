#include "nn/cached_attention.h"

#include <numeric>

#include "base/random.h"
#include "compare.h"

namespace foregate {
namespace {

using testing::expect_close;

// Sequences whose rows are known beforehand, fed to the cache piece by piece.
struct Feed {
  Feed(const nn::AttentionShape& heads, std::vector<torch::Tensor> sequence_rows,
       int64_t tokens_of_a_page)
      : shape(heads), rows(std::move(sequence_rows)), page_tokens(tokens_of_a_page) {
    int64_t pages = 3;  // more than are needed
    for (const torch::Tensor& each : rows) pages += (each.size(0) + page_tokens - 1) / page_tokens;
    std::vector<int32_t> order(pages);
    std::iota(order.begin(), order.end(), 0);
    Random(7).shuffle(order);
    tables.resize(rows.size());
    size_t next = 0;
    for (size_t s = 0; s < rows.size(); ++s) {
      for (int64_t token = 0; token < rows[s].size(0); token += page_tokens) {
        tables[s].push_back(order[next++]);
      }
      longest = std::max(longest, tables[s].size());
    }
    // What was never written must not matter.
    cache.keys = torch::full({pages, page_tokens, shape.num_kv_heads, shape.head_dim}, NAN,
                             rows[0].options());
    cache.values = cache.keys.clone();
    lengths.assign(rows.size(), 0);
  }

  // Adds so many tokens to each sequence; returns what attention makes of them.
  torch::Tensor step(const std::vector<int64_t>& counts) {
    std::vector<int32_t> cu_seqlens = {0};
    std::vector<torch::Tensor> fresh;
    std::vector<int64_t> slots;
    torch::Tensor pages = torch::zeros(
        {static_cast<int64_t>(rows.size()), static_cast<int64_t>(longest)}, torch::kInt32);
    for (size_t s = 0; s < rows.size(); ++s) {
      fresh.push_back(rows[s].narrow(0, lengths[s], counts[s]));
      for (int64_t i = 0; i < counts[s]; ++i, ++lengths[s]) {
        slots.push_back(tables[s][lengths[s] / page_tokens] * page_tokens +
                        lengths[s] % page_tokens);
      }
      cu_seqlens.push_back(cu_seqlens.back() + static_cast<int32_t>(counts[s]));
      for (size_t i = 0; i < tables[s].size(); ++i) {
        pages.index_put_({static_cast<int64_t>(s), static_cast<int64_t>(i)}, tables[s][i]);
      }
    }
    return nn::cached_attention(torch::cat(fresh), {cu_seqlens, torch::kCPU},
                                {lengths, pages, torch::tensor(slots, torch::kInt64)}, shape,
                                cache);
  }

  nn::AttentionShape shape;
  std::vector<torch::Tensor> rows;
  int64_t page_tokens;
  std::vector<std::vector<int32_t>> tables;
  size_t longest = 0;
  nn::PagedKv cache;
  std::vector<int64_t> lengths;
};

torch::Tensor whole(const torch::Tensor& rows, const nn::AttentionShape& shape) {
  const std::vector<int32_t> bounds = {0, static_cast<int32_t>(rows.size(0))};
  return nn::attention(rows, {bounds, torch::kCPU}, shape);
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

// Prompts of unequal lengths, then steps in which some grow by one, some by a few, some by many,
// some not at all.
TEST_P(CachedAttentionTest, StepsMatchWholeSequences) {
  const std::vector<std::vector<int64_t>> steps = {{1, 31, 0, 40},  {1, 1, 5, 1}, {1, 1, 1, 0},
                                                   {30, 20, 33, 3}, {1, 1, 1, 1}, {0, 15, 16, 17}};
  for (const nn::AttentionShape shape :
       {nn::AttentionShape{4, 4, 8}, nn::AttentionShape{4, 2, 34}, nn::AttentionShape{6, 1, 8}}) {
    for (const int64_t page_tokens : {1, 4, 32, 64}) {
      std::vector<int64_t> lengths(4, 0);
      for (const auto& counts : steps) {
        for (size_t s = 0; s < 4; ++s) lengths[s] += counts[s];
      }
      Feed feed(shape, sequences(lengths, shape), page_tokens);
      std::vector<std::vector<torch::Tensor>> parts(4);
      for (const auto& counts : steps) {
        const torch::Tensor mixed = feed.step(counts);
        int64_t first = 0;
        for (size_t s = 0; s < 4; ++s) {
          parts[s].push_back(mixed.narrow(0, first, counts[s]));
          first += counts[s];
        }
      }
      for (size_t s = 0; s < 4; ++s) {
        expect_close(torch::cat(parts[s]), whole(feed.rows[s], shape), tolerance());
      }
    }
  }
}

TEST_P(CachedAttentionTest, WithoutEarlierTokensTheBitsAreThoseOfPackedTexts) {
  const nn::AttentionShape shape{4, 2, 8};
  Feed feed(shape, sequences({33, 1, 20}, shape), 8);
  const std::vector<int32_t> cu_seqlens = {0, 33, 34, 54};
  EXPECT_TRUE(torch::equal(feed.step({33, 1, 20}),
                           nn::attention(torch::cat(feed.rows), {cu_seqlens, torch::kCPU}, shape)));
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
