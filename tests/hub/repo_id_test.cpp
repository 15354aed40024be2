#include "hub/repo_id.h"

#include <gtest/gtest.h>

#include "base/error.h"

namespace foregate::hub {
namespace {

TEST(RepoId, NamesTheHubAllows) {
  for (const char* name : {"gpt2", "Qwen/Qwen1.5-MoE-A2.7B", "a/b", "stanfordnlp/imdb", "_x/y_"}) {
    EXPECT_TRUE(RepoId::is_valid(name)) << name;
  }
  for (const char* name : {"", "/", "a/", "/a", "a/b/c", "a//b", "../a", "a/..", "a--b/c", "-a/b",
                           "a/b-", ".a", "a b", "a/b.git", "ü/a", "a/b:c"}) {
    EXPECT_FALSE(RepoId::is_valid(name)) << name;
  }
  EXPECT_TRUE(RepoId::is_valid(std::string(96, 'a')));
  EXPECT_FALSE(RepoId::is_valid(std::string(97, 'a')));
  EXPECT_THROW(RepoId::parse(RepoKind::kModel, "a/b/c"), UsageError);
}

TEST(RepoId, FolderInTheCache) {
  EXPECT_EQ(RepoId::parse(RepoKind::kModel, "Qwen/Qwen1.5-MoE-A2.7B").folder(),
            "models--Qwen--Qwen1.5-MoE-A2.7B");
  EXPECT_EQ(RepoId::parse(RepoKind::kDataset, "squad").folder(), "datasets--squad");
}

TEST(RepoOfSnapshot, IsTheOtherWayRound) {
  const auto model = repo_of_snapshot("/c/hub/models--Qwen--Qwen1.5-MoE-A2.7B/snapshots/1a75");
  ASSERT_TRUE(model);
  EXPECT_EQ(model->name, "Qwen/Qwen1.5-MoE-A2.7B");
  EXPECT_EQ(model->kind, RepoKind::kModel);
  const auto dataset = repo_of_snapshot("/c/datasets--squad/snapshots/1a75");
  ASSERT_TRUE(dataset);
  EXPECT_EQ(dataset->name, "squad");
  EXPECT_EQ(dataset->kind, RepoKind::kDataset);
  EXPECT_FALSE(repo_of_snapshot("/data/Qwen1.5-MoE-A2.7B"));
  EXPECT_FALSE(repo_of_snapshot("/c/models--a--b/blobs/1a75"));
  EXPECT_FALSE(repo_of_snapshot("x"));
}

}  // namespace
}  // namespace foregate::hub
