#include "engine/generation/sampler.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>

#include "base/json.h"
#include "support/test_files.h"

namespace foregate::engine {
namespace {

using ::testing::ElementsAre;
using testing::error_of;
using ::testing::HasSubstr;

constexpr double kInfinity = std::numeric_limits<double>::infinity();

SamplingSettings settings_of(const Json& json) {
  SamplingSettings settings;
  settings.temperature = json.value("temperature", 0.0);
  settings.top_k = json.value("top_k", 0);
  settings.top_p = json.value("top_p", 1.0);
  settings.min_p = json.value("min_p", 0.0);
  settings.repetition_penalty = json.value("repetition_penalty", 1.0);
  if (json.contains("logit_bias")) {
    for (const auto& [id, bias] : json["logit_bias"].items()) {
      settings.logit_bias[std::stoi(id)] = bias.get<double>();
    }
  }
  return settings;
}

// goldens/make_generation_goldens.py tells how they were made.
TEST(Sampler, DistributionsAreThoseOfTransformersProcessors) {
  const Json cases =
      read_json(std::string(FOREGATE_SOURCE_DIR) + "/tests/engine/goldens/sampling.json");
  ASSERT_GE(cases.size(), 20U);
  for (const Json& golden : cases) {
    std::vector<int32_t> seen = golden["prompt"];
    for (const int32_t id : golden["generated"].get<std::vector<int32_t>>()) seen.push_back(id);
    const Sampler sampler(settings_of(golden["settings"]), 0, 0, seen);
    const std::vector<float> logits = golden["logits"];
    const Candidates candidates = sampler.candidates(logits);
    std::vector<double> actual(logits.size(), 0.0);
    for (size_t i = 0; i < candidates.ids.size(); ++i) {
      actual[candidates.ids[i]] = candidates.probabilities[i];
    }
    const std::vector<double> expected = golden["probabilities"];
    for (size_t id = 0; id < expected.size(); ++id) {
      EXPECT_NEAR(actual[id], expected[id], 2e-6) << golden["settings"].dump() << " token " << id;
      EXPECT_EQ(actual[id] == 0, expected[id] == 0) << golden["settings"].dump() << " token " << id;
    }
  }
}

TEST(Sampler, GreedyTakesTheFirstOfTheLikeliest) {
  Sampler sampler({}, 0, 0, {});
  EXPECT_EQ(sampler.next(std::vector<float>{1, 3, 2, 3}), 1);
}

TEST(Sampler, PenaltiesOfWhatWasGenerated) {
  Sampler sampler({.presence_penalty = 1, .frequency_penalty = 0.5}, 0, 0, std::vector<int32_t>{1});
  // By turns, each time token 0 or 1 has lost enough: the prompt does not count.
  const std::vector<float> logits{2.0F, 1.2F, 0.0F};
  std::vector<int32_t> ids;
  for (int i = 0; i < 5; ++i) ids.push_back(sampler.next(logits));
  // 2.0 1.2 | 0.5 1.2 | 0.5 -0.3 | 0 -0.3 0 | -0.5 -0.3 0
  EXPECT_THAT(ids, ElementsAre(0, 1, 0, 0, 2));
}

TEST(Sampler, AForbiddenTokenIsNeverChosen) {
  Sampler sampler({.temperature = 1, .logit_bias = {{1, -kInfinity}}}, 0, 0, {});
  for (int i = 0; i < 200; ++i) EXPECT_NE(sampler.next(std::vector<float>{0, 20, 0}), 1);
  Sampler none({.logit_bias = {{0, -kInfinity}}}, 0, 0, {});
  EXPECT_THAT(error_of([&] { none.next(std::vector<float>{1}); }), HasSubstr("no token is left"));
}

TEST(Sampler, RefusesWhatIsNotANumber) {
  Sampler sampler({}, 0, 0, {});
  EXPECT_THAT(error_of([&] {
                sampler.next(std::vector<float>{1, NAN});
              }),
              HasSubstr("logit of token 1"));
}

TEST(Sampler, DrawsAsOftenAsIsLikely) {
  const std::vector<float> logits{0.0F, std::log(2.0F), -INFINITY, std::log(5.0F)};
  Sampler sampler({.temperature = 1}, 9, 0, {});
  std::vector<int> count(4, 0);
  constexpr int kDraws = 40'000;
  for (int i = 0; i < kDraws; ++i) ++count[sampler.next(logits)];
  EXPECT_EQ(count[2], 0);
  EXPECT_NEAR(count[0], kDraws / 8.0, 5 * std::sqrt(kDraws * 0.125 * 0.875));
  EXPECT_NEAR(count[1], kDraws / 4.0, 5 * std::sqrt(kDraws * 0.25 * 0.75));
}

TEST(Sampler, SeedsAndStreams) {
  const std::vector<float> logits(1000, 0.0F);
  const auto draw = [&](uint64_t seed, uint64_t stream) {
    Sampler sampler({.temperature = 1}, seed, stream, {});
    std::vector<int32_t> ids;
    for (int i = 0; i < 20; ++i) ids.push_back(sampler.next(logits));
    return ids;
  };
  EXPECT_EQ(draw(1, 2), draw(1, 2));
  EXPECT_NE(draw(1, 2), draw(1, 3));
  EXPECT_NE(draw(1, 2), draw(2, 2));
}

TEST(Sampler, ChecksItsSettings) {
  const auto message = [](const SamplingSettings& settings) {
    return error_of([&] { check_sampling(settings, 10, "--"); });
  };
  EXPECT_EQ(message({}), "no error");
  EXPECT_THAT(message({.temperature = -1}), HasSubstr("--temperature is -1"));
  EXPECT_THAT(message({.temperature = NAN}), HasSubstr("--temperature"));
  EXPECT_THAT(message({.top_k = -1}), HasSubstr("--top-k"));
  EXPECT_THAT(message({.top_p = 0}), HasSubstr("--top-p"));
  EXPECT_THAT(message({.top_p = 1.5}), HasSubstr("--top-p"));
  EXPECT_THAT(message({.min_p = 2}), HasSubstr("--min-p"));
  EXPECT_THAT(message({.repetition_penalty = 0}), HasSubstr("--repetition-penalty"));
  EXPECT_THAT(message({.logit_bias = {{10, 1}}}), HasSubstr("token is 10"));
  EXPECT_THAT(message({.logit_bias = {{1, kInfinity}}}), HasSubstr("--logit-bias"));
}

TEST(Logprobs, AreOfTheLogitsThemselves) {
  const std::vector<float> logits{std::log(1.0F), std::log(2.0F), std::log(5.0F)};
  const TokenLogprobs logprobs = logprobs_of(logits, 0, 2);
  EXPECT_NEAR(logprobs.chosen.logprob, std::log(1.0 / 8), 1e-6);
  ASSERT_EQ(logprobs.top.size(), 2U);
  EXPECT_EQ(logprobs.top[0].id, 2);
  EXPECT_NEAR(logprobs.top[0].logprob, std::log(5.0 / 8), 1e-6);
  EXPECT_EQ(logprobs.top[1].id, 1);
  EXPECT_EQ(logprobs_of(logits, 1, 9).top.size(), 3U);
}

}  // namespace
}  // namespace foregate::engine
