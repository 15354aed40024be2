#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "base/error.h"
#include "text/datasets/dataset.h"

namespace foregate::text {

/// A folder for a test's files, gone after the test.
class TextTest : public ::testing::Test {
 protected:
  void SetUp() override {
    const auto* test = ::testing::UnitTest::GetInstance()->current_test_info();
    folder_ = std::filesystem::temp_directory_path() /
              ("foregate-text-" + std::to_string(::getpid()) + "-" + test->name());
    std::filesystem::remove_all(folder_);
    std::filesystem::create_directories(folder_);
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  std::filesystem::path write(const std::string& name, const std::string& content) const {
    const auto path = folder_ / name;
    std::filesystem::create_directories(path.parent_path());
    std::ofstream(path, std::ios::binary) << content;
    return path;
  }

  std::filesystem::path folder_;
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

/// The message of the foregate error that `call` throws.
template <typename Call>
std::string message_of(Call call) {
  try {
    call();
  } catch (const Error& error) {
    return error.what();
  }
  return "no error";
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
