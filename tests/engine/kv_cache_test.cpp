#include "engine/kv_cache.h"

#include <c10/core/InferenceMode.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/types.h>

#include "engine/engine.h"
#include "support/test_files.h"
#include "test_models.h"

namespace foregate::engine {
namespace {

using testing::error_of;
using ::testing::HasSubstr;

constexpr KvLayout kSmall{.layers = 2, .kv_heads = 1, .key_dim = 2, .value_dim = 2};
constexpr int64_t kPage = 4 * 2 * 2 * 2 * 4;  // 4 tokens, 2 layers, keys and values, 2 float32

KvCache small_cache(int64_t pages) {
  return {kSmall, pages * kPage, torch::kCPU, torch::kFloat32, /*page_tokens=*/4};
}

std::vector<int64_t> slots(const KvCache& cache, KvCache::Sequence sequence) {
  const std::vector<KvCache::Sequence> one = {sequence};
  const std::vector<int64_t> all = {cache.length(sequence)};
  const torch::Tensor where = cache.pages_of(one, all).slots;
  return {where.const_data_ptr<int64_t>(), where.const_data_ptr<int64_t>() + where.numel()};
}

TEST(KvCache, HoldsAsManyPagesAsItsBudget) {
  EXPECT_EQ(small_cache(3).num_pages(), 3);
  EXPECT_EQ(KvCache(kSmall, 4 * kPage - 1, torch::kCPU, torch::kFloat32, 4).num_pages(), 3);
  EXPECT_EQ(KvCache(kSmall, kPage, torch::kCPU, torch::kBFloat16, 4).num_pages(), 2);
  EXPECT_THAT(error_of([] { KvCache(kSmall, kPage - 1, torch::kCPU, torch::kFloat32, 4); }),
              HasSubstr("one page of 4 tokens"));
  EXPECT_THROW(KvCache(kSmall, -1, torch::kCPU, torch::kFloat32, 4), UsageError);
}

TEST(KvCache, HoldsMoreInInt8) {
  const KvLayout grouped{.layers = 24, .kv_heads = 16, .key_dim = 128, .value_dim = 128};
  EXPECT_EQ(bytes_per_token(grouped, torch::kBFloat16), 24 * 16 * 2 * 256);
  EXPECT_EQ(bytes_per_token(grouped, torch::kInt8), 24 * 16 * 2 * (128 + 4)) << "and a scale";
  const KvLayout latent{.layers = 27, .kv_heads = 1, .key_dim = 576, .value_dim = 0};
  EXPECT_EQ(bytes_per_token(latent, torch::kInt8), 27 * (576 + 4));

  KvCache cache(kSmall, 10 * 4 * bytes_per_token(kSmall, torch::kInt8), torch::kCPU, torch::kInt8,
                4);
  EXPECT_TRUE(cache.is_quantized());
  EXPECT_EQ(cache.num_pages(), 10);
  const nn::PagedKv& layer = cache.layer(0);
  EXPECT_EQ(2 * (layer.keys.nbytes() + layer.values.nbytes() + layer.key_scales.nbytes() +
                 layer.value_scales.nbytes()),
            static_cast<size_t>(cache.num_pages() * cache.page_bytes()));
}

TEST(KvCache, AForkCopiesScales) {
  const c10::InferenceMode guard;
  KvCache cache(kSmall, 2 * 4 * bytes_per_token(kSmall, torch::kInt8), torch::kCPU, torch::kInt8,
                4);
  const KvCache::Sequence parent = cache.open();
  cache.extend(parent, 2);
  cache.layer(1).value_scales.view({-1}).index_fill_(0, torch::tensor(slots(cache, parent)), 0.5);
  const KvCache::Sequence child = cache.fork(parent);
  cache.extend(child, 1);
  const torch::Tensor copied = cache.layer(1).value_scales.view({-1}).index_select(
      0, torch::tensor(slots(cache, child)).narrow(0, 0, 2));
  EXPECT_TRUE((copied == 0.5).all().item<bool>());
}

TEST(KvCache, GrowsByPages) {
  KvCache cache = small_cache(4);
  const KvCache::Sequence sequence = cache.open();
  EXPECT_EQ(cache.pages_to_extend(sequence, 4), 1);
  EXPECT_EQ(cache.pages_to_extend(sequence, 5), 2);
  cache.extend(sequence, 3);
  EXPECT_EQ(cache.free_pages(), 3);
  EXPECT_EQ(cache.pages_to_extend(sequence, 1), 0);
  cache.extend(sequence, 6);
  EXPECT_EQ(cache.length(sequence), 9);
  EXPECT_EQ(cache.free_pages(), 1);
  cache.truncate(sequence, 4);
  EXPECT_EQ(cache.free_pages(), 3);
  cache.close(sequence);
  EXPECT_EQ(cache.free_pages(), 4);
  EXPECT_EQ(cache.num_sequences(), 0);
}

TEST(KvCache, SequencesHavePagesOfTheirOwn) {
  KvCache cache = small_cache(4);
  const KvCache::Sequence a = cache.open();
  const KvCache::Sequence b = cache.open();
  for (int i = 0; i < 8; ++i) {  // by turns, so that neither lies in a row
    cache.extend(a, 1);
    cache.extend(b, 1);
  }
  std::vector<int64_t> all = slots(cache, a);
  for (const int64_t slot : slots(cache, b)) all.push_back(slot);
  std::ranges::sort(all);
  for (int64_t i = 0; i < 16; ++i) EXPECT_EQ(all[i], i);
}

TEST(KvCache, RefusesMoreThanItHolds) {
  KvCache cache = small_cache(2);
  const KvCache::Sequence sequence = cache.open();
  cache.extend(sequence, 5);
  EXPECT_THAT(error_of([&] { cache.extend(sequence, 4); }), HasSubstr("1 pages"));
  EXPECT_EQ(cache.length(sequence), 5);
  cache.extend(sequence, 3);
  EXPECT_EQ(cache.free_pages(), 0);
}

TEST(KvCache, AForkSharesWhatIsThereAndCopiesWhatItWrites) {
  const c10::InferenceMode guard;  // the pages are written, as a step does
  KvCache cache = small_cache(6);
  const KvCache::Sequence parent = cache.open();
  cache.extend(parent, 6);
  const std::vector<int64_t> before = slots(cache, parent);
  cache.layer(0).keys.view({-1, 2}).index_fill_(0, torch::tensor(before), 1.0);
  const KvCache::Sequence child = cache.fork(parent);
  EXPECT_EQ(cache.free_pages(), 4);
  EXPECT_EQ(slots(cache, child), before);

  EXPECT_EQ(cache.pages_to_extend(child, 1), 1);
  cache.extend(child, 1);
  EXPECT_EQ(cache.free_pages(), 3);
  EXPECT_EQ(slots(cache, parent), before);
  const std::vector<int64_t> after = slots(cache, child);
  EXPECT_TRUE(std::equal(before.begin(), before.begin() + 4, after.begin()));
  EXPECT_NE(after[4], before[4]);
  const torch::Tensor copied =
      cache.layer(0).keys.view({-1, 2}).index_select(0, torch::tensor(after)).slice(0, 0, 6);
  EXPECT_TRUE((copied == 1).all().item<bool>());

  EXPECT_EQ(cache.pages_to_extend(parent, 1), 0) << "nobody shares its last page any more";
  cache.close(parent);
  EXPECT_EQ(cache.free_pages(), 4) << "the first page is the child's, too";
  cache.close(child);
  EXPECT_EQ(cache.free_pages(), 6);
}

TEST(KvCache, AForkThatWasCutCopiesBeforeItWrites) {
  KvCache cache = small_cache(4);
  const KvCache::Sequence parent = cache.open();
  cache.extend(parent, 8);
  const KvCache::Sequence child = cache.fork(parent);
  cache.truncate(child, 2);
  const std::vector<int64_t> before = slots(cache, parent);
  cache.extend(child, 2);
  EXPECT_EQ(slots(cache, parent), before);
  EXPECT_NE(slots(cache, child)[3], before[3]);
}

TEST(KvCache, ClosedSequencesAreNone) {
  KvCache cache = small_cache(1);
  const KvCache::Sequence sequence = cache.open();
  cache.close(sequence);
  EXPECT_THROW(cache.extend(sequence, 1), c10::Error);
  EXPECT_THROW(cache.length(sequence), c10::Error);
  EXPECT_EQ(cache.open(), sequence) << "numbers are given again";
}

TEST(KvCache, FitsTheModel) {
  const Engine engine(testing::goldens() / "mixed-dense", {.routing_only = false});
  // 7 layers, 2 key-value heads of 8, float32.
  EXPECT_EQ(engine.cache_bytes_per_token(), 2 * 7 * 2 * 8 * 4);
  EXPECT_EQ(engine.new_cache(int64_t{1} << 20, 16).num_pages(),
            (1 << 20) / (16 * engine.cache_bytes_per_token()));
}

}  // namespace
}  // namespace foregate::engine
