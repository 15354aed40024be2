#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/error.h"
#include "base/files.h"
#include "support/temporary_folder.h"
#include "support/test_files.h"
#include "support/trace_fixture.h"
#include "trace/reader.h"

namespace foregate::trace {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class DirectoryTest : public ::testing::Test {
 protected:
  DirectoryTest()
      : manifest_(write_fixture(folder_.path(), fixture_manifest(fixture_geometry()), 3, 20)) {}

  std::string opening_problem() const {
    return testing::error_of([&] { TraceDirectory directory(folder_.path()); });
  }

  testing::TemporaryFolder folder_;
  Manifest manifest_;
};

TEST_F(DirectoryTest, ReadsAllTracesInOrder) {
  const TraceDirectory directory(folder_.path());
  int i = 0;
  for (size_t shard = 0; shard < 3; ++shard) {
    ShardReader reader = directory.open_shard(shard, {.gate_weights = true});
    Trace trace;
    for (; reader.next(trace); ++i) {
      EXPECT_EQ(trace, fixture_trace(manifest_, i, fixture_tokens(i)));
    }
  }
  EXPECT_EQ(i, 60);
  EXPECT_EQ(directory.manifest().num_traces(), 60);
  EXPECT_EQ(directory.features_path(0), fs::path());
}

TEST_F(DirectoryTest, UnfinishedTracesAreRefusedUnlessAllowed) {
  manifest_.complete = false;
  manifest_.shards.pop_back();
  write_manifest(folder_.path(), manifest_);
  EXPECT_THAT(opening_problem(), AllOf(HasSubstr("has not finished"), HasSubstr("40 of 60 traces"),
                                       HasSubstr("same collect command")));
  EXPECT_EQ(TraceDirectory(folder_.path(), true).manifest().num_traces(), 40);
}

TEST_F(DirectoryTest, MissingAndShortShardsAreNamed) {
  const fs::path file = folder_.path() / "part-00001.parquet";
  const std::string bytes = bytes_of(file);
  overwrite(file, bytes + "x");
  EXPECT_THAT(opening_problem(), AllOf(HasSubstr(file.string()), HasSubstr("manifest says")));
  fs::remove(file);
  EXPECT_THAT(opening_problem(), AllOf(HasSubstr(file.string()), HasSubstr("No such file")));
}

TEST_F(DirectoryTest, FeatureFilesAreLookedForToo) {
  manifest_.shards[2].features = "part-00002.features.safetensors";
  manifest_.shards[2].feature_bytes = 5;
  write_manifest(folder_.path(), manifest_);
  EXPECT_THAT(opening_problem(), HasSubstr("part-00002.features.safetensors"));
  overwrite(folder_.path() / manifest_.shards[2].features, "12345");
  EXPECT_EQ(TraceDirectory(folder_.path()).features_path(2),
            folder_.path() / "part-00002.features.safetensors");
}

TEST_F(DirectoryTest, ASwappedShardIsNoticed) {
  manifest_.shards[0].rows = 19;
  manifest_.datasets[0].traces -= 1;
  write_manifest(folder_.path(), manifest_);
  const TraceDirectory directory(folder_.path());
  EXPECT_THAT(testing::error_of([&] { directory.open_shard(0); }),
              AllOf(HasSubstr("20 rows"), HasSubstr("says 19")));
}

TEST_F(DirectoryTest, ColumnsThatWereNotRecordedAreNamed) {
  const TraceDirectory directory(folder_.path());
  EXPECT_THAT(testing::error_of([&] { directory.open_shard(0, {.router_logits = true}); }),
              HasSubstr("no router logits"));
}

TEST_F(DirectoryTest, ChecksumsFindADamagedShard) {
  const TraceDirectory directory(folder_.path());
  EXPECT_THAT(verify_shards(directory), IsEmpty());
  const fs::path file = folder_.path() / "part-00001.parquet";
  std::string bytes = bytes_of(file);
  bytes[bytes.size() / 2] ^= 1;
  overwrite(file, bytes);
  const std::vector<std::string> damaged = verify_shards(directory);
  ASSERT_EQ(damaged.size(), 1u);
  EXPECT_THAT(damaged[0], AllOf(HasSubstr(file.string()), HasSubstr("sha256")));
}

}  // namespace
}  // namespace foregate::trace
