#include "base/files.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <unistd.h>

#include <csignal>
#include <fstream>

#include "base/error.h"
#include "support/temporary_folder.h"
#include "support/test_files.h"

namespace foregate {
namespace {

using ::testing::HasSubstr;

class FilesTest : public ::testing::Test {
 protected:
  testing::TemporaryFolder temporary_;
  const fs::path& folder_ = temporary_.path();
};

TEST_F(FilesTest, AtomicFileAppearsOnlyOnCommit) {
  const fs::path path = folder_ / "a.bin";
  {
    AtomicFile file(path);
    file.append("hello ");
    file.append("world");
    EXPECT_EQ(file.size(), 11u);
    EXPECT_FALSE(fs::exists(path));
    file.commit();
  }
  EXPECT_EQ(read_file(path), "hello world");
  EXPECT_FALSE(fs::exists(path.string() + ".tmp"));
}

TEST_F(FilesTest, AbandonedAtomicFileLeavesNothing) {
  const fs::path path = folder_ / "b.bin";
  { AtomicFile(path).append("half"); }
  EXPECT_TRUE(fs::is_empty(folder_));
}

TEST_F(FilesTest, AbandonedAtomicFileKeepsTheOldContent) {
  const fs::path path = folder_ / "c.bin";
  write_file_atomically(path, "old");
  { AtomicFile(path).append("new"); }
  EXPECT_EQ(read_file(path), "old");
}

TEST_F(FilesTest, WriteAtFillsHolesWithZeros) {
  const fs::path path = folder_ / "d.bin";
  AtomicFile file(path);
  file.write_at(3, std::as_bytes(std::span("xy", 2)));
  file.commit();
  EXPECT_EQ(read_file(path), std::string("\0\0\0xy", 5));
}

TEST_F(FilesTest, ErrorsNameTheFile) {
  EXPECT_THAT(testing::error_of([&] { read_file(folder_ / "none"); }), HasSubstr("none"));
  EXPECT_THAT(testing::error_of([&] { read_file(folder_); }), HasSubstr("is a directory"));
  EXPECT_THAT(testing::error_of([&] { MappedFile(folder_ / "none"); }), HasSubstr("no such file"));
  EXPECT_THAT(testing::error_of([&] { AtomicFile(folder_ / "no" / "f"); }),
              HasSubstr("cannot create"));
  write_file_atomically(folder_ / "big", "0123456789");
  EXPECT_THAT(testing::error_of([&] { read_file(folder_ / "big", 4); }), HasSubstr("10 bytes"));
}

TEST_F(FilesTest, MapsContentAndEmptyFiles) {
  write_file_atomically(folder_ / "e", "mapped");
  write_file_atomically(folder_ / "empty", "");
  EXPECT_EQ(MappedFile(folder_ / "e").text(), "mapped");
  EXPECT_EQ(MappedFile(folder_ / "empty").bytes().size(), 0u);
}

TEST_F(FilesTest, OutputDirectoryBehindAFileIsRefused) {
  write_file_atomically(folder_ / "file", "x");
  EXPECT_THAT(testing::error_of([&] { make_output_directory(folder_ / "file" / "sub"); }),
              HasSubstr("cannot create the output directory"));
  make_output_directory(folder_ / "deep" / "er");
  EXPECT_TRUE(fs::is_empty(folder_ / "deep" / "er"));
}

// A file-size limit stands in for a full disk: the same failing write, without needing to mount
// one.
TEST_F(FilesTest, FailedWriteIsReportedAndLeavesNothing) {
  std::signal(SIGXFSZ, SIG_IGN);
  rlimit before{};
  ::getrlimit(RLIMIT_FSIZE, &before);
  const rlimit small{1000, before.rlim_max};
  ::setrlimit(RLIMIT_FSIZE, &small);
  const std::string message = testing::error_of([&] {
    AtomicFile file(folder_ / "f");
    file.append(std::string(5000, 'x'));
    file.commit();
  });
  ::setrlimit(RLIMIT_FSIZE, &before);
  EXPECT_THAT(message, HasSubstr("cannot write"));
  EXPECT_TRUE(fs::is_empty(folder_));
}

}  // namespace
}  // namespace foregate
