#include "collect/session.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/files.h"
#include "support/recorded_run.h"
#include "support/temporary_folder.h"
#include "support/test_files.h"

namespace foregate::collect {
namespace {

using ::testing::AllOf;
using testing::error_of;
using ::testing::HasSubstr;

class SessionTest : public ::testing::Test {
 protected:
  void SetUp() override {
    planned_.model = "m";
    planned_.model_type = "qwen2_moe";
    planned_.geometry.num_moe_layers = 1;
    planned_.geometry.num_experts = 4;
    planned_.geometry.top_k = 1;
    planned_.geometry.moe_layers = {0};
    planned_.shard_traces = 8;
    planned_.batch_tokens = 64;
    planned_.datasets = {
        {.name = "a", .source = "a.csv", .traces = 8, .available = 9, .skipped = 0}};
  }
  trace::Manifest resume() const { return resume_or_start(folder_, planned_, silent_run().log); }

  testing::TemporaryFolder temporary_;
  const fs::path& folder_ = temporary_.path();
  trace::Manifest planned_;
};

TEST_F(SessionTest, StartsInAnEmptyDirectory) {
  EXPECT_EQ(resume().model, "m");
}

TEST_F(SessionTest, TextsGoOnAsTheyBegan) {
  const Json settings{{"max_tokens", 5}, {"seed", 1}};
  keep_generation(folder_, settings);
  trace::write_manifest(folder_, planned_);
  EXPECT_NO_THROW(keep_generation(folder_, settings));
  const Json other{{"max_tokens", 5}, {"seed", 2}};
  EXPECT_THAT(error_of([&] { keep_generation(folder_, other); }),
              AllOf(HasSubstr("generation.seed"), HasSubstr("1 there, 2 asked for")));
  EXPECT_THAT(error_of([&] { keep_generation(folder_, Json()); }), HasSubstr("generation"));
}

TEST_F(SessionTest, TextsThatAreNotContinuedAreNotLater) {
  keep_generation(folder_, Json());
  EXPECT_TRUE(fs::is_empty(folder_));
  trace::write_manifest(folder_, planned_);
  EXPECT_NO_THROW(keep_generation(folder_, Json()));
  const Json settings{{"max_tokens", 5}, {"seed", 1}};
  EXPECT_THROW(keep_generation(folder_, settings), UsageError);
}

TEST_F(SessionTest, RemovesWhatNoManifestNames) {
  trace::write_manifest(folder_, planned_);
  write_file_atomically(folder_ / "part-00000.parquet", "whole, but not named");
  write_file_atomically(folder_ / "part-00000.parquet.tmp", "half");
  write_file_atomically(folder_ / "notes.txt", "the user's");
  resume();
  EXPECT_FALSE(fs::exists(folder_ / "part-00000.parquet"));
  EXPECT_FALSE(fs::exists(folder_ / "part-00000.parquet.tmp"));
  EXPECT_TRUE(fs::exists(folder_ / "notes.txt"));
}

TEST_F(SessionTest, AnotherSpellingOfThePathIsTheSameRun) {
  trace::write_manifest(folder_, planned_);
  planned_.datasets[0].source = "./a.csv";
  EXPECT_NO_THROW(resume());
}

// Manifests did not always say how routers decide.
TEST_F(SessionTest, AnOlderRunGoesOnAndLearnsItsRouter) {
  trace::write_manifest(folder_, planned_);
  planned_.router = trace::RouterSpec{.norm_topk = true};
  EXPECT_EQ(resume().router, planned_.router);
  trace::write_manifest(folder_, planned_);
  planned_.router->norm_topk = false;
  EXPECT_THROW(resume(), UsageError);
}

TEST_F(SessionTest, OtherSettingsAreRefusedByName) {
  trace::write_manifest(folder_, planned_);
  planned_.seed = 7;
  try {
    resume();
    FAIL() << "no error";
  } catch (const UsageError& error) {
    EXPECT_THAT(error.what(),
                AllOf(HasSubstr("seed: 0 there, 7 asked for"), HasSubstr("--output")));
  }
}

TEST_F(SessionTest, ForeignParquetIsNotTouched) {
  write_file_atomically(folder_ / "part-00000.parquet", "somebody's data");
  EXPECT_THROW(resume(), UsageError);
  EXPECT_TRUE(fs::exists(folder_ / "part-00000.parquet"));
}

TEST_F(SessionTest, WhatChangedIsNamed) {
  const std::string a(64, 'a');
  const std::string b(64, 'b');
  planned_.config_sha256 = planned_.tokenizer_sha256 = a;
  planned_.weights = {{"model-1.safetensors", 5, a}, {"model-2.safetensors", 6, a}};
  planned_.datasets[0].sha256 = a;
  trace::write_manifest(folder_, planned_);
  EXPECT_NO_THROW(resume());
  const trace::Manifest before = planned_;
  const auto expect_refused = [&](const std::function<void()>& change, const std::string& saying) {
    change();
    try {
      resume();
      FAIL() << saying;
    } catch (const DataError& error) {
      EXPECT_THAT(error.what(), AllOf(HasSubstr("begun with other input"), HasSubstr(saying),
                                      HasSubstr("--output")));
    }
    planned_ = before;
  };
  expect_refused([&] { planned_.config_sha256 = b; }, "config.json");
  expect_refused([&] { planned_.tokenizer_sha256 = b; }, "tokenizer.json");
  expect_refused([&] { planned_.weights[1].sha256 = b; },
                 "other weights: model-2.safetensors has other content");
  expect_refused([&] { planned_.weights[0].bytes = 9; },
                 "model-1.safetensors has 9 bytes, 5 before");
  expect_refused([&] { planned_.weights.pop_back(); }, "model-2.safetensors is gone");
  expect_refused([&] { planned_.datasets[0].sha256 = b; }, "'a' (a.csv): other texts");
  expect_refused([&] { planned_.datasets[0].available = 10; },
                 "9 usable rows and 0 skipped then, 10 usable rows and 0 skipped now");
}

TEST_F(SessionTest, AnOlderRunGoesOnAndSaysThatItsInputIsNotKnown) {
  trace::write_manifest(folder_, planned_);
  planned_.weights = {{"model.safetensors", 5, std::string(64, 'a')}};
  planned_.datasets[0].sha256 = std::string(64, 'b');
  testing::RecordedRun run;
  const trace::Manifest manifest = resume_or_start(folder_, planned_, run.context().log);
  ASSERT_EQ(run.messages().size(), 1U);
  EXPECT_THAT(run.messages()[0], AllOf(HasSubstr("warning"), HasSubstr("cannot be checked")));
  EXPECT_EQ(manifest.weights, planned_.weights);  // From now on they are known.
  EXPECT_EQ(manifest.datasets[0].sha256, planned_.datasets[0].sha256);
}

TEST_F(SessionTest, GrowsButDoesNotShrink) {
  planned_.complete = true;
  planned_.shards = {{.file = "part-00000.parquet",
                      .rows = 8,
                      .tokens = 80,
                      .bytes = 1,
                      .sha256 = std::string(64, 'a'),
                      .features = "",
                      .feature_bytes = 0}};
  write_file_atomically(folder_ / "part-00000.parquet", "1");
  trace::write_manifest(folder_, planned_);
  planned_.shards.clear();
  planned_.complete = false;
  EXPECT_TRUE(resume().complete);
  planned_.datasets[0].traces = 9;
  planned_.grown_from = {8};
  const trace::Manifest grown = resume();
  EXPECT_FALSE(grown.complete);
  EXPECT_EQ(grown.shards.size(), 1U);
  EXPECT_EQ(grown.num_planned(), 9);
  EXPECT_EQ(grown.grown_from, std::vector<int64_t>{8});
  planned_.datasets[0].traces = 7;
  planned_.grown_from = {};
  try {
    resume();
    FAIL() << "no error";
  } catch (const UsageError& error) {
    EXPECT_THAT(error.what(), AllOf(HasSubstr("8 texts"), HasSubstr("asks for 7")));
  }
}

}  // namespace
}  // namespace foregate::collect
