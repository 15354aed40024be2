#include "models/config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/json.h"
#include "models/registry.h"

namespace foregate::models {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

// The fields of Qwen1.5-MoE-A2.7B, smaller.
Json valid_config() {
  return Json::parse(R"({
    "model_type": "qwen2_moe", "hidden_act": "silu", "vocab_size": 96, "hidden_size": 32,
    "num_hidden_layers": 6, "num_attention_heads": 4, "num_key_value_heads": 2,
    "max_position_embeddings": 64, "rms_norm_eps": 1e-06, "rope_theta": 1000000.0,
    "sliding_window": 32, "use_sliding_window": false, "max_window_layers": 21,
    "decoder_sparse_step": 1, "num_experts": 8, "num_experts_per_tok": 2,
    "norm_topk_prob": false, "intermediate_size": 48, "moe_intermediate_size": 16,
    "shared_expert_intermediate_size": 24, "tie_word_embeddings": false})");
}

ModelConfig parse(const Json& json) {
  return parse_config(known_architectures().find("qwen2_moe"), JsonReader(json, "config.json"));
}

GroupedQueryConfig attention_of(const ModelConfig& config) {
  return std::get<GroupedQueryConfig>(config.attention);
}

nn::Rotary rotary_of(const Json& json) {
  return attention_of(parse(json)).rotary;
}

TEST(Qwen2MoeConfig, ReadsThePublishedForm) {
  const ModelConfig config = parse(valid_config());
  EXPECT_EQ(attention_of(config).head_dim, 8);
  EXPECT_EQ(attention_of(config).num_kv_heads, 2);
  EXPECT_TRUE(attention_of(config).qkv_bias);
  EXPECT_EQ(attention_of(config).rotary, nn::plain_rotary(8, 1e6));
  EXPECT_FALSE(attention_of(config).softmax_scale.has_value());
  EXPECT_THAT(config.moe_layers, ElementsAre(0, 1, 2, 3, 4, 5));
  EXPECT_EQ(config.dense_intermediate_size, 0);
  EXPECT_FALSE(config.router.norm_topk);
  EXPECT_TRUE(config.shared_expert_gate);
}

TEST(Qwen2MoeConfig, SparseStepAndDenseLayers) {
  Json json = valid_config();
  json["decoder_sparse_step"] = 2;
  json["mlp_only_layers"] = {3};
  const ModelConfig config = parse(json);
  EXPECT_THAT(config.moe_layers, ElementsAre(1, 5));
  EXPECT_TRUE(config.is_moe_layer(5));
  EXPECT_FALSE(config.is_moe_layer(3));
  EXPECT_EQ(config.dense_intermediate_size, 48);
}

TEST(Qwen2MoeConfig, BothRopeSpellings) {
  Json json = valid_config();
  json.erase("rope_theta");
  json["rope_parameters"] = {{"rope_theta", 5e5}, {"rope_type", "default"}};
  EXPECT_EQ(rotary_of(json), nn::plain_rotary(8, 5e5));
  json["rope_theta"] = 5e5;
  json["rope_scaling"] = nullptr;
  EXPECT_EQ(rotary_of(json), nn::plain_rotary(8, 5e5));
  json.erase("rope_parameters");
  json["rope_scaling"] = {{"type", "default"}};
  EXPECT_EQ(rotary_of(json), nn::plain_rotary(8, 5e5));
}

TEST(Qwen2MoeConfig, YarnInBothSpellings) {
  Json json = valid_config();
  json["rope_scaling"] = {
      {"type", "yarn"}, {"factor", 4.0}, {"original_max_position_embeddings", 32}};
  nn::Rotary expected = nn::yarn_rotary(8, 1e6, {.scale = 4, .original_context = 32});
  expected.factor = nn::yarn_magnitude(4);
  EXPECT_EQ(rotary_of(json), expected);
  json["rope_parameters"] = json["rope_scaling"];
  json["rope_parameters"]["rope_theta"] = 1e6;
  EXPECT_EQ(rotary_of(json), expected);
  json.erase("rope_scaling");
  json["rope_parameters"].update({{"mscale", 0.5}, {"mscale_all_dim", 1.0}});
  expected.factor = nn::yarn_magnitude(4, 0.5) / nn::yarn_magnitude(4);
  EXPECT_EQ(rotary_of(json), expected);
  json["rope_parameters"]["attention_factor"] = 1.5;
  expected.factor = 1.5;
  EXPECT_EQ(rotary_of(json), expected);
}

TEST(Qwen2MoeConfig, WindowsThatCannotMatter) {
  Json json = valid_config();
  json["use_sliding_window"] = true;
  json["sliding_window"] = 64;
  EXPECT_NO_THROW(parse(json));
  json["sliding_window"] = nullptr;
  EXPECT_NO_THROW(parse(json));
  json["layer_types"] = {"sliding_attention", "full_attention"};
  EXPECT_NO_THROW(parse(json));
}

struct WrongCase {
  const char* name;
  const char* key;
  Json value;  ///< null: the key is removed
  std::vector<const char*> expected;
};

std::vector<WrongCase> wrong_cases() {
  const Json gone;
  return {
      {"no_vocab", "vocab_size", gone, {"vocab_size"}},
      {"no_hidden", "hidden_size", gone, {"hidden_size"}},
      {"no_layers", "num_hidden_layers", gone, {"num_hidden_layers"}},
      {"no_heads", "num_attention_heads", gone, {"num_attention_heads"}},
      {"no_kv_heads", "num_key_value_heads", gone, {"num_key_value_heads"}},
      {"no_positions", "max_position_embeddings", gone, {"max_position_embeddings"}},
      {"no_epsilon", "rms_norm_eps", gone, {"rms_norm_eps"}},
      {"no_theta", "rope_theta", gone, {"rope_theta"}},
      {"no_activation", "hidden_act", gone, {"hidden_act"}},
      {"no_step", "decoder_sparse_step", gone, {"decoder_sparse_step"}},
      {"no_experts", "num_experts", gone, {"num_experts"}},
      {"no_top_k", "num_experts_per_tok", gone, {"num_experts_per_tok"}},
      {"no_norm", "norm_topk_prob", gone, {"norm_topk_prob"}},
      {"no_inner", "moe_intermediate_size", gone, {"moe_intermediate_size"}},
      {"no_shared", "shared_expert_intermediate_size", gone, {"shared_expert_intermediate_size"}},
      {"vocab_text", "vocab_size", "96", {"vocab_size", "\"96\""}},
      {"vocab_zero", "vocab_size", 0, {"vocab_size", "0"}},
      {"hidden_negative", "hidden_size", -32, {"hidden_size", "-32"}},
      {"hidden_huge", "hidden_size", int64_t{1} << 40, {"hidden_size"}},
      {"layers_fraction", "num_hidden_layers", 1.5, {"num_hidden_layers", "1.5"}},
      {"heads_not_a_divisor", "num_attention_heads", 6, {"num_attention_heads", "6", "32"}},
      {"kv_heads_not_a_divisor", "num_key_value_heads", 3, {"num_key_value_heads", "3", "4"}},
      {"more_kv_heads", "num_key_value_heads", 8, {"num_key_value_heads", "8"}},
      {"odd_head_dim", "head_dim", 7, {"head_dim", "7", "even"}},
      {"gelu", "hidden_act", "gelu", {"hidden_act", "gelu", "silu"}},
      {"epsilon_text", "rms_norm_eps", "small", {"rms_norm_eps"}},
      {"yarn", "rope_scaling", {{"rope_type", "yarn"}}, {"rope_scaling", "factor"}},
      {"dynamic", "rope_scaling", {{"rope_type", "dynamic"}}, {"rope_type", "dynamic", "yarn"}},
      {"two_types",
       "rope_scaling",
       {{"rope_type", "default"}, {"type", "yarn"}},
       {"type", "yarn", "default"}},
      {"rotary_dim", "rotary_dim", 4, {"rotary_dim", "4", "8"}},
      {"partial_rotation_outside",
       "partial_rotary_factor",
       0.5,
       {"partial_rotary_factor", "0.5", "1"}},
      {"linear", "rope_scaling", {{"type", "linear"}, {"factor", 2}}, {"rope_scaling", "linear"}},
      {"rope_contradiction", "rope_parameters", {{"rope_theta", 1e4}}, {"rope_theta", "10000"}},
      {"partial_rotation",
       "rope_parameters",
       {{"partial_rotary_factor", 0.5}},
       {"partial_rotary_factor"}},
      {"rope_parameters_list", "rope_parameters", Json::array({1}), {"rope_parameters"}},
      {"sliding", "use_sliding_window", true, {"use_sliding_window", "true", "64"}},
      {"sliding_layer", "layer_types", {"sliding_attention"}, {"layer_types", "64"}},
      {"linear_layer", "layer_types", {"linear_attention"}, {"layer_types", "linear_attention"}},
      {"all_dense", "mlp_only_layers", {0, 1, 2, 3, 4, 5}, {"decoder_sparse_step"}},
      {"step_too_large", "decoder_sparse_step", 7, {"decoder_sparse_step", "7"}},
      {"step_zero", "decoder_sparse_step", 0, {"decoder_sparse_step", "0"}},
      {"dense_layer_out_of_range", "mlp_only_layers", {6}, {"mlp_only_layers", "6"}},
      {"dense_layer_negative", "mlp_only_layers", {-1}, {"mlp_only_layers", "-1"}},
      {"experts_zero", "num_experts", 0, {"num_experts", "0"}},
      {"top_k_too_large", "num_experts_per_tok", 9, {"num_experts_per_tok", "9", "8"}},
      {"norm_number", "norm_topk_prob", 1, {"norm_topk_prob", "1"}},
      {"gptq_5_bit",
       "quantization_config",
       {{"quant_method", "gptq"}, {"bits", 5}, {"group_size", 128}},
       {"quantization_config", "bits", "5", "2, 3, 4 or 8"}},
      {"gptq_packed_for_marlin",
       "quantization_config",
       {{"quant_method", "gptq"},
        {"bits", 4},
        {"group_size", 128},
        {"checkpoint_format", "marlin"}},
       {"checkpoint_format", "marlin", "gptq_v2"}},
      {"gptq_broken_expression",
       "quantization_config",
       {{"quant_method", "gptq"},
        {"bits", 4},
        {"group_size", 128},
        {"dynamic", {{"-:(mlp", Json::object()}}}},
       {"dynamic", "regular expression", "(mlp"}},
      {"unknown_method",
       "quantization_config",
       {{"quant_method", "quip"}},
       {"quant_method", "quip", "fp8, mxfp4, compressed-tensors", "or foregate"}},
      {"awq_8_bit",
       "quantization_config",
       {{"quant_method", "awq"}, {"bits", 8}, {"group_size", 128}},
       {"bits", "8", "4, the only one"}},
      {"fp8_block_of_one_number",
       "quantization_config",
       {{"quant_method", "fp8"}, {"weight_block_size", {128}}},
       {"weight_block_size", "[128]", "two numbers"}},
      {"bitsandbytes_8_bit",
       "quantization_config",
       {{"quant_method", "bitsandbytes"}, {"load_in_8bit", true}},
       {"load_in_8bit", "4 bits"}},
      {"modelopt_of_another_algorithm",
       "quantization_config",
       {{"quant_method", "modelopt"}, {"quant_algo", "W4A8_AWQ"}},
       {"quant_algo", "W4A8_AWQ", "NVFP4"}},
      {"auto_round_of_its_own_packing",
       "quantization_config",
       {{"quant_method", "auto-round"}, {"packing_format", "auto_round"}},
       {"packing_format", "auto_round:auto_gptq"}},
      {"compressed_sparsely",
       "quantization_config",
       {{"quant_method", "compressed-tensors"},
        {"sparsity_config", {{"format", "sparse-24-bitmask"}}}},
       {"sparsity_config", "sparse"}},
      {"compressed_without_groups",
       "quantization_config",
       {{"quant_method", "compressed-tensors"}, {"config_groups", Json::object()}},
       {"config_groups", "a group"}},
      {"compressed_block_of_one_number",
       "quantization_config",
       {{"quant_method", "compressed-tensors"},
        {"format", "float-quantized"},
        {"config_groups",
         {{"a",
           {{"targets", {"Linear"}},
            {"weights",
             {{"type", "float"}, {"strategy", "block"}, {"block_structure", "128x"}}}}}}}},
       {"block_structure", "128x", "two numbers"}},
      {"own_format_of_later",
       "quantization_config",
       {{"quant_method", "foregate"}, {"format", "int2"}},
       {"format", "int2", "int8 or nf4"}},
  };
}

class WrongConfigTest : public ::testing::TestWithParam<WrongCase> {};

TEST_P(WrongConfigTest, IsADataErrorThatNamesKeyAndValue) {
  Json json = valid_config();
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

INSTANTIATE_TEST_SUITE_P(Table, WrongConfigTest, ::testing::ValuesIn(wrong_cases()),
                         [](const auto& test) { return test.param.name; });

TEST(Qwen2MoeConfig, DenseLayersNeedTheirSize) {
  Json json = valid_config();
  json["mlp_only_layers"] = {0};
  json.erase("intermediate_size");
  EXPECT_THROW(parse(json), DataError);
}

}  // namespace
}  // namespace foregate::models
