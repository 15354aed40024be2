// What sets the architectures apart, from small configs and from those of the real models.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <nlohmann/json.hpp>
#include <set>

#include "base/error.h"
#include "base/json.h"
#include "models/config.h"
#include "models/registry.h"
#include "models/summary.h"
#include "models/weights/weight_plan.h"
#include "support/temporary_folder.h"
#include "support/test_files.h"
#include "tensor/files/checkpoint.h"
#include "tensor/files/safetensors.h"

namespace foregate::models {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

Json common(const char* model_type) {
  Json json = Json::parse(R"({
    "hidden_act": "silu", "vocab_size": 96, "hidden_size": 32, "num_hidden_layers": 4,
    "num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": 64,
    "rms_norm_eps": 1e-05, "rope_theta": 10000.0, "tie_word_embeddings": false,
    "num_experts_per_tok": 2})");
  json["model_type"] = model_type;
  return json;
}

Json mixtral() {
  Json json = common("mixtral");
  json.update({{"num_local_experts", 8}, {"intermediate_size", 24}, {"sliding_window", nullptr}});
  return json;
}

Json olmoe() {
  Json json = common("olmoe");
  json.update({{"num_experts", 8},
               {"intermediate_size", 24},
               {"norm_topk_prob", false},
               {"clip_qkv", nullptr}});
  return json;
}

Json qwen3_moe() {
  Json json = common("qwen3_moe");
  json.update({{"num_experts", 8},
               {"moe_intermediate_size", 24},
               {"intermediate_size", 48},
               {"head_dim", 16},
               {"norm_topk_prob", true},
               {"decoder_sparse_step", 1},
               {"mlp_only_layers", {0}}});
  return json;
}

Json deepseek() {
  Json json = common("deepseek");
  json.update({{"n_routed_experts", 8},
               {"n_shared_experts", 2},
               {"moe_intermediate_size", 24},
               {"intermediate_size", 48},
               {"first_k_dense_replace", 1},
               {"moe_layer_freq", 1},
               {"norm_topk_prob", false},
               {"scoring_func", "softmax"}});
  return json;
}

ModelConfig parse(const Json& json) {
  const JsonReader reader(json, "config.json");
  return parse_config(known_architectures().find(reader), reader);
}

GroupedQueryConfig attention_of(const ModelConfig& config) {
  return std::get<GroupedQueryConfig>(config.attention);
}

TEST(Mixtral, ReadsThePublishedForm) {
  const ModelConfig config = parse(mixtral());
  EXPECT_THAT(config.moe_layers, ElementsAre(0, 1, 2, 3));
  EXPECT_TRUE(config.router.norm_topk);
  EXPECT_FALSE(attention_of(config).qkv_bias);
  EXPECT_EQ(attention_of(config).qk_norm, QkNorm::kNone);
  EXPECT_EQ(config.expert_intermediate_size, 24);
  EXPECT_EQ(config.shared_intermediate_size, 0);
}

TEST(Olmoe, NormalizesTheWholeProjection) {
  const ModelConfig config = parse(olmoe());
  EXPECT_EQ(attention_of(config).qk_norm, QkNorm::kProjection);
  EXPECT_FALSE(config.router.norm_topk);
  EXPECT_EQ(config.moe_layers.size(), 4U);
}

TEST(Qwen3Moe, NormalizesEveryHead) {
  Json json = qwen3_moe();
  const ModelConfig config = parse(json);
  EXPECT_EQ(attention_of(config).qk_norm, QkNorm::kHead);
  EXPECT_EQ(attention_of(config).head_dim, 16);
  EXPECT_EQ(config.dense_intermediate_size, 48);
  EXPECT_THAT(config.moe_layers, ElementsAre(1, 2, 3));
  json["num_local_experts"] = json["num_experts"];
  json.erase("num_experts");
  EXPECT_EQ(parse(json).num_experts, 8);
}

TEST(Deepseek, DenseLayersFirstAndSharedExpertsAsOne) {
  Json json = deepseek();
  const ModelConfig config = parse(json);
  EXPECT_THAT(config.moe_layers, ElementsAre(1, 2, 3));
  EXPECT_EQ(config.shared_intermediate_size, 48);
  EXPECT_FALSE(config.shared_expert_gate);
  json["moe_layer_freq"] = 2;
  EXPECT_THAT(parse(json).moe_layers, ElementsAre(2));
  json["n_shared_experts"] = nullptr;
  EXPECT_EQ(parse(json).shared_intermediate_size, 0);
}

struct WrongCase {
  const char* name;
  Json (*config)();
  const char* key;
  Json value;  ///< null: the key is removed
  std::vector<const char*> expected;
};

std::vector<WrongCase> wrong_cases() {
  const Json gone;
  return {
      {"mixtral_window", mixtral, "sliding_window", 32, {"sliding_window", "32", "64"}},
      {"mixtral_no_experts", mixtral, "num_local_experts", gone, {"num_local_experts"}},
      {"mixtral_no_inner", mixtral, "intermediate_size", gone, {"intermediate_size"}},
      {"mixtral_top_k", mixtral, "num_experts_per_tok", 9, {"num_experts_per_tok", "9"}},
      {"mixtral_bias", mixtral, "attention_bias", true, {"attention_bias", "true"}},
      {"olmoe_clip", olmoe, "clip_qkv", 8.0, {"clip_qkv", "8"}},
      {"olmoe_bias", olmoe, "attention_bias", true, {"attention_bias"}},
      {"olmoe_no_norm", olmoe, "norm_topk_prob", gone, {"norm_topk_prob"}},
      {"olmoe_no_experts", olmoe, "num_experts", gone, {"num_experts"}},
      {"qwen3_bias", qwen3_moe, "attention_bias", true, {"attention_bias"}},
      {"qwen3_no_experts", qwen3_moe, "num_experts", gone, {"num_local_experts"}},
      {"qwen3_no_dense_size", qwen3_moe, "intermediate_size", gone, {"intermediate_size"}},
      {"qwen3_sliding", qwen3_moe, "layer_types", {"sliding_attention_x"}, {"layer_types"}},
      {"deepseek_sigmoid", deepseek, "scoring_func", "sigmoid", {"scoring_func", "sigmoid"}},
      {"deepseek_all_dense", deepseek, "first_k_dense_replace", 4, {"first_k_dense_replace", "4"}},
      {"deepseek_freq_zero", deepseek, "moe_layer_freq", 0, {"moe_layer_freq", "0"}},
      {"deepseek_no_experts", deepseek, "n_routed_experts", gone, {"n_routed_experts"}},
      {"deepseek_bias", deepseek, "attention_bias", true, {"attention_bias"}},
  };
}

class WrongArchitectureTest : public ::testing::TestWithParam<WrongCase> {};

TEST_P(WrongArchitectureTest, IsADataErrorThatNamesKeyAndValue) {
  Json json = GetParam().config();
  json[GetParam().key] = GetParam().value;
  if (GetParam().value.is_null()) json.erase(GetParam().key);
  try {
    parse(json);
    FAIL() << "no error";
  } catch (const DataError& error) {
    EXPECT_THAT(error.what(), HasSubstr("config.json"));
    for (const char* part : GetParam().expected) EXPECT_THAT(error.what(), HasSubstr(part));
  }
}

INSTANTIATE_TEST_SUITE_P(Table, WrongArchitectureTest, ::testing::ValuesIn(wrong_cases()),
                         [](const auto& test) { return test.param.name; });

// Counts as the model cards state them, in billions.
struct RealModel {
  const char* file;
  double total;
  double active;
};

std::filesystem::path real_configs() {
  const char* variable = std::getenv("FOREGATE_SHARED");
  const std::filesystem::path shared =
      variable != nullptr ? variable : FOREGATE_SOURCE_DIR "/../shared";
  return shared / "configs";
}

class RealConfigTest : public ::testing::TestWithParam<RealModel> {};

TEST_P(RealConfigTest, HasTheParametersOfItsModelCard) {
  if (!std::filesystem::exists(real_configs())) GTEST_SKIP() << real_configs() << " is missing";
  const ModelSummary summary = summarize(read_model_config(real_configs() / GetParam().file));
  EXPECT_NEAR(static_cast<double>(summary.total) / 1e9, GetParam().total, 0.05);
  EXPECT_NEAR(static_cast<double>(summary.active) / 1e9, GetParam().active, 0.05);
}

INSTANTIATE_TEST_SUITE_P(Table, RealConfigTest,
                         ::testing::Values(RealModel{"Mixtral-8x7B-v0.1.json", 46.7, 12.9},
                                           RealModel{"OLMoE-1B-7B-0125.json", 6.92, 1.28},
                                           RealModel{"Qwen1.5-MoE-A2.7B.json", 14.3, 2.7},
                                           RealModel{"Qwen3-30B-A3B.json", 30.5, 3.35},
                                           RealModel{"deepseek-moe-16b-base.json", 16.4, 2.8}));

TEST(RealIndex, OfMixtralHasTheNamesOfThePlan) {
  if (!std::filesystem::exists(real_configs())) GTEST_SKIP() << real_configs() << " is missing";
  const ModelConfig config = read_model_config(real_configs() / "Mixtral-8x7B-v0.1.json");
  const Json index = read_json(real_configs() / "mixtral.model.safetensors.index.json");
  std::set<std::string> published;
  for (const auto& [name, file] : index["weight_map"].items()) published.insert(name);
  testing::TemporaryFolder folder;
  tensor::write_safetensors(folder / "model.safetensors", {{"none", torch::zeros({1})}});
  const WeightNames names = config.spellings.front();
  std::set<std::string> planned;
  for (const auto& tensor : plan_weights(config, names, tensor::Checkpoint(folder.path()), false)) {
    planned.insert(tensor.name);
  }
  EXPECT_EQ(planned, published);
}

}  // namespace
}  // namespace foregate::models
