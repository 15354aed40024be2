#include "hub/repo_cache.h"

#include <gtest/gtest.h>

#include "base/error.h"
#include "base/files.h"
#include "support/temporary_folder.h"

namespace foregate::hub {
namespace {

const std::string kCommit(40, 'a');
const std::string kOther(40, 'b');
const std::string kHash(64, 'c');

class RepoCacheTest : public ::testing::Test {
 protected:
  RepoCacheTest() { cache_.prepare(); }
  void write_blob(const std::string& text) {
    scratch_.write("hub/models--Qwen--Tiny/blobs/" + kHash, text);
  }

  testing::TemporaryFolder scratch_;
  RepoCache cache_{scratch_.path() / "hub", RepoId{RepoKind::kModel, "Qwen/Tiny"}};
};

TEST_F(RepoCacheTest, Layout) {
  const fs::path root = scratch_.path() / "hub";
  EXPECT_EQ(cache_.blob(kHash), root / "models--Qwen--Tiny/blobs" / kHash);
  EXPECT_EQ(cache_.lock(kHash), root / ".locks/models--Qwen--Tiny" / (kHash + ".lock"));
  EXPECT_EQ(cache_.snapshot(kCommit), root / "models--Qwen--Tiny/snapshots" / kCommit);
  EXPECT_TRUE(fs::is_directory(cache_.blob(kHash).parent_path()));
  EXPECT_TRUE(fs::is_directory(cache_.lock(kHash).parent_path()));
  EXPECT_TRUE(
      read_file(root / "CACHEDIR.TAG").starts_with("Signature: 8a477f597d28d172789f06886806bc55"));
}

TEST_F(RepoCacheTest, LinksAreRelative) {
  write_blob("12345");
  EXPECT_FALSE(cache_.has_file(kCommit, "config.json", 5));
  cache_.link(kCommit, "config.json", kHash);
  cache_.link(kCommit, "sub/folder/config.json", kHash);
  EXPECT_EQ(fs::read_symlink(cache_.snapshot(kCommit) / "config.json"), "../../blobs/" + kHash);
  EXPECT_EQ(fs::read_symlink(cache_.snapshot(kCommit) / "sub/folder/config.json"),
            "../../../../blobs/" + kHash);
  EXPECT_TRUE(cache_.has_file(kCommit, "config.json", 5));
  EXPECT_FALSE(cache_.has_file(kCommit, "config.json", 6));  // not whole
  EXPECT_TRUE(cache_.has_file(kCommit, "sub/folder/config.json", 5));
}

TEST_F(RepoCacheTest, ALinkToSomethingElseIsReplaced) {
  write_blob("12345");
  cache_.link(kCommit, "config.json", std::string(64, 'd'));
  EXPECT_FALSE(cache_.has_file(kCommit, "config.json", 5));
  cache_.link(kCommit, "config.json", kHash);
  cache_.link(kCommit, "config.json", kHash);
  EXPECT_TRUE(cache_.has_file(kCommit, "config.json", 5));
}

TEST_F(RepoCacheTest, AFolderInTheWayIsAnError) {
  scratch_.write("hub/models--Qwen--Tiny/snapshots/" + kCommit + "/config.json/x", "");
  EXPECT_THROW(cache_.link(kCommit, "config.json", kHash), EnvironmentError);
}

TEST_F(RepoCacheTest, Refs) {
  EXPECT_EQ(cache_.commit_of("main"), std::nullopt);
  EXPECT_EQ(cache_.commit_of(kCommit), kCommit);
  cache_.write_ref("main", kCommit);
  cache_.write_ref("refs/pr/1", kOther);
  EXPECT_EQ(cache_.commit_of("main"), kCommit);
  EXPECT_EQ(cache_.commit_of("refs/pr/1"), kOther);
  cache_.write_ref("main", kOther);
  EXPECT_EQ(cache_.commit_of("main"), kOther);
  // huggingface_hub takes the whole file as the commit.
  EXPECT_EQ(read_file(cache_.folder() / "refs/main"), kOther);
  cache_.write_ref(kCommit, kCommit);
  EXPECT_FALSE(fs::exists(cache_.folder() / "refs" / kCommit));
}

TEST_F(RepoCacheTest, ABrokenRefIsNone) {
  scratch_.write("hub/models--Qwen--Tiny/refs/main", "main");
  EXPECT_EQ(cache_.commit_of("main"), std::nullopt);
  EXPECT_EQ(cache_.commit_of("../refs/main"), std::nullopt);
}

TEST_F(RepoCacheTest, WhatCameSoFar) {
  EXPECT_EQ(cache_.incomplete_size(kHash), 0U);
  scratch_.write("hub/models--Qwen--Tiny/blobs/" + kHash + ".incomplete", "123");
  EXPECT_EQ(cache_.incomplete_size(kHash), 3U);
  EXPECT_FALSE(cache_.has_blob(kHash, 3));
}

TEST(IsRevision, WhatGitAllows) {
  for (const char* name : {"main", "v1.0", "refs/pr/1", "refs/convert/parquet", "a@b"}) {
    EXPECT_TRUE(is_revision(name)) << name;
  }
  for (const char* name : {"", "/etc", "a/", "../x", "a..b", "a//b", "a b", "a^", "a:b", "a*", "-x",
                           "x.lock", "a\n"}) {
    EXPECT_FALSE(is_revision(name)) << name;
  }
}

}  // namespace
}  // namespace foregate::hub
