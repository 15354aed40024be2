#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <string>

#include "test_models.h"

namespace foregate::testing {

/// A test of the model that its parameter names; skips where the model is not at hand.
class ModelTest : public ::testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    directory_ = model_directory(GetParam());
    if (directory_.empty()) {
      GTEST_SKIP() << "the model " << GetParam()
                   << " is not in FOREGATE_SHARED (default ../shared)";
    }
  }
  std::filesystem::path directory_;
};

/// The model's name as the name of a test, which may hold no hyphen.
inline std::string test_name(const ::testing::TestParamInfo<const char*>& test) {
  std::string name = test.param;
  std::ranges::replace(name, '-', '_');
  return name;
}

}  // namespace foregate::testing
