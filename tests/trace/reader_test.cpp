#include "trace/reader.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "base/error.h"
#include "base/files.h"
#include "base/random.h"
#include "support/temporary_folder.h"
#include "support/test_files.h"
#include "support/trace_fixture.h"
#include "trace/writer.h"

namespace foregate::trace {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

class ReaderTest : public ::testing::Test {
 protected:
  ReaderTest() : manifest_(fixture_manifest(fixture_geometry())) {
    manifest_.router_logits = true;
    manifest_ = write_fixture(folder_.path(), manifest_, 1, 100);
    file_ = folder_.path() / shard_name(0);
    bytes_ = bytes_of(file_);
  }

  /// Reads everything; the values are checked by the reader.
  std::vector<Trace> read_all() const {
    ShardReader reader(file_, manifest_.geometry, {.gate_weights = true, .router_logits = true});
    std::vector<Trace> traces;
    Trace trace;
    while (reader.next(trace)) traces.push_back(trace);
    return traces;
  }

  testing::TemporaryFolder folder_;
  Manifest manifest_;
  fs::path file_;
  std::string bytes_;
};

TEST_F(ReaderTest, TruncatedFilesAreDataErrors) {
  std::vector<size_t> lengths = {0, 1, 3, 4, 8, 11, 12, bytes_.size() - 1};
  for (size_t i = 1; i < 50; ++i) lengths.push_back(bytes_.size() * i / 50);
  for (const size_t length : lengths) {
    overwrite(file_, bytes_.substr(0, length));
    EXPECT_THROW(read_all(), DataError) << "of " << length << " bytes";
    const std::string message = testing::error_of([&] { read_all(); });
    EXPECT_THAT(message, AllOf(HasSubstr(file_.string()), HasSubstr("damaged")));
    EXPECT_EQ(message.find('\n'), std::string::npos) << message;
  }
}

TEST_F(ReaderTest, DamagedPagesAreNoticed) {
  const std::vector<Trace> whole = read_all();
  // The pages lie in front of the footer, whose length stands in the file's last 8 bytes.
  uint32_t footer = 0;
  std::copy_n(bytes_.data() + bytes_.size() - 8, 4, reinterpret_cast<char*>(&footer));
  Random random(1);
  for (int i = 0; i < 200; ++i) {
    std::string damaged = bytes_;
    const size_t place = 4 + random.below(bytes_.size() - footer - 12);
    damaged[place] = static_cast<char>(damaged[place] ^ (1 << random.below(8)));
    overwrite(file_, damaged);
    // A flip in a page header's statistics is harmless. No flip gives other values.
    try {
      EXPECT_EQ(read_all(), whole) << "bit flipped at " << place;
    } catch (const DataError& error) {
      EXPECT_THAT(error.what(), HasSubstr(file_.string()));
    }
  }
}

TEST_F(ReaderTest, FuzzedFilesNeverCrash) {
  Random random(2);
  for (int i = 0; i < 600; ++i) {
    std::string damaged = bytes_;
    for (uint64_t changes = 1 + random.below(4); changes > 0; --changes) {
      // Half of the changes hit the footer, where the structure is.
      const size_t reach = random.below(2) == 0 ? damaged.size() : size_t{3000};
      const size_t place = damaged.size() - 1 - random.below(std::min(reach, damaged.size()));
      damaged[place] = static_cast<char>(random.next());
    }
    overwrite(file_, damaged);
    try {
      read_all();
    } catch (const Error& error) {
      EXPECT_EQ(std::string(error.what()).find('\n'), std::string::npos) << error.what();
    }
  }
}

TEST_F(ReaderTest, AMissingFileIsAnEnvironmentError) {
  fs::remove(file_);
  EXPECT_THROW(read_all(), EnvironmentError);
  fs::create_directory(file_);
  EXPECT_THROW(read_all(), EnvironmentError);
}

TEST_F(ReaderTest, AnotherGeometryIsNamed) {
  Geometry other = manifest_.geometry;
  other.num_experts = 64;
  EXPECT_THAT(testing::error_of([&] { ShardReader(file_, other); }),
              HasSubstr("num_experts is 60, expected 64"));
}

TEST_F(ReaderTest, AMissingColumnIsNamed) {
  manifest_.router_logits = false;
  manifest_.datasets = fixture_manifest(manifest_.geometry).datasets;
  manifest_.shards.clear();
  write_fixture(folder_.path(), manifest_, 1, 10);
  EXPECT_THAT(testing::error_of([&] { read_all(); }),
              AllOf(HasSubstr("'router_logits'"), HasSubstr("found 0"), HasSubstr("columns:")));
}

TEST_F(ReaderTest, CanBeMoved) {
  ShardReader reader(file_, manifest_.geometry);
  Trace trace;
  ASSERT_TRUE(reader.next(trace));
  ShardReader moved = std::move(reader);
  ASSERT_TRUE(moved.next(trace));
  EXPECT_EQ(trace.sample, 13);
}

}  // namespace
}  // namespace foregate::trace
