#pragma once

// Imports of small records that a test writes.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "base/files.h"
#include "support/temporary_folder.h"
#include "support/test_files.h"
#include "support/trace_fixture.h"
#include "trace/import/import.h"
#include "trace/reader.h"

namespace foregate::trace {

class ImportTest : public ::testing::Test {
 protected:
  void SetUp() override { fs::create_directories(folder_.path() / "in"); }

  void put(const std::string& name, const std::string& bytes) const {
    overwrite(folder_.path() / "in" / name, bytes);
  }
  ImportSummary run(ImportFormat format, const std::string& path = "in",
                    const RunContext& context = silent_run()) {
    options_.format = format;
    options_.path = folder_.path() / path;
    options_.output = output();
    return import_traces(options_, context);
  }
  /// The message of an import that fails; nothing may be left of it.
  std::string problem(ImportFormat format, const std::string& path = "in") {
    const std::string message = testing::error_of([&] { run(format, path); });
    EXPECT_FALSE(fs::exists(output()));
    EXPECT_FALSE(fs::exists(output().string() + ".tmp"));
    EXPECT_THAT(message, ::testing::Not(::testing::HasSubstr("\n")));
    return message;
  }
  fs::path output() const { return folder_.path() / "out"; }
  std::vector<Trace> traces() const { return traces_of(output()); }

  testing::TemporaryFolder folder_;
  ImportOptions options_;
};

}  // namespace foregate::trace
