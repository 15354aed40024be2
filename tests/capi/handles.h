#pragma once

#include <foregate/predictor.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <memory>
#include <string>

namespace foregate::testing {

using PredictorHandle = std::unique_ptr<foregate_predictor, decltype(&foregate_predictor_free)>;
using SequenceHandle = std::unique_ptr<foregate_sequence, decltype(&foregate_sequence_free)>;

inline PredictorHandle load(const std::filesystem::path& directory) {
  foregate_predictor* predictor = nullptr;
  EXPECT_EQ(foregate_predictor_load(directory.c_str(), &predictor), FOREGATE_OK)
      << foregate_last_error();
  return {predictor, foregate_predictor_free};
}

inline SequenceHandle new_sequence(const PredictorHandle& predictor) {
  foregate_sequence* sequence = nullptr;
  EXPECT_EQ(foregate_sequence_create(predictor.get(), &sequence), FOREGATE_OK)
      << foregate_last_error();
  return {sequence, foregate_sequence_free};
}

}  // namespace foregate::testing
