#include "models/registry.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "base/error.h"

namespace foregate::models {
namespace {

using ::testing::AllOf;
using ::testing::Contains;
using ::testing::HasSubstr;

TEST(Registry, KnowsItsModelTypes) {
  EXPECT_THAT(known_architectures().model_types(), Contains("qwen2_moe"));
  for (const std::string& type : known_architectures().model_types()) {
    EXPECT_EQ(known_architectures().find(type).model_type, type);
  }
}

TEST(Registry, ListsWhatIsSupported) {
  const Json json = {{"model_type", "llama"}};
  try {
    known_architectures().find(JsonReader(json, "config.json"));
    FAIL() << "no error";
  } catch (const DataError& error) {
    EXPECT_THAT(error.what(), AllOf(HasSubstr("config.json"), HasSubstr("model_type"),
                                    HasSubstr("llama"), HasSubstr("qwen2_moe")));
  }
  const Json empty = Json::object();
  EXPECT_THROW(known_architectures().find(JsonReader(empty, "config.json")), DataError);
}

TEST(WeightName, FillsInLayerAndExpert) {
  EXPECT_EQ(weight_name("layers.{L}.experts.{E}.w", 3, 12), "layers.3.experts.12.w");
  EXPECT_EQ(weight_name("norm.weight", 3), "norm.weight");
}

}  // namespace
}  // namespace foregate::models
