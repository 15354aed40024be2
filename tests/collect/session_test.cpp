#include "collect/session.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/error.h"
#include "base/files.h"
#include "support/temporary_folder.h"

namespace foregate::collect {
namespace {

using ::testing::AllOf;
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

TEST(KeepsFeatures, TakesAboutTheShareAskedForAndNothingElseMatters) {
  int kept = 0;
  for (int64_t row = 0; row < 10'000; ++row) kept += keeps_features("imdb", row, 3, 0.2);
  EXPECT_NEAR(kept, 2000, 200);  // five standard deviations
  for (int64_t row = 0; row < 100; ++row) {
    EXPECT_TRUE(keeps_features("imdb", row, 3, 1.0));
    EXPECT_FALSE(keeps_features("imdb", row, 3, 0.0));
    // Whoever is kept at a small share is kept at a larger one.
    EXPECT_LE(keeps_features("imdb", row, 3, 0.2), keeps_features("imdb", row, 3, 0.5));
  }
}

}  // namespace
}  // namespace foregate::collect
