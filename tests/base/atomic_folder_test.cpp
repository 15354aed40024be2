#include "base/atomic_folder.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <fstream>

#include "base/error.h"
#include "base/files.h"
#include "support/temporary_folder.h"

namespace foregate {
namespace {

class AtomicFolderTest : public ::testing::Test {
 protected:
  testing::TemporaryFolder temporary_;
  const fs::path& folder_ = temporary_.path();
};

TEST_F(AtomicFolderTest, AppearsOnlyWhenCommitted) {
  const fs::path path = folder_ / "a" / "out";
  AtomicFolder folder(path);
  write_file_atomically(folder.temporary_path() / "file", "content");
  EXPECT_FALSE(fs::exists(path));
  folder.commit();
  EXPECT_EQ(read_file(path / "file"), "content");
  EXPECT_EQ(std::distance(fs::directory_iterator(path), fs::directory_iterator()), 1);
  EXPECT_FALSE(fs::exists(folder.temporary_path()));
}

TEST_F(AtomicFolderTest, LeavesNothingWithoutCommit) {
  {
    AtomicFolder folder(folder_ / "out/");
    EXPECT_EQ(folder.temporary_path(), folder_ / "out.tmp");
    write_file_atomically(folder.temporary_path() / "file", "content");
  }
  EXPECT_TRUE(fs::is_empty(folder_));
}

TEST_F(AtomicFolderTest, TakesAnEmptyFolderAndRefusesAFullOne) {
  fs::create_directories(folder_ / "empty");
  AtomicFolder folder(folder_ / "empty");
  folder.commit();
  EXPECT_TRUE(fs::is_empty(folder_ / "empty"));

  fs::create_directories(folder_ / "full" / "inside");
  EXPECT_THROW(AtomicFolder{folder_ / "full"}, UsageError);
  write_file_atomically(folder_ / "file", "x");
  EXPECT_THROW(AtomicFolder{folder_ / "file"}, UsageError);
  EXPECT_THROW(AtomicFolder{""}, UsageError);
}

TEST_F(AtomicFolderTest, RemovesWhatAKilledRunLeftAndNothingElse) {
  fs::create_directories(folder_ / "out.tmp");
  write_file_atomically(folder_ / "out.tmp" / "part", "half");
  EXPECT_THROW(AtomicFolder{folder_ / "out"}, EnvironmentError) << "no marker: not ours";
  EXPECT_TRUE(fs::exists(folder_ / "out.tmp" / "part"));

  write_file_atomically(folder_ / "out.tmp" / ".foregate-unfinished", "");
  AtomicFolder folder(folder_ / "out");
  EXPECT_FALSE(fs::exists(folder_ / "out.tmp" / "part"));
  EXPECT_THROW(AtomicFolder{folder_ / "out"}, EnvironmentError) << "another run fills it";
  folder.commit();
  EXPECT_TRUE(fs::exists(folder_ / "out"));
}

}  // namespace
}  // namespace foregate
