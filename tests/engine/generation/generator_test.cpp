#include "engine/generation/generator.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/types.h>

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>

#include "../model_test.h"
#include "base/error.h"
#include "base/json.h"
#include "base/random.h"
#include "support/recorded_run.h"
#include "support/test_files.h"

namespace foregate::engine {
namespace {

using testing::error_of;
using ::testing::HasSubstr;

using Ids = std::vector<int32_t>;

class Collected : public GenerationListener {
 public:
  void on_text(int64_t id, std::string_view text) override { streamed[id] += text; }
  void on_result(const GenerationResult& result) override {
    EXPECT_EQ(results.count(result.id), 0U);
    EXPECT_EQ(streamed[result.id], result.text);
    results[result.id] = result;
  }
  std::map<int64_t, std::string> streamed;
  std::map<int64_t, GenerationResult> results;
};

// Every token is a word.
std::string word(int32_t id) {
  return " w" + std::to_string(id);
}

struct Ran {
  std::map<int64_t, GenerationResult> results;
  GenerationStats stats;
};

Ran run(Generator& generator, const std::vector<GenerationRequest>& requests,
        const StopToken& stop = silent_run().stop) {
  size_t next = 0;
  Collected collected;
  NoObserver nobody;
  Ran ran;
  ran.stats = generator.run(
      [&]() -> std::optional<GenerationRequest> {
        if (next == requests.size()) return std::nullopt;
        return requests[next++];
      },
      collected, stop, nobody);
  ran.results = std::move(collected.results);
  EXPECT_EQ(generator.cache().free_pages(), generator.cache().num_pages());
  EXPECT_EQ(generator.cache().num_sequences(), 0);
  return ran;
}

Generator make_generator(Engine& engine, int64_t cache_tokens, int64_t page_tokens,
                         int64_t sequences, int64_t step_tokens) {
  return {engine,
          {.cache_bytes = cache_tokens * engine.cache_bytes_per_token(),
           .max_sequences = sequences,
           .step_tokens = step_tokens,
           .page_tokens = page_tokens},
          word};
}

// goldens/make_generation_goldens.py tells how they were made.
struct GreedyGolden {
  std::vector<GenerationRequest> requests;
  std::vector<Ids> expected;
};

GreedyGolden golden_of(const std::string& model) {
  static const Json all =
      read_json(std::string(FOREGATE_SOURCE_DIR) + "/tests/engine/goldens/generation.json");
  GreedyGolden golden;
  for (const Json& text : all.at(model)) {
    GenerationRequest request;
    request.id = static_cast<int64_t>(golden.requests.size());
    request.prompt = text["prompt"].get<Ids>();
    golden.expected.push_back(text["ids"].get<Ids>());
    request.max_tokens = static_cast<int64_t>(golden.expected.back().size());
    if (request.max_tokens == 0) {
      golden.expected.pop_back();
      continue;
    }
    golden.requests.push_back(std::move(request));
  }
  return golden;
}

void expect_golden(const Ran& ran, const GreedyGolden& golden) {
  ASSERT_EQ(ran.results.size(), golden.requests.size());
  for (const auto& [id, result] : ran.results) {
    EXPECT_EQ(result.ids, golden.expected[id]) << "prompt " << id;
    EXPECT_EQ(result.finish_reason, FinishReason::kLength);
  }
}

class GreedyTest : public testing::ModelTest {};

TEST_P(GreedyTest, EqualsTransformersOneByOne) {
  Engine engine(directory_, {.routing_only = false});
  Generator generator = make_generator(engine, 1024, 64, /*sequences=*/1, 512);
  GreedyGolden golden = golden_of(GetParam());
  const Ran ran = run(generator, golden.requests);
  expect_golden(ran, golden);
  EXPECT_EQ(ran.stats.preemptions, 0);
}

// Prompts of unequal lengths start and end at different times.
TEST_P(GreedyTest, EqualsTransformersInABatch) {
  Engine engine(directory_, {.routing_only = false});
  Generator generator = make_generator(engine, 2048, 32, /*sequences=*/3, 512);
  const GreedyGolden golden = golden_of(GetParam());
  expect_golden(run(generator, golden.requests), golden);
}

// Prompts in pieces, small pages, and a cache that cannot hold all texts to their ends, so that
// pages come out of order and texts make room for others.
TEST_P(GreedyTest, EqualsTransformersWithLittleRoom) {
  Engine engine(directory_, {.routing_only = false});
  const GreedyGolden golden = golden_of(GetParam());
  int64_t longest = 0;
  for (size_t i = 0; i < golden.requests.size(); ++i) {
    longest = std::max<int64_t>(longest, static_cast<int64_t>(golden.requests[i].prompt.size() +
                                                              golden.expected[i].size()));
  }
  Generator generator =
      make_generator(engine, longest + longest / 3 + 8, 4, /*sequences=*/4, /*step_tokens=*/13);
  const Ran ran = run(generator, golden.requests);
  expect_golden(ran, golden);
  EXPECT_GT(ran.stats.preemptions, 0);
}

// Each text goes on from a fork of its cache, the parent first.
TEST_P(GreedyTest, EqualsTransformersFromAFork) {
  Engine engine(directory_, {.routing_only = false});
  const GreedyGolden golden = golden_of(GetParam());
  NoObserver nobody;
  for (size_t i = golden.requests.size() / 2; i < golden.requests.size(); ++i) {  // enough
    KvCache cache = engine.new_cache(1024 * engine.cache_bytes_per_token(), 16);
    const auto last_of = [&](KvCache::Sequence sequence, const Ids& ids) {
      StepBatch batch;
      batch.add(sequence, ids);
      return static_cast<int32_t>(
          engine.step(batch, nobody, &cache).next_token_logits.argmax(-1).item<int64_t>());
    };
    const KvCache::Sequence parent = cache.open();
    const int32_t first = last_of(parent, golden.requests[i].prompt);
    const KvCache::Sequence child = cache.fork(parent);
    for (const KvCache::Sequence sequence : {parent, child}) {
      Ids ids = {first};
      while (ids.size() < golden.expected[i].size()) ids.push_back(last_of(sequence, {ids.back()}));
      EXPECT_EQ(ids, golden.expected[i]) << "prompt " << i;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Random, GreedyTest,
                         ::testing::Values("plain", "mixed-dense", "tied-fused", "sharded",
                                           "mixtral", "olmoe", "qwen3", "deepseek", "deepseek_v2",
                                           "deepseek_v3", "glm4_moe", "minimax_m2", "ernie4_5_moe",
                                           "gpt-oss"),
                         testing::test_name);
INSTANTIATE_TEST_SUITE_P(Trained, GreedyTest, ::testing::Values("seed-geometry", "mini-qwen"),
                         testing::test_name);

class GeneratorTest : public ::testing::Test {
 protected:
  GenerationRequest request(int64_t id, const Ids& prompt, int64_t max_tokens) const {
    GenerationRequest made;
    made.id = id;
    made.prompt = prompt;
    made.max_tokens = max_tokens;
    return made;
  }
  GenerationResult only(const GenerationRequest& one) {
    Ran ran = run(generator_, {one});
    EXPECT_EQ(ran.results.size(), 1U);
    return ran.results.begin()->second;
  }
  Engine engine_{testing::goldens() / "plain", {.routing_only = false}};
  Generator generator_ = make_generator(engine_, 1024, 16, 4, 64);
};

TEST_F(GeneratorTest, TheSameSeedGivesTheSameTextInAnyBatch) {
  Random random(1);
  std::vector<GenerationRequest> requests;
  for (int64_t id = 0; id < 9; ++id) {
    Ids prompt(1 + random.below(12));
    for (int32_t& token : prompt) token = static_cast<int32_t>(random.below(96));
    requests.push_back(request(id, prompt, 30));
    requests.back().sampling = {.temperature = 1.2, .top_p = 0.95};
    requests.back().seed = 5;
    requests.back().stream = static_cast<uint64_t>(id);
  }
  const Ran together = run(generator_, requests);
  std::ranges::reverse(requests);
  for (const GenerationRequest& each : requests) {
    EXPECT_EQ(only(each).ids, together.results.at(each.id).ids) << each.id;
  }
}

// Four texts in a cache that holds about two. Whoever waits goes on when all that it needs until
// its next token is there: one text waits, once. With a look at the next step alone, three do.
TEST_F(GeneratorTest, WhatMadeRoomWaitsUntilItCanGoOn) {
  Generator tight = make_generator(engine_, 48, 4, 4, 8);
  std::vector<GenerationRequest> requests;
  for (const auto& [prompt, more] :
       std::vector<std::pair<int, int>>{{9, 8}, {11, 21}, {6, 23}, {14, 20}}) {
    const auto id = static_cast<int64_t>(requests.size());
    requests.push_back(request(id, Ids(prompt, static_cast<int32_t>(3 * id + 1)), more));
  }
  const Ran ran = run(tight, requests);
  EXPECT_EQ(ran.stats.preemptions, 1);
  for (const GenerationRequest& each : requests) {
    EXPECT_EQ(ran.results.at(each.id).ids, only(each).ids) << each.id;
  }
}

TEST_F(GeneratorTest, StopsAtAnId) {
  const Ids free = only(request(0, {1, 2, 3}, 20)).ids;
  GenerationRequest one = request(0, {1, 2, 3}, 20);
  one.stop_ids = {free[4]};
  const size_t first = std::ranges::find(free, free[4]) - free.begin();
  const GenerationResult result = only(one);
  EXPECT_EQ(result.ids, Ids(free.begin(), free.begin() + static_cast<int64_t>(first) + 1));
  EXPECT_EQ(result.finish_reason, FinishReason::kStop);
  std::string text;
  for (size_t i = 0; i < first; ++i) text += word(free[i]);
  EXPECT_EQ(result.text, text);
}

TEST_F(GeneratorTest, StopsBeforeAStringAcrossTokens) {
  const Ids free = only(request(0, {1, 2, 3}, 20)).ids;
  GenerationRequest one = request(0, {1, 2, 3}, 20);
  one.stop_strings = {"nothing of the kind", (word(free[3]) + word(free[4])).substr(1)};
  const GenerationResult result = only(one);
  EXPECT_EQ(result.finish_reason, FinishReason::kStop);
  EXPECT_EQ(result.stop_string, one.stop_strings[1]);
  std::string all;
  for (const int32_t id : free) all += word(id);
  EXPECT_EQ(result.text, all.substr(0, all.find(one.stop_strings[1])));
}

TEST_F(GeneratorTest, TellsLogprobs) {
  GenerationRequest one = request(0, {1, 2, 3}, 4);
  one.logprobs = 2;
  const GenerationResult result = only(one);
  ASSERT_EQ(result.logprobs.size(), 4U);
  for (size_t i = 0; i < 4; ++i) {
    EXPECT_EQ(result.logprobs[i].chosen.id, result.ids[i]);
    EXPECT_EQ(result.logprobs[i].top[0].id, result.ids[i]);
    EXPECT_LE(result.logprobs[i].chosen.logprob, 0);
  }
}

TEST_F(GeneratorTest, RefusesWhatDoesNotFit) {
  EXPECT_EQ(generator_.context_limit(), 64);
  EXPECT_EQ(generator_.refusal(request(0, Ids(60, 1), 4)), "");
  EXPECT_THAT(generator_.refusal(request(0, Ids(60, 1), 5)), HasSubstr("at most 4"));
  EXPECT_THAT(generator_.refusal(request(0, Ids(64, 1), 1)), HasSubstr("64 tokens"));
  EXPECT_THAT(generator_.refusal(request(0, {}, 5)), HasSubstr("no token"));
  EXPECT_THAT(generator_.refusal(request(0, {1, 96}, 5)), HasSubstr("token id 96"));
  EXPECT_THAT(generator_.refusal(request(0, {1}, 0)), HasSubstr("max tokens"));
  const Generator small = make_generator(engine_, 32, 16, 1, 64);
  EXPECT_EQ(small.context_limit(), 32);
  EXPECT_THAT(small.refusal(request(0, Ids(30, 1), 5)), HasSubstr("room for 32 tokens"));
  EXPECT_THAT(error_of([&] { run(generator_, {request(0, Ids(64, 1), 1)}); }),
              HasSubstr("64 tokens"));
}

TEST_F(GeneratorTest, FillsTheContextToItsLastPosition) {
  EXPECT_EQ(only(request(0, Ids(63, 1), 1)).ids.size(), 1U);
  EXPECT_EQ(only(request(0, Ids(1, 1), 63)).ids.size(), 63U);
}

class StopAfter : public StopToken {
 public:
  explicit StopAfter(int looks) : looks_(looks) {}
  bool stop_requested() const override { return looks_-- <= 0; }

 private:
  mutable int looks_;
};

TEST_F(GeneratorTest, EndsInOrderWhenAsked) {
  const Ids free = only(request(0, {1, 2, 3}, 20)).ids;
  std::vector<GenerationRequest> requests;
  for (int64_t id = 0; id < 6; ++id) requests.push_back(request(id, {1, 2, 3}, 20));
  const Ran ran = run(generator_, requests, StopAfter(5));
  EXPECT_TRUE(ran.stats.interrupted);
  EXPECT_EQ(ran.results.size(), 4U) << "those that were under way";
  for (const auto& [id, result] : ran.results) {
    EXPECT_EQ(result.finish_reason, FinishReason::kInterrupted);
    EXPECT_EQ(result.ids, Ids(free.begin(), free.begin() + 5));
  }
}

// A device that has room for steps of so many tokens.
class SmallDevice : public EngineObserver {
 public:
  explicit SmallDevice(int64_t most) : most_(most) {}
  void on_router(const RouterEvent& event) override {
    largest = std::max(largest, event.logits.size(0));
    if (event.moe_layer == 1 && event.logits.size(0) > most_) throw OutOfMemoryError("too much");
  }
  int64_t largest = 0;

 private:
  int64_t most_;
};

TEST_F(GeneratorTest, AStepThatDoesNotFitIsRunInSmallerOnes) {
  std::vector<GenerationRequest> requests;
  for (int64_t id = 0; id < 6; ++id) requests.push_back(request(id, Ids(11, 3 + id), 9));
  const Ran expected = run(generator_, requests);
  size_t next = 0;
  Collected collected;
  SmallDevice device(3);
  testing::RecordedRun log;
  Generator generator(engine_,
                      {.cache_bytes = 1024 * engine_.cache_bytes_per_token(),
                       .max_sequences = 4,
                       .log = &log.context().log},
                      word);
  generator.run(
      [&]() -> std::optional<GenerationRequest> {
        return next == requests.size() ? std::nullopt : std::optional(requests[next++]);
      },
      collected, silent_run().stop, device);
  EXPECT_EQ(device.largest, 44);
  for (const auto& [id, result] : expected.results)
    EXPECT_EQ(collected.results[id].ids, result.ids);
  EXPECT_EQ(log.messages(),
            (std::vector<std::string>{
                "warning: out of memory with 44 tokens at once; going on with at most 22",
                "warning: out of memory with 22 tokens at once; going on with at most 11",
                "warning: out of memory with 11 tokens at once; going on with at most 5",
                "warning: out of memory with 5 tokens at once; going on with at most 2"}));
  SmallDevice none(0);
  next = 0;
  EXPECT_THROW(generator.run([&]() -> std::optional<GenerationRequest> { return requests[0]; },
                             collected, silent_run().stop, none),
               OutOfMemoryError);
}

TEST_F(GeneratorTest, Counts) {
  std::vector<GenerationRequest> requests;
  for (int64_t id = 0; id < 6; ++id) requests.push_back(request(id, {1, 2, 3}, 5));
  const GenerationStats stats = run(generator_, requests).stats;
  EXPECT_EQ(stats.prompts, 6);
  EXPECT_EQ(stats.prompt_tokens, 18);
  EXPECT_EQ(stats.generated_tokens, 30);
  EXPECT_EQ(stats.seconds_to_first.size(), 6U);
  EXPECT_EQ(stats.seconds_between.size(), 24U);
  EXPECT_EQ(stats.steps, 10) << "four at once, then two";
  EXPECT_EQ(stats.peak_cache_bytes, 4 * generator_.cache().page_bytes());
}

}  // namespace
}  // namespace foregate::engine
