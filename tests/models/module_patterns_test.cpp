#include "models/formats/module_patterns.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "support/test_files.h"

namespace foregate::models {
namespace {

using testing::error_of;
using ::testing::HasSubstr;

TEST(ModulePatterns, NamesAreWhole) {
  ModulePatterns patterns;
  EXPECT_TRUE(patterns.empty());
  EXPECT_FALSE(patterns.matches(""));
  patterns.add_name("model.layers.1.mlp.gate");
  EXPECT_FALSE(patterns.empty());
  EXPECT_TRUE(patterns.matches("model.layers.1.mlp.gate"));
  EXPECT_FALSE(patterns.matches("model.layers.1.mlp.gate_proj"));
  EXPECT_FALSE(patterns.matches("model.layers.11.mlp.gate"));
}

// Python: re.match(r".*mlp\.(gate|up)_proj.*", "model.layers.0.mlp.experts.0.gate_proj") is None
TEST(ModulePatterns, ExpressionsBeginWhereTheNameDoes) {
  ModulePatterns patterns;
  patterns.add_regex(R"(.*mlp\.(gate|up|gate_up|down)_proj.*)", "config.json");
  EXPECT_TRUE(patterns.matches("model.layers.0.mlp.gate_proj"));
  EXPECT_FALSE(patterns.matches("model.layers.0.mlp.experts.0.gate_proj"));
  ModulePatterns start;
  start.add_regex("layers", "config.json");
  EXPECT_FALSE(start.matches("model.layers.0"));
  EXPECT_TRUE(start.matches("layers.0"));
  ModulePatterns whole;
  whole.add_regex("layers", "config.json", /*whole=*/true);
  EXPECT_FALSE(whole.matches("layers.0"));
  ModulePatterns ahead;
  ahead.add_regex(R"(^(?!.*experts).*_proj$)", "config.json");
  EXPECT_TRUE(ahead.matches("model.layers.0.self_attn.q_proj"));
  EXPECT_FALSE(ahead.matches("model.layers.0.mlp.experts.0.up_proj"));
}

// transformers.quantizers.quantizers_utils.should_convert_module, where these are False.
TEST(ModulePatterns, SkippedModulesAreThoseOfTransformers) {
  const auto skips = [](const std::string& entry, const std::string& module) {
    ModulePatterns patterns;
    patterns.add_skipped(entry, "config.json");
    return patterns.matches(module);
  };
  EXPECT_TRUE(skips("model.layers.1", "model.layers.1.mlp.up_proj"));
  EXPECT_FALSE(skips("model.layers.1", "model.layers.11.mlp.up_proj"));
  EXPECT_TRUE(skips("model.layers.*.self_attn", "model.layers.7.self_attn.q_proj"));
  EXPECT_FALSE(skips("model.layers.*.self_attn", "model.layers.7.mlp.up_proj"));
  EXPECT_TRUE(skips("gate", "model.layers.1.mlp.gate"));
  EXPECT_FALSE(skips("gate", "model.layers.1.mlp.gate_proj"));
  EXPECT_FALSE(skips("model.layers.0.mlp.gate", "model.layers.0.mlp.gate_proj"));
  EXPECT_TRUE(skips("down_proj", "model.layers.1.mlp.experts.3.down_proj"));
}

TEST(ModulePatterns, PartsLieAnywhere) {
  ModulePatterns patterns;
  patterns.add_part("shared_experts");
  EXPECT_FALSE(patterns.empty());
  EXPECT_TRUE(patterns.matches("model.layers.1.mlp.shared_experts.up_proj"));
  EXPECT_FALSE(patterns.matches("model.layers.1.mlp.experts.0.up_proj"));
}

TEST(ModulePatterns, GlobsAreWhole) {
  ModulePatterns patterns;
  patterns.add_glob("model.layers.*.self_attn*", "config.json");
  patterns.add_glob("head?", "config.json");
  EXPECT_TRUE(patterns.matches("model.layers.0.self_attn.q_proj"));
  EXPECT_FALSE(patterns.matches("model_layers.0.self_attn"));
  EXPECT_FALSE(patterns.matches("x.model.layers.0.self_attn"));
  EXPECT_TRUE(patterns.matches("heads"));
  EXPECT_FALSE(patterns.matches("head"));
}

TEST(ModulePatterns, BrokenAndEndlessExpressionsAreRefused) {
  ModulePatterns patterns;
  EXPECT_THAT(error_of([&] { patterns.add_regex("(mlp\n", "config.json: ignore"); }),
              HasSubstr(R"(config.json: ignore: the regular expression "(mlp\n" is broken at)"));
  patterns.add_regex("(a+)+$", "config.json");
  EXPECT_THAT(error_of([&] { patterns.matches(std::string(64, 'a') + "b"); }),
              HasSubstr("the regular expression \"(a+)+$\" cannot be held against"));
}

}  // namespace
}  // namespace foregate::models
