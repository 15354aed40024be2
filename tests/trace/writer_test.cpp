#include "trace/writer.h"

#include <arrow/io/file.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <parquet/file_reader.h>
#include <parquet/metadata.h>
#include <sys/resource.h>

#include <csignal>
#include <nlohmann/json.hpp>
#include <stdexcept>

#include "base/error.h"
#include "base/files.h"
#include "base/half.h"
#include "base/hash.h"
#include "support/temporary_folder.h"
#include "support/test_files.h"
#include "support/trace_fixture.h"
#include "trace/reader.h"

namespace foregate::trace {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr TraceColumns kEverything = {.gate_weights = true, .router_logits = true};

std::vector<Trace> read_all(const fs::path& file, const Geometry& geometry, TraceColumns columns) {
  ShardReader reader(file, geometry, columns);
  std::vector<Trace> traces;
  Trace trace;
  while (reader.next(trace)) traces.push_back(trace);
  EXPECT_EQ(static_cast<int64_t>(traces.size()), reader.num_rows());
  return traces;
}

struct Shape {
  int num_experts;
  int top_k;
};

class RoundTripTest : public ::testing::TestWithParam<Shape> {};

TEST_P(RoundTripTest, GivesBackEveryBit) {
  const testing::TemporaryFolder folder;
  Manifest manifest = fixture_manifest(fixture_geometry(GetParam().num_experts, GetParam().top_k));
  manifest.router_logits = manifest.geometry.num_experts < 1000;
  std::vector<Trace> traces;
  for (const int tokens : {1, 2, 31, 32, 33, 64, 511}) {
    const auto i = static_cast<int>(traces.size());
    traces.push_back(fixture_trace(manifest, i, tokens));
  }
  traces.back().prompt_tokens = 10;
  ShardWriter writer(folder.path(), 3, manifest);
  for (const Trace& trace : traces) writer.add(trace);
  const ShardEntry entry = writer.finish();

  const fs::path file = folder.path() / "part-00003.parquet";
  const TraceColumns columns = {.gate_weights = true, .router_logits = manifest.router_logits};
  EXPECT_EQ(read_all(file, manifest.geometry, columns), traces);
  EXPECT_EQ(read_shard_geometry(file), manifest.geometry);
  EXPECT_EQ(entry.file, "part-00003.parquet");
  EXPECT_EQ(entry.rows, 7);
  EXPECT_EQ(entry.tokens, 1 + 2 + 31 + 32 + 33 + 64 + 511);
  EXPECT_EQ(entry.bytes, static_cast<int64_t>(fs::file_size(file)));
  EXPECT_EQ(entry.sha256, sha256_of_file(file));
  EXPECT_EQ(entry.features, "");
}

INSTANTIATE_TEST_SUITE_P(Shapes, RoundTripTest,
                         ::testing::Values(Shape{1, 1}, Shape{8, 2}, Shape{60, 4}, Shape{64, 6},
                                           Shape{256, 8}, Shape{257, 8}, Shape{65536, 2}),
                         [](const auto& instance) {
                           return "E" + std::to_string(instance.param.num_experts);
                         });

TEST(WriterTest, LeavesOutWhatIsNotAskedFor) {
  const testing::TemporaryFolder folder;
  Manifest manifest = fixture_manifest(fixture_geometry());
  manifest.router_logits = true;
  Trace trace = fixture_trace(manifest, 5, 9);
  ShardWriter writer(folder.path(), 0, manifest);
  writer.add(trace);
  writer.finish();
  const fs::path file = folder.path() / shard_name(0);
  const auto read = [&](TraceColumns columns) {
    return read_all(file, manifest.geometry, columns);
  };
  EXPECT_EQ(read(kEverything)[0], trace);
  const Trace only_weights = read({.token_ids = false, .experts = false, .gate_weights = true})[0];
  EXPECT_EQ(only_weights.gate_weights, trace.gate_weights);
  EXPECT_TRUE(only_weights.token_ids.empty());
  EXPECT_TRUE(only_weights.experts.empty());
  trace.gate_weights.clear();
  trace.router_logits.clear();
  EXPECT_EQ(read({})[0], trace);
}

TEST(WriterTest, ImportsWithoutGateWeights) {
  const testing::TemporaryFolder folder;
  Manifest manifest = fixture_manifest(fixture_geometry());
  manifest.gate_weights = false;
  manifest.geometry.vocab_size = 0;
  const Trace trace = fixture_trace(manifest, 1, 40);
  ShardWriter writer(folder.path(), 0, manifest);
  writer.add(trace);
  writer.finish();
  const fs::path file = folder.path() / shard_name(0);
  EXPECT_EQ(read_all(file, manifest.geometry, {})[0], trace);
  EXPECT_THAT(testing::error_of([&] { read_all(file, manifest.geometry, {.gate_weights = true}); }),
              AllOf(HasSubstr("gate_weights"), HasSubstr("found 0")));
}

TEST(WriterTest, TheSameTracesGiveTheSameBytes) {
  const testing::TemporaryFolder one;
  const testing::TemporaryFolder two;
  const Manifest manifest = fixture_manifest(fixture_geometry());
  const Manifest first = write_fixture(one.path(), manifest, 2, 30);
  const Manifest second = write_fixture(two.path(), manifest, 2, 30);
  EXPECT_EQ(first.to_json(), second.to_json());
  EXPECT_EQ(bytes_of(one.path() / shard_name(1)), bytes_of(two.path() / shard_name(1)));
}

TEST(WriterTest, RowGroupsAreBounded) {
  const testing::TemporaryFolder folder;
  const Manifest manifest = fixture_manifest(fixture_geometry(8, 1));
  ShardWriter writer(folder.path(), 0, manifest);
  std::vector<Trace> traces;
  for (int i = 0; i < 5000; ++i) traces.push_back(fixture_trace(manifest, i, 1 + i % 3));
  for (int i = 0; i < 40; ++i) traces.push_back(fixture_trace(manifest, i, 4000));
  for (const Trace& trace : traces) writer.add(trace);
  writer.finish();
  const fs::path path = folder.path() / shard_name(0);
  EXPECT_EQ(read_all(path, manifest.geometry, {.gate_weights = true}), traces);
  const auto file = parquet::ParquetFileReader::OpenFile(path.string());
  std::vector<int64_t> rows;
  for (int i = 0; i < file->metadata()->num_row_groups(); ++i) {
    rows.push_back(file->metadata()->RowGroup(i)->num_rows());
  }
  // 4,096 rows; the other 904 short texts, then long ones until 32 Ki tokens are reached; the rest.
  EXPECT_THAT(rows, ElementsAre(4096, 904 + 8, 9, 9, 9, 5));
}

TEST(WriterTest, NothingIsVisibleBeforeTheEnd) {
  const testing::TemporaryFolder folder;
  const Manifest manifest = fixture_manifest(fixture_geometry());
  {
    ShardWriter writer(folder.path(), 0, manifest);
    for (int i = 0; i < 200; ++i) writer.add(fixture_trace(manifest, i, 500));
    EXPECT_FALSE(fs::exists(folder.path() / shard_name(0)));
  }
  EXPECT_TRUE(fs::is_empty(folder.path()));
}

TEST(WriterTest, SizesThatDoNotFitAreOurBug) {
  const testing::TemporaryFolder folder;
  const Manifest manifest = fixture_manifest(fixture_geometry());
  ShardWriter writer(folder.path(), 0, manifest);
  const Trace good = fixture_trace(manifest, 0, 5);
  const auto refuses = [&](auto change) {
    Trace bad = good;
    change(bad);
    EXPECT_THROW(writer.add(bad), std::logic_error);
  };
  refuses([](Trace& t) { t.token_ids.pop_back(); });
  refuses([](Trace& t) { t.token_ids.clear(); });
  refuses([](Trace& t) { t.experts.pop_back(); });
  refuses([](Trace& t) { t.gate_weights.clear(); });
  refuses([](Trace& t) { t.router_logits.push_back(0); });
  refuses([](Trace& t) { t.prompt_tokens = 6; });
  EXPECT_THROW(writer.finish(), std::logic_error);
  writer.add(good);
  EXPECT_EQ(writer.finish().rows, 1);
}

TEST(WriterTest, ValuesOfABrokenModelAreNamed) {
  const testing::TemporaryFolder folder;
  Manifest manifest = fixture_manifest(fixture_geometry());
  manifest.router_logits = true;
  ShardWriter writer(folder.path(), 0, manifest);
  const auto problem = [&](auto change) {
    Trace bad = fixture_trace(manifest, 0, 5);
    change(bad);
    return testing::error_of([&] { writer.add(bad); });
  };
  // Token 1, MoE layer 1, rank 2 is at (1 * 3 + 1) * 4 + 2.
  EXPECT_THAT(problem([](Trace& t) { t.gate_weights[18] = 0x7e00; }),
              AllOf(HasSubstr("even/3"), HasSubstr("gate_weights"), HasSubstr("nan"),
                    HasSubstr("token 1, MoE layer 1")));
  EXPECT_THAT(problem([](Trace& t) { t.gate_weights[18] = float_to_half(0.9F); }),
              HasSubstr("largest first"));
  EXPECT_THAT(problem([](Trace& t) { t.gate_weights[18] = float_to_half(-0.1F); }),
              HasSubstr("not negative"));
  EXPECT_THAT(problem([](Trace& t) { t.router_logits[60 * 4 + 7] = 0xfc00; }),
              AllOf(HasSubstr("-inf"), HasSubstr("token 1, MoE layer 1")));
  EXPECT_THAT(problem([](Trace& t) { t.experts[18] = 60; }), HasSubstr("less than 60"));
  EXPECT_THAT(problem([](Trace& t) { t.experts[18] = t.experts[16]; }), HasSubstr("twice"));
  EXPECT_THAT(problem([](Trace& t) { t.token_ids[4] = 1000; }), HasSubstr("at token 4"));
  EXPECT_THAT(problem([](Trace& t) { t.token_ids[4] = -1; }), HasSubstr("vocabulary of 1000"));
}

TEST(WriterTest, AMissingFolderIsAnEnvironmentError) {
  const Manifest manifest = fixture_manifest(fixture_geometry());
  EXPECT_THROW(ShardWriter("/nonexistent/folder", 0, manifest), EnvironmentError);
  EXPECT_THAT(testing::error_of([&] { ShardWriter("/nonexistent/folder", 0, manifest); }),
              AllOf(HasSubstr("/nonexistent/folder/part-00000.parquet"),
                    HasSubstr("No such file or directory (finished shards are kept)")));
}

/// Limits how large files may get while it lives: writes beyond fail as they do on a full disk.
class FileSizeLimit {
 public:
  explicit FileSizeLimit(rlim_t bytes) : handler_(std::signal(SIGXFSZ, SIG_IGN)) {
    ::getrlimit(RLIMIT_FSIZE, &before_);
    const rlimit limit{bytes, before_.rlim_max};
    ::setrlimit(RLIMIT_FSIZE, &limit);
  }
  ~FileSizeLimit() {
    ::setrlimit(RLIMIT_FSIZE, &before_);
    std::signal(SIGXFSZ, handler_);
  }
  FileSizeLimit(const FileSizeLimit&) = delete;
  FileSizeLimit& operator=(const FileSizeLimit&) = delete;

 private:
  void (*handler_)(int);
  rlimit before_{};
};

/// Writes 300 traces of 500 tokens, more than one row group.
void write_large_shard(const fs::path& folder) {
  const Manifest manifest = fixture_manifest(fixture_geometry());
  ShardWriter writer(folder, 0, manifest);
  for (int i = 0; i < 300; ++i) writer.add(fixture_trace(manifest, i, 500));
  writer.finish();
}

TEST(WriterTest, AFullDiskAtAnyMomentLeavesNothingBehind) {
  const testing::TemporaryFolder folder;
  write_large_shard(folder.path());
  const uintmax_t whole = fs::file_size(folder.path() / shard_name(0));
  fs::remove(folder.path() / shard_name(0));
  // At once, in the first row group, between groups, in the footer, before the last byte.
  for (const uintmax_t limit :
       {uintmax_t{0}, uintmax_t{1000}, whole / 2, whole - 3000, whole - 1}) {
    std::string message;
    {
      const FileSizeLimit full(limit);
      message = testing::error_of([&] { write_large_shard(folder.path()); });
    }
    EXPECT_THAT(message, AllOf(HasSubstr((folder.path() / shard_name(0)).string()),
                               HasSubstr("File too large"), HasSubstr("free there"),
                               HasSubstr("finished shards are kept")));
    EXPECT_TRUE(fs::is_empty(folder.path())) << "limit " << limit;
  }
  const FileSizeLimit enough(whole);
  EXPECT_NO_THROW(write_large_shard(folder.path()));
}

}  // namespace
}  // namespace foregate::trace
