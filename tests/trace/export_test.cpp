#include "trace/export/export.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/files.h"
#include "support/temporary_folder.h"
#include "support/test_files.h"
#include "support/trace_fixture.h"
#include "trace/import/import.h"
#include "trace/reader.h"
#include "trace/token_names.h"

namespace foregate::trace {
namespace {

using ::testing::HasSubstr;

struct Case {
  ExportFormat exported;
  ImportFormat imported;
};

class ExportTest : public ::testing::TestWithParam<Case> {
 protected:
  /// Exports and imports; what comes back must be what went out.
  void expect_round_trip(Manifest manifest) {
    const fs::path original = folder_.path() / "traces";
    const fs::path exported = folder_.path() / "exported";
    const fs::path again = folder_.path() / "again";
    for (const fs::path& path : {original, exported, again}) fs::remove_all(path);
    fs::create_directories(original);
    if (has_token_names(manifest.token_ids)) {
      TokenNames names(manifest.token_ids);
      for (int i = 0; i < 1000; ++i) names.id("\xE2\x96\x81" + std::to_string(i));
      names.write(original);
    }
    manifest = write_fixture(original, manifest, 3, 4);
    const ExportSummary summary =
        export_traces({.format = GetParam().exported, .traces = original, .output = exported});
    EXPECT_EQ(summary.traces, 12);
    EXPECT_EQ(summary.tokens, manifest.num_tokens());
    ImportOptions options;
    options.format = GetParam().imported;
    options.path = exported;
    options.output = again;
    const Manifest back = import_traces(options).manifest;
    EXPECT_EQ(traces_of(again), traces_of(original));
    EXPECT_EQ(back.geometry, manifest.geometry);
    EXPECT_EQ(back.model, manifest.model);
    EXPECT_EQ(back.config_sha256, manifest.config_sha256);
    EXPECT_EQ(back.seed, manifest.seed);
    EXPECT_EQ(back.token_ids, manifest.token_ids);
    EXPECT_EQ(back.gate_weights, manifest.gate_weights);
    ASSERT_EQ(back.datasets.size(), manifest.datasets.size());
    for (size_t i = 0; i < back.datasets.size(); ++i) {
      EXPECT_EQ(back.datasets[i].name, manifest.datasets[i].name);
      EXPECT_EQ(back.datasets[i].source, manifest.datasets[i].source);
      EXPECT_EQ(back.datasets[i].traces, manifest.datasets[i].traces);
      EXPECT_EQ(back.datasets[i].skipped, manifest.datasets[i].skipped);
    }
    EXPECT_EQ(fs::exists(again / kTokensName), fs::exists(original / kTokensName));
    if (fs::exists(original / kTokensName)) {
      EXPECT_EQ(bytes_of(again / kTokensName), bytes_of(original / kTokensName));
    }
  }

  testing::TemporaryFolder folder_;
};

TEST_P(ExportTest, RoundTrips) {
  Manifest manifest = fixture_manifest(fixture_geometry());
  expect_round_trip(manifest);
  manifest.gate_weights = false;
  manifest.token_ids = TokenIds::kHashed;
  expect_round_trip(manifest);
}

TEST_P(ExportTest, IdsByAppearanceBecomeHashes) {
  const fs::path original = folder_.path() / "traces";
  fs::create_directories(original);
  TokenNames names(TokenIds::kByAppearance);
  for (int i = 0; i < 1000; ++i) names.id("t" + std::to_string(i));
  names.write(original);
  Manifest manifest = fixture_manifest(fixture_geometry());
  manifest.geometry.vocab_size = 0;
  manifest.token_ids = TokenIds::kByAppearance;
  write_fixture(original, manifest, 2, 4);
  export_traces(
      {.format = GetParam().exported, .traces = original, .output = folder_.path() / "exported"});
  ImportOptions options;
  options.format = GetParam().imported;
  options.path = folder_.path() / "exported";
  options.output = folder_.path() / "again";
  EXPECT_EQ(import_traces(options).manifest.token_ids, TokenIds::kHashed);
  std::vector<Trace> expected = traces_of(original);
  for (Trace& trace : expected) {
    for (int32_t& id : trace.token_ids) id = hashed_token_id("t" + std::to_string(id));
  }
  EXPECT_EQ(traces_of(options.output), expected);
}

TEST_P(ExportTest, RoundTripsWideExpertsAndExtremeSizes) {
  expect_round_trip(fixture_manifest(fixture_geometry(1000, 3)));
  expect_round_trip(fixture_manifest(fixture_geometry(2, 1)));
}

TEST_P(ExportTest, LeavesLogitsBehind) {
  Manifest manifest = fixture_manifest(fixture_geometry());
  manifest.router_logits = true;
  expect_round_trip(manifest);
}

TEST_P(ExportTest, RefusesWhatIsThere) {
  const fs::path original = folder_.path() / "traces";
  fs::create_directories(original);
  write_fixture(original, fixture_manifest(fixture_geometry()), 1, 2);
  const auto run = [&](const fs::path& traces, const fs::path& output) {
    return testing::error_of([&] {
      export_traces({.format = GetParam().exported, .traces = traces, .output = output});
    });
  };
  EXPECT_THAT(run(original, original), HasSubstr("exists already"));
  EXPECT_THAT(run(folder_.path() / "gone", folder_.path() / "out"), HasSubstr("gone"));
  overwrite(original / "part-00000.parquet", bytes_of(original / "part-00000.parquet") + "x");
  EXPECT_THAT(run(original, folder_.path() / "out"), HasSubstr("bytes"));
  EXPECT_FALSE(fs::exists(folder_.path() / "out"));
  EXPECT_FALSE(fs::exists(folder_.path() / "out.tmp"));
}

INSTANTIATE_TEST_SUITE_P(Formats, ExportTest,
                         ::testing::Values(Case{ExportFormat::kNpy, ImportFormat::kNpy},
                                           Case{ExportFormat::kJsonl, ImportFormat::kVllm}));

}  // namespace
}  // namespace foregate::trace
