#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "base/error.h"
#include "support/temporary_folder.h"
#include "text/datasets/dataset.h"

namespace foregate::text {

/// A folder for a test's files, gone after the test.
class TextTest : public ::testing::Test {
 protected:
  std::filesystem::path write(const std::string& name, const std::string& content) const {
    return temporary_.write(name, content);
  }

  testing::TemporaryFolder temporary_;
  const std::filesystem::path& folder_ = temporary_.path();
};

/// All of a dataset.
struct Contents {
  std::vector<std::string> texts;
  std::vector<int64_t> rows;
  std::map<std::string, int64_t> skipped;
  std::string description;
  int64_t repaired = 0;
};

inline Contents read_all(const DatasetSpec& spec) {
  const auto source = open_dataset(spec);
  Contents contents;
  for (Sample sample; source->next(sample);) {
    contents.texts.push_back(sample.text);
    contents.rows.push_back(sample.row);
  }
  contents.skipped = source->skipped();
  contents.description = source->description();
  contents.repaired = source->num_repaired();
  return contents;
}

/// The folder with real data and tokenizers; tests that need what is not there skip.
inline std::filesystem::path shared_folder() {
  const char* given = std::getenv("FOREGATE_SHARED");
  return given != nullptr ? std::filesystem::path(given)
                          : std::filesystem::path(FOREGATE_SOURCE_DIR) / "../shared";
}

inline std::filesystem::path demo_tokenizer() {
  return std::filesystem::path(FOREGATE_SOURCE_DIR) / "examples/demo/model/tokenizer.json";
}

inline std::filesystem::path test_data(const std::string& name) {
  return std::filesystem::path(FOREGATE_SOURCE_DIR) / "tests/data/text" / name;
}

}  // namespace foregate::text
