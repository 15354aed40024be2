// Steps with a cache against the same texts run whole, without one.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/types.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <string>

#include "base/random.h"
#include "engine/engine.h"
#include "model_test.h"
#include "routing_recorder.h"
#include "support/test_files.h"
#include "tensor/dtype.h"
#include "test_models.h"

namespace foregate::engine {
namespace {

using testing::error_of;
using ::testing::HasSubstr;
using testing::RoutingRecorder;

using Text = std::vector<int32_t>;

Text some_text(Random& random, int64_t length, int64_t vocab) {
  Text ids(length);
  for (int32_t& id : ids) id = static_cast<int32_t>(random.below(vocab));
  return ids;
}

// How far two computations of the same numbers may be apart, relative to the largest.
constexpr double kRounding = 2e-5;

void expect_near(const torch::Tensor& actual, const torch::Tensor& expected) {
  ASSERT_EQ(actual.sizes(), expected.sizes());
  const double scale = std::max(expected.abs().max().item<double>(), 1e-3);
  EXPECT_LE((actual - expected).abs().max().item<double>(), kRounding * scale);
}

torch::Tensor in_order(const torch::Tensor& experts) {
  return std::get<0>(experts.sort(-1));
}

// The same experts, but for decisions as close as rounding: those that logits a little off turn.
void expect_same_decisions(const torch::Tensor& experts, const torch::Tensor& expected,
                           const torch::Tensor& logits, const nn::Routers& routers, int64_t layer) {
  torch::Tensor same = (in_order(experts) == in_order(expected)).all(-1);
  if (same.all().item<bool>()) return;
  torch::manual_seed(1);
  for (int i = 0; i < 8; ++i) {
    const torch::Tensor near =
        logits + 2 * kRounding * logits.abs().max() * torch::randn_like(logits);
    const torch::Tensor again =
        nn::route(near, routers.spec, routers.biases(layer), experts.size(1)).experts;
    same = same.logical_or((in_order(again) != in_order(expected)).any(-1));
  }
  EXPECT_TRUE(same.all().item<bool>());
}

// Texts that grow step by step in a cache. After every step all that is new is compared with a run
// of the whole texts.
class GrowingTexts {
 public:
  GrowingTexts(Engine& engine, int64_t pages, int64_t page_tokens)
      : engine_(engine),
        routers_(engine.routers()),
        cache_(
            engine.new_cache(pages * page_tokens * engine.cache_bytes_per_token(), page_tokens)) {}

  void open() { texts_[cache_.open()] = {}; }
  void fork(KvCache::Sequence parent) {
    const Text text = texts_.at(parent);
    texts_[cache_.fork(parent)] = text;
  }
  void close(KvCache::Sequence sequence) {
    cache_.close(sequence);
    texts_.erase(sequence);
  }
  void truncate(KvCache::Sequence sequence, size_t length) {
    cache_.truncate(sequence, static_cast<int64_t>(length));
    texts_.at(sequence).resize(length);
  }

  // Returns false, with nothing changed, if the cache has no room.
  bool grow(const std::map<KvCache::Sequence, Text>& more) {
    StepBatch batch;
    for (const auto& [sequence, ids] : more) batch.add(sequence, ids);
    RoutingRecorder stepped;
    StepResult result;
    try {
      result = engine_.step(batch, stepped, &cache_);
    } catch (const OutOfMemoryError&) {
      for (const auto& [sequence, ids] : more) {
        EXPECT_EQ(cache_.length(sequence), static_cast<int64_t>(texts_.at(sequence).size()));
      }
      return false;
    }
    StepBatch whole;
    std::vector<int64_t> fresh;
    for (const auto& [sequence, ids] : more) {
      Text& text = texts_.at(sequence);
      text.insert(text.end(), ids.begin(), ids.end());
      EXPECT_EQ(cache_.length(sequence), static_cast<int64_t>(text.size()));
      whole.add(text);
      for (size_t i = ids.size(); i > 0; --i) {
        fresh.push_back(whole.num_tokens() - static_cast<int64_t>(i));
      }
    }
    RoutingRecorder reference;
    const StepResult expected = engine_.step(whole, reference);
    expect_near(result.next_token_logits, expected.next_token_logits);
    const torch::Tensor rows = torch::tensor(fresh);
    for (size_t layer = 0; layer < stepped.logits.size(); ++layer) {
      const torch::Tensor logits = reference.logits[layer].index_select(0, rows);
      expect_near(stepped.logits[layer], logits);
      expect_same_decisions(stepped.experts[layer], reference.experts[layer].index_select(0, rows),
                            logits, routers_, static_cast<int64_t>(layer));
    }
    return true;
  }

  const std::map<KvCache::Sequence, Text>& texts() const { return texts_; }
  const KvCache& cache() const { return cache_; }

 private:
  Engine& engine_;
  nn::Routers routers_;
  KvCache cache_;
  std::map<KvCache::Sequence, Text> texts_;
};

// A sequence drawn from those that are open.
KvCache::Sequence any_of(const GrowingTexts& texts, Random& random) {
  auto at = texts.texts().begin();
  std::advance(at, random.below(texts.texts().size()));
  return at->first;
}

// New tokens for some of the sequences: mostly one, sometimes a few, sometimes a prompt.
std::map<KvCache::Sequence, Text> some_growth(const GrowingTexts& texts, const Engine& engine,
                                              Random& random) {
  std::map<KvCache::Sequence, Text> more;
  for (const auto& [sequence, text] : texts.texts()) {
    if (random.below(4) == 0) continue;
    const auto room = engine.max_positions() - static_cast<int64_t>(text.size());
    const uint64_t kind = random.below(8);
    int64_t count = 1;
    if (kind == 6) count = 1 + static_cast<int64_t>(random.below(6));
    if (kind == 7 || text.empty()) count = 1 + static_cast<int64_t>(random.below(40));
    count = std::min(count, room);
    if (count > 0) more[sequence] = some_text(random, count, engine.vocab_size());
  }
  return more;
}

int random_steps() {
  const char* steps = std::getenv("FOREGATE_RANDOM_STEPS");
  return steps != nullptr ? std::atoi(steps) : 500;
}

class StepTest : public ::testing::TestWithParam<const char*> {};

// Whatever is opened, grown, forked, cut and closed in whatever order, and with too little room now
// and then: what a step says is what the whole texts say.
TEST_P(StepTest, RandomStepsEqualWholeTexts) {
  Engine engine(testing::goldens() / GetParam(), {.routing_only = false});
  Random random(11);
  GrowingTexts texts(engine, /*pages=*/40, /*page_tokens=*/4);
  int64_t refused = 0;
  int64_t forks = 0;
  for (int i = 0; i < random_steps() && !HasFailure(); ++i) {
    const uint64_t kind = random.below(10);
    if (texts.texts().empty() || (kind == 0 && texts.texts().size() < 6)) texts.open();
    const KvCache::Sequence one = any_of(texts, random);
    const size_t length = texts.texts().at(one).size();
    if (kind == 1 && texts.texts().size() < 6) {
      texts.fork(one);
      ++forks;
    } else if (kind == 2 && length > 0) {
      texts.truncate(one, random.below(length + 1));
    } else if (kind == 3 || length == static_cast<size_t>(engine.max_positions())) {
      texts.close(one);
    }
    const auto more = some_growth(texts, engine, random);
    if (!more.empty() && !texts.grow(more)) {
      ++refused;
      texts.close(any_of(texts, random));
    }
  }
  EXPECT_GT(forks, 0);
  EXPECT_GT(refused, 0) << "the cache was never full: choose fewer pages";
  while (!texts.texts().empty()) texts.close(texts.texts().begin()->first);
  EXPECT_EQ(texts.cache().free_pages(), texts.cache().num_pages());
}

INSTANTIATE_TEST_SUITE_P(Random, StepTest,
                         ::testing::Values("plain", "mixed-dense", "tied-fused", "mixtral", "olmoe",
                                           "qwen3", "deepseek", "deepseek_v2", "deepseek_v3",
                                           "glm4_moe", "minimax_m2", "ernie4_5_moe", "gpt-oss"),
                         testing::test_name);

class TrainedStepTest : public testing::ModelTest {};

// Token by token routes as in one prefill, over several pages and whole texts.
TEST_P(TrainedStepTest, DecodingRoutesAsPrefill) {
  Engine engine(directory_, {.routing_only = false});
  Random random(5);
  GrowingTexts texts(engine, /*pages=*/8, KvCache::kPageTokens);
  texts.open();
  const KvCache::Sequence sequence = texts.texts().begin()->first;
  ASSERT_TRUE(texts.grow({{sequence, some_text(random, 50, engine.vocab_size())}}));
  for (int i = 0; i < 40 && !HasFailure(); ++i) {
    ASSERT_TRUE(texts.grow({{sequence, some_text(random, 1, engine.vocab_size())}}));
  }
}

// In 16 bits sums of another order round to other numbers, and decisions that are nearly ties turn.
TEST_P(TrainedStepTest, DecodingRoutesNearlyAsPrefillIn16Bits) {
  Engine engine(directory_, {.compute = {.dtype = torch::kBFloat16}, .routing_only = false});
  Random random(6);
  const Text text = some_text(random, 100, engine.vocab_size());
  RoutingRecorder whole;
  StepBatch batch;
  batch.add(text);
  engine.step(batch, whole);
  KvCache cache = engine.new_cache(256 * engine.cache_bytes_per_token());
  const KvCache::Sequence sequence = cache.open();
  int64_t same = 0;
  int64_t all = 0;
  for (size_t i = 0; i < text.size(); ++i) {
    StepBatch one;
    one.add(sequence, std::span(text).subspan(i, 1));
    RoutingRecorder alone;
    engine.step(one, alone, &cache);
    for (size_t layer = 0; layer < whole.experts.size(); ++layer, ++all) {
      const torch::Tensor expected = whole.experts[layer][static_cast<int64_t>(i)];
      if (torch::equal(in_order(alone.experts[layer][0]), in_order(expected))) ++same;
    }
  }
  const double share = static_cast<double>(same) / static_cast<double>(all);
  std::printf("%s: %.2f%% of %ld decisions the same one by one as at once, bfloat16\n", GetParam(),
              100 * share, static_cast<long>(all));
  EXPECT_GT(share, 0.9);
}

INSTANTIATE_TEST_SUITE_P(Models, TrainedStepTest,
                         ::testing::Values("seed-geometry", "mini-qwen", "mini-deepseek"),
                         testing::test_name);

class Int8CacheTest : public testing::ModelTest {};

// The same tokens, one by one behind a prompt, over a cache of int8 and over one of the compute
// dtype: how far what the model says of the next token is off, and how many decisions turn.
TEST_P(Int8CacheTest, IsCloseToTheUnquantisedCache) {
  const auto engine_with = [&](std::optional<torch::ScalarType> kv_dtype) {
    return Engine(directory_, {.compute = {.kv_dtype = kv_dtype}, .routing_only = false});
  };
  Engine exact = engine_with(std::nullopt);
  Engine rounded = engine_with(torch::kInt8);
  ASSERT_LT(rounded.cache_bytes_per_token(), exact.cache_bytes_per_token() / 2);
  Random random(9);
  const int64_t length = std::min<int64_t>(exact.max_positions(), 120);
  const Text text = some_text(random, length, exact.vocab_size());
  const auto steps_of = [&](Engine& engine, RoutingRecorder& recorder) {
    KvCache cache = engine.new_cache(256 * engine.cache_bytes_per_token(), 16);
    const KvCache::Sequence sequence = cache.open();
    std::vector<torch::Tensor> logits;
    for (int64_t done = 0; done < length;) {
      const int64_t count = done == 0 ? length / 2 : 1;
      StepBatch batch;
      batch.add(sequence, std::span(text).subspan(done, count));
      logits.push_back(engine.step(batch, recorder, &cache).next_token_logits.clone());
      done += count;
    }
    return torch::cat(logits);
  };
  RoutingRecorder exact_routing;
  RoutingRecorder rounded_routing;
  const torch::Tensor expected = steps_of(exact, exact_routing);
  const torch::Tensor actual = steps_of(rounded, rounded_routing);
  const double error = (actual - expected).square().mean().sqrt().item<double>() /
                       expected.square().mean().sqrt().item<double>();
  int64_t same = 0;
  int64_t all = 0;
  for (size_t i = 0; i < exact_routing.experts.size(); ++i) {
    const torch::Tensor equal =
        (in_order(exact_routing.experts[i]) == in_order(rounded_routing.experts[i])).all(-1);
    same += equal.sum().item<int64_t>();
    all += equal.numel();
  }
  const double share = static_cast<double>(same) / static_cast<double>(all);
  std::printf("%s: logits off by %.2f%% (root mean square), %.2f%% of %ld decisions the same\n",
              GetParam(), 100 * error, 100 * share, static_cast<long>(all));
  EXPECT_GT(error, 0);
  // Of a latent row all heads' keys and values are made: its rounding costs most.
  EXPECT_LT(error, 0.08);
  EXPECT_GT(share, 0.92);
}

INSTANTIATE_TEST_SUITE_P(Models, Int8CacheTest,
                         ::testing::Values("plain", "mixtral", "olmoe", "qwen3", "deepseek",
                                           "deepseek_v2", "deepseek_v3", "glm4_moe", "minimax_m2",
                                           "ernie4_5_moe", "gpt-oss", "seed-geometry", "mini-qwen",
                                           "mini-deepseek"),
                         testing::test_name);

class CachedBits : public ::testing::TestWithParam<const char*> {};

// A prompt is run as collecting runs it, whatever the dtype: the cache is written beside it.
TEST_P(CachedBits, PrefillHasTheBitsOfAStepWithoutACache) {
  Engine engine(testing::goldens() / "plain",
                {.compute = {.dtype = tensor::parse_dtype(GetParam())}, .routing_only = false});
  Random random(3);
  KvCache cache = engine.new_cache(1 << 20, 8);
  StepBatch cached;
  StepBatch plain;
  for (const int length : {1, 31, 2, 64, 17}) {
    const Text text = some_text(random, length, engine.vocab_size());
    cached.add(cache.open(), text);
    plain.add(text);
  }
  RoutingRecorder with;
  RoutingRecorder without;
  const StepResult a = engine.step(cached, with, &cache);
  const StepResult b = engine.step(plain, without);
  EXPECT_TRUE(torch::equal(a.next_token_logits, b.next_token_logits));
  EXPECT_TRUE(torch::equal(torch::stack(with.logits), torch::stack(without.logits)));
  EXPECT_TRUE(torch::equal(torch::stack(with.residuals), torch::stack(without.residuals)));
}

INSTANTIATE_TEST_SUITE_P(Dtypes, CachedBits, ::testing::Values("float32", "bfloat16", "float16"));

TEST(Step, RefusesWhatIsTooLongWithWhatCameBefore) {
  Engine engine(testing::goldens() / "plain", {.routing_only = false});
  KvCache cache = engine.new_cache(1 << 20);
  NoObserver nobody;
  StepBatch batch;
  batch.add(cache.open(), Text(60, 1));
  engine.step(batch, nobody, &cache);
  StepBatch more;
  more.add(batch.sequences[0], Text(5, 1));
  EXPECT_THAT(error_of([&] { engine.step(more, nobody, &cache); }), HasSubstr("65 tokens"));
  EXPECT_EQ(cache.length(batch.sequences[0]), 60);
}

TEST(Step, RefusesASequenceThatIsThereTwice) {
  Engine engine(testing::goldens() / "plain", {.routing_only = false});
  KvCache cache = engine.new_cache(1 << 20);
  NoObserver nobody;
  StepBatch batch;
  batch.add(cache.open(), Text(3, 1));
  batch.add(batch.sequences[0], Text(3, 1));
  EXPECT_THROW(engine.step(batch, nobody, &cache), c10::Error);
}

}  // namespace
}  // namespace foregate::engine
