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
  EXPECT_THAT(supported_model_types(), Contains("qwen2_moe"));
  for (const std::string& type : supported_model_types()) {
    EXPECT_EQ(find_architecture(type).model_type, type);
  }
}

TEST(Registry, ListsWhatIsSupported) {
  const Json json = {{"model_type", "llama"}};
  try {
    find_architecture(JsonReader(json, "config.json"));
    FAIL() << "no error";
  } catch (const DataError& error) {
    EXPECT_THAT(error.what(), AllOf(HasSubstr("config.json"), HasSubstr("model_type"),
                                    HasSubstr("llama"), HasSubstr("qwen2_moe")));
  }
  const Json empty = Json::object();
  EXPECT_THROW(find_architecture(JsonReader(empty, "config.json")), DataError);
}

TEST(WeightName, FillsInLayerAndExpert) {
  EXPECT_EQ(weight_name("layers.{L}.experts.{E}.w", 3, 12), "layers.3.experts.12.w");
  EXPECT_EQ(weight_name("norm.weight", 3), "norm.weight");
}

}  // namespace
}  // namespace foregate::models
