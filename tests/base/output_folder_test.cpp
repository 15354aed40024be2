#include "base/output_folder.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>
#include <optional>

#include "base/atomic_folder.h"
#include "support/temporary_folder.h"
#include "support/test_files.h"

namespace foregate {
namespace {

namespace fs = std::filesystem;
using ::testing::AllOf;
using testing::error_of;
using ::testing::HasSubstr;

TEST(MadeFolders, TakesBackWhatNothingCameInto) {
  const testing::TemporaryFolder folder;
  { const MadeFolders made(folder / "a/b/c"); }
  EXPECT_FALSE(fs::exists(folder / "a"));
  {
    const MadeFolders made(folder / "a/b/c");
    folder.write("a/notes.txt", "somebody's");
  }
  EXPECT_FALSE(fs::exists(folder / "a/b"));
  EXPECT_TRUE(fs::exists(folder / "a/notes.txt"));
}

TEST(MadeFolders, LeavesWhatWasThereAndWhatIsFilled) {
  const testing::TemporaryFolder folder;
  fs::create_directories(folder / "empty");
  { const MadeFolders made(folder / "empty"); }
  EXPECT_TRUE(fs::exists(folder / "empty"));
  {
    const MadeFolders made(folder / "x/y/");
    folder.write("x/y/result", "1");
  }
  EXPECT_TRUE(fs::exists(folder / "x/y/result"));
}

TEST(MadeFolders, LeavesNothingBehindAFailure) {
  const testing::TemporaryFolder folder;
  folder.write("file", "in the way");
  EXPECT_THAT(error_of([&] { const MadeFolders made(folder / "file/a"); }), HasSubstr("file/a"));
  EXPECT_TRUE(fs::is_regular_file(folder / "file"));
}

TEST(OutputFolder, IsForOneAtATime) {
  const testing::TemporaryFolder folder;
  std::optional<OutputFolder> first(std::in_place, folder / "o");
  EXPECT_THAT(error_of([&] { const OutputFolder second(folder / "o"); }),
              AllOf(HasSubstr("o is being written by another foregate"), HasSubstr("--output")));
  folder.write("o/part", "1");
  first.reset();
  { const OutputFolder again(folder / "o"); }
  EXPECT_TRUE(fs::exists(folder / "o/part"));
  EXPECT_EQ(std::distance(fs::directory_iterator(folder / "o"), fs::directory_iterator()), 1);
}

TEST(OutputFolder, IsGoneIfNothingCameIntoIt) {
  const testing::TemporaryFolder folder;
  { const OutputFolder output(folder / "a/o"); }
  EXPECT_FALSE(fs::exists(folder / "a"));
}

TEST(OutputFolder, WhatAKilledProcessLeftIsNoLock) {
  const testing::TemporaryFolder folder;
  const pid_t child = ::fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    const OutputFolder output(folder / "o");
    ::_exit(0);  // Without a destructor, as if killed.
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_FALSE(fs::is_empty(folder / "o"));
  { const OutputFolder output(folder / "o"); }
  EXPECT_TRUE(fs::is_empty(folder / "o"));
}

TEST(AtomicFolder, TakesBackItsParentsToo) {
  const testing::TemporaryFolder folder;
  { const AtomicFolder output(folder / "a/b"); }
  EXPECT_FALSE(fs::exists(folder / "a"));
  {
    AtomicFolder output(folder / "a/b");
    output.commit();
  }
  EXPECT_TRUE(fs::is_directory(folder / "a/b"));
}

// https://github.com/openshift/installer/issues/1821
TEST(MadeFolders, ATildeThatNoShellExpanded) {
  const testing::TemporaryFolder folder;
  const fs::path before = fs::current_path();
  fs::current_path(folder.path());
  EXPECT_THAT(error_of([] { const MadeFolders made("~/o"); }),
              HasSubstr("~/o begins with ~, which the shell takes for your home only at"));
  EXPECT_TRUE(fs::is_empty(folder.path()));
  { const OutputFolder output("./~/o"); }
  fs::create_directory("~");
  { const MadeFolders made("~/o"); }  // There is one: it is meant.
  fs::current_path(before);
}

}  // namespace
}  // namespace foregate
