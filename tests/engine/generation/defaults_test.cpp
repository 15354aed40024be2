#include "engine/generation/defaults.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "support/temporary_folder.h"
#include "support/test_files.h"

namespace foregate::engine {
namespace {

using ::testing::ElementsAre;
using testing::error_of;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using testing::write_text;

class GenerationDefaultsTest : public ::testing::Test {
 protected:
  GenerationDefaults with(const std::string& generation_config) const {
    write_text(folder_ / "generation_config.json", generation_config);
    return read_generation_defaults(folder_.path());
  }
  testing::TemporaryFolder folder_;
};

TEST_F(GenerationDefaultsTest, NothingIsGreedyWithoutAnEnd) {
  const GenerationDefaults defaults = read_generation_defaults(folder_.path());
  EXPECT_EQ(defaults.sampling, SamplingSettings{});
  EXPECT_THAT(defaults.eos_ids, IsEmpty());
  EXPECT_FALSE(defaults.max_tokens);
}

TEST_F(GenerationDefaultsTest, TheEndIsThatOfTheConfigUnlessToldOtherwise) {
  write_text(folder_ / "config.json", R"({"eos_token_id": 7})");
  EXPECT_THAT(read_generation_defaults(folder_.path()).eos_ids, ElementsAre(7));
  EXPECT_THAT(with(R"({"bos_token_id": 1})").eos_ids, ElementsAre(7));
  EXPECT_THAT(with(R"({"eos_token_id": [3, 5]})").eos_ids, ElementsAre(3, 5));
  EXPECT_THAT(with(R"({"eos_token_id": null})").eos_ids, ElementsAre(7));
}

TEST_F(GenerationDefaultsTest, SamplesOnlyIfAsked) {
  EXPECT_EQ(with(R"({"temperature": 0.7, "top_p": 0.8, "top_k": 20})").sampling.temperature, 0);
  const GenerationDefaults defaults = with(
      R"({"do_sample": true, "temperature": 0.7, "top_p": 0.8, "top_k": 20, "min_p": null,
          "repetition_penalty": 1.05, "max_new_tokens": 2048})");
  EXPECT_EQ(defaults.sampling,
            (SamplingSettings{
                .temperature = 0.7, .top_k = 20, .top_p = 0.8, .repetition_penalty = 1.05}));
  EXPECT_EQ(defaults.max_tokens, 2048);
  EXPECT_EQ(with(R"({"do_sample": true})").sampling, (SamplingSettings{.temperature = 1}));
}

TEST_F(GenerationDefaultsTest, SaysWhatItPassesOver) {
  EXPECT_THAT(with(R"({"num_beams": 4, "typical_p": 1.0, "min_length": 0, "suppress_tokens": [1]})")
                  .passed_over,
              ElementsAre("num_beams 4", "suppress_tokens"));
}

TEST_F(GenerationDefaultsTest, RefusesWhatMeansNothing) {
  const auto message = [&](const std::string& text) { return error_of([&] { with(text); }); };
  EXPECT_THAT(message(R"({"do_sample": true, "top_p": 3})"), HasSubstr("top_p"));
  EXPECT_THAT(message(R"({"repetition_penalty": 0})"), HasSubstr("repetition_penalty"));
  EXPECT_THAT(message(R"({"eos_token_id": -1})"), HasSubstr("eos_token_id"));
  EXPECT_THAT(message(R"({"eos_token_id": [1, -1]})"), HasSubstr("eos_token_id"));
  EXPECT_THAT(message("[]"), HasSubstr("generation_config.json"));
}

}  // namespace
}  // namespace foregate::engine
