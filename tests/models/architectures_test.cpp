// What sets the architectures apart, from small configs and from those of the real models.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
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

Json latent(const char* model_type) {
  Json json = common(model_type);
  json.update({{"num_key_value_heads", 4},
               {"q_lora_rank", 24},
               {"kv_lora_rank", 16},
               {"qk_nope_head_dim", 8},
               {"qk_rope_head_dim", 4},
               {"v_head_dim", 6},
               {"n_routed_experts", 8},
               {"n_shared_experts", 1},
               {"moe_intermediate_size", 24},
               {"intermediate_size", 48},
               {"moe_layer_freq", 1},
               {"first_k_dense_replace", 1}});
  return json;
}

Json deepseek_v2() {
  Json json = latent("deepseek_v2");
  json.update({{"q_lora_rank", nullptr},
               {"norm_topk_prob", false},
               {"routed_scaling_factor", 16.0},
               {"topk_method", "group_limited_greedy"},
               {"n_group", 4},
               {"topk_group", 2}});
  return json;
}

Json deepseek_v3() {
  Json json = latent("deepseek_v3");
  json.update({{"norm_topk_prob", true},
               {"routed_scaling_factor", 2.5},
               {"scoring_func", "sigmoid"},
               {"topk_method", "noaux_tc"},
               {"n_group", 4},
               {"topk_group", 2}});
  return json;
}

Json glm_moe_dsa() {
  Json json = deepseek_v3();
  json.update({{"model_type", "glm_moe_dsa"}, {"index_topk", 16}});
  return json;
}

Json kimi_k25() {
  Json decoder = deepseek_v3();
  decoder["model_type"] = "kimi_k2";
  return {{"model_type", "kimi_k25"}, {"text_config", decoder}};
}

Json glm4_moe() {
  Json json = common("glm4_moe");
  json.update({{"n_routed_experts", 8},
               {"n_shared_experts", 1},
               {"moe_intermediate_size", 24},
               {"intermediate_size", 48},
               {"first_k_dense_replace", 1},
               {"norm_topk_prob", true},
               {"routed_scaling_factor", 2.5},
               {"n_group", 1},
               {"topk_group", 1},
               {"head_dim", 16},
               {"attention_bias", true},
               {"use_qk_norm", true},
               {"partial_rotary_factor", 0.5}});
  return json;
}

Json minimax_m2() {
  Json json = common("minimax_m2");
  json.update({{"num_local_experts", 8},
               {"intermediate_size", 24},
               {"head_dim", 16},
               {"rotary_dim", 8},
               {"attn_type_list", {1, 1, 1, 1}}});
  return json;
}

Json ernie4_5_moe() {
  Json json = common("ernie4_5_moe");
  json.erase("num_experts_per_tok");
  json.update({{"moe_num_experts", 8},
               {"moe_k", 3},
               {"moe_num_shared_experts", 2},
               {"moe_intermediate_size", 24},
               {"intermediate_size", 48},
               {"moe_layer_start_index", 1},
               {"moe_layer_end_index", -1},
               {"moe_layer_interval", 1}});
  return json;
}

Json dots1() {
  Json json = glm4_moe();
  json.update({{"model_type", "dots1"},
               {"attention_bias", false},
               {"sliding_window", 8},
               {"max_window_layers", 4}});
  json.erase("partial_rotary_factor");
  return json;
}

Json gpt_oss() {
  Json json = common("gpt_oss");
  json.update({{"num_local_experts", 8},
               {"intermediate_size", 24},
               {"head_dim", 16},
               {"sliding_window", 16},
               {"swiglu_limit", 7.0},
               {"rope_scaling", {{"rope_type", "default"}}}});
  return json;
}

Json granitemoe() {
  Json json = common("granitemoe");
  json.update({{"num_local_experts", 8},
               {"intermediate_size", 24},
               {"embedding_multiplier", 12.0},
               {"residual_multiplier", 0.25},
               {"attention_multiplier", 0.0625},
               {"logits_scaling", 8.0}});
  return json;
}

Json phimoe() {
  Json json = common("phimoe");
  json.update({{"num_local_experts", 8},
               {"intermediate_size", 24},
               {"attention_bias", true},
               {"lm_head_bias", true},
               {"max_position_embeddings", 512},
               {"rope_scaling",
                {{"type", "longrope"},
                 {"short_factor", {1.0, 1.0, 1.5, 2.0}},
                 {"long_factor", {1.0, 2.0, 4.0, 8.0}},
                 {"short_mscale", 1.25},
                 {"long_mscale", 1.5},
                 {"original_max_position_embeddings", 64}}}});
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

LatentConfig latent_of(const ModelConfig& config) {
  return std::get<LatentConfig>(config.attention);
}

constexpr auto kSigmoid = trace::RouterSpec::Score::kSigmoid;
constexpr auto kSumOfTopTwo = trace::RouterSpec::GroupScore::kSumOfTopTwo;

TEST(DeepseekV3, LatentAttentionAndGroupsOfExperts) {
  Json json = deepseek_v3();
  const ModelConfig config = parse(json);
  const LatentConfig attention = latent_of(config);
  EXPECT_EQ(attention.query_rank, 24);
  EXPECT_EQ(attention.latent_size(), 20);
  EXPECT_EQ(attention.norm_epsilon, 1e-6);  // whatever rms_norm_eps says
  EXPECT_EQ(attention.rotary.width(), 4);
  EXPECT_EQ(attention.rotary.pairs, nn::Rotary::Pairs::kInterleaved);
  EXPECT_DOUBLE_EQ(attention.softmax_scale, 1 / std::sqrt(12.0));
  EXPECT_EQ(config.router, (trace::RouterSpec{.score = kSigmoid,
                                              .norm_topk = true,
                                              .epsilon = 1e-20,
                                              .scale = 2.5,
                                              .groups = 4,
                                              .top_groups = 2,
                                              .group_score = kSumOfTopTwo}));
  EXPECT_TRUE(config.router_choice_bias);
  EXPECT_THAT(config.moe_layers, ElementsAre(1, 2, 3));
  json["rope_interleave"] = false;
  EXPECT_EQ(latent_of(parse(json)).rotary.pairs, nn::Rotary::Pairs::kHalves);
}

// The softmax factors of DeepSeek-V3 and V2-Lite; cosines and sines keep their size.
TEST(DeepseekV3, YarnSharpensTheSoftmax) {
  Json json = deepseek_v3();
  json["rope_scaling"] = {{"type", "yarn"},
                          {"factor", 40},
                          {"mscale", 1.0},
                          {"mscale_all_dim", 1.0},
                          {"beta_fast", 32},
                          {"beta_slow", 1},
                          {"original_max_position_embeddings", 4096}};
  EXPECT_NEAR(latent_of(parse(json)).softmax_scale * std::sqrt(12.0), 1.873854, 1e-6);
  EXPECT_EQ(latent_of(parse(json)).rotary.factor, 1);
  json["rope_scaling"].update({{"mscale", 0.707}, {"mscale_all_dim", 0.707}});
  EXPECT_NEAR(latent_of(parse(json)).softmax_scale * std::sqrt(12.0), 1.589626, 1e-6);
}

TEST(DeepseekV2, GroupsByMethod) {
  Json json = deepseek_v2();
  const trace::RouterSpec grouped{.scale = 16, .groups = 4, .top_groups = 2};
  EXPECT_EQ(parse(json).router, grouped);
  EXPECT_EQ(latent_of(parse(json)).query_rank, 0);
  json["topk_method"] = "greedy";
  EXPECT_EQ(parse(json).router, (trace::RouterSpec{.scale = 16}));
}

TEST(GlmMoeDsa, TextsThatTheIndexerKeepsWhole) {
  const ModelConfig config = parse(glm_moe_dsa());
  EXPECT_EQ(config.max_positions, 16);
  EXPECT_STREQ(config.max_positions_key, "index_topk");
}

TEST(KimiK25, IsTheDecoderInside) {
  const ModelConfig config = parse(kimi_k25());
  EXPECT_EQ(config.model_type, "kimi_k25");
  EXPECT_EQ(config.spellings.front().router, "language_model.model.layers.{L}.mlp.gate.weight");
  EXPECT_EQ(config.spellings.front().lm_head, "language_model.lm_head.weight");
  EXPECT_EQ(latent_of(config).kv_rank, 16);
}

TEST(Glm4Moe, TurnsAPartOfEachHead) {
  Json json = glm4_moe();
  EXPECT_EQ(attention_of(parse(json)).rotary, nn::plain_rotary(8, 1e4));
  EXPECT_TRUE(attention_of(parse(json)).qkv_bias);
  EXPECT_EQ(attention_of(parse(json)).qk_norm, QkNorm::kHead);
  json["use_qk_norm"] = false;
  json["attention_bias"] = false;
  EXPECT_FALSE(attention_of(parse(json)).qkv_bias);
  EXPECT_EQ(attention_of(parse(json)).qk_norm, QkNorm::kNone);
  json["mlp_layer_types"] = {"dense", "sparse", "dense", "sparse"};
  EXPECT_THAT(parse(json).moe_layers, ElementsAre(1, 3));
}

TEST(MinimaxM2, AlwaysDividesByTheSum) {
  const ModelConfig config = parse(minimax_m2());
  EXPECT_EQ(config.router, (trace::RouterSpec{.score = kSigmoid, .norm_topk = true}));
  EXPECT_EQ(attention_of(config).rotary, nn::plain_rotary(8, 1e4));
  EXPECT_EQ(attention_of(config).qk_norm, QkNorm::kProjection);
}

TEST(Ernie45Moe, LayersByInterval) {
  Json json = ernie4_5_moe();
  EXPECT_THAT(parse(json).moe_layers, ElementsAre(1, 2, 3));
  EXPECT_EQ(parse(json).router, (trace::RouterSpec{.norm_topk = true, .min_sum = 1e-12}));
  EXPECT_EQ(parse(json).shared_intermediate_size, 48);
  json.update({{"moe_layer_interval", 2}, {"moe_layer_end_index", 2}, {"moe_norm_min", 0.5}});
  EXPECT_THAT(parse(json).moe_layers, ElementsAre(1));
  EXPECT_EQ(parse(json).router.min_sum, 0.5);
}

TEST(Dots1, WindowsBehindTheLastLayer) {
  Json json = dots1();
  EXPECT_EQ(attention_of(parse(json)).qk_norm, QkNorm::kHead);
  json.erase("max_window_layers");
  json["layer_types"] = {"full_attention", "full_attention"};
  EXPECT_NO_THROW(parse(json));
}

TEST(GptOss, WindowsEverySecondLayer) {
  Json json = gpt_oss();
  const ModelConfig config = parse(json);
  EXPECT_THAT(attention_of(config).windows, ElementsAre(16, 0, 16, 0));
  EXPECT_TRUE(attention_of(config).sinks);
  EXPECT_TRUE(attention_of(config).qkv_bias);
  EXPECT_TRUE(attention_of(config).output_bias);
  EXPECT_EQ(config.router.score, trace::RouterSpec::Score::kSoftmaxOfChosen);
  EXPECT_TRUE(config.router_logit_bias);
  EXPECT_TRUE(config.expert_bias);
  EXPECT_EQ(config.expert_activation,
            (nn::GatedActivation{nn::GatedActivation::Kind::kClampedSwiglu, 7.0, 1.702}));
  json["layer_types"] = {"full_attention", "full_attention", "full_attention", "sliding_attention"};
  json["attention_bias"] = false;
  EXPECT_THAT(attention_of(parse(json)).windows, ElementsAre(0, 0, 0, 16));
  EXPECT_FALSE(attention_of(parse(json)).output_bias);
  json["sliding_window"] = 64;  // as long as the longest text
  EXPECT_THAT(attention_of(parse(json)).windows, ElementsAre());
}

TEST(GraniteMoe, HasMultipliers) {
  Json json = granitemoe();
  ModelConfig config = parse(json);
  EXPECT_EQ(config.multipliers.embedding, 12);
  EXPECT_EQ(config.multipliers.residual, 0.25);
  EXPECT_EQ(config.multipliers.logits, 0.125);
  EXPECT_EQ(attention_of(config).softmax_scale, 0.0625);
  EXPECT_FALSE(attention_of(config).qkv_bias);
  // As PowerMoE-3b has it.
  json.erase("hidden_act");
  json["activation_function"] = "silu";
  json["rope_scaling"] = nullptr;
  EXPECT_NO_THROW(parse(json));
}

TEST(PhiMoe, RunsTheShortFactors) {
  const ModelConfig config = parse(phimoe());
  EXPECT_EQ(config.max_positions, 64);
  EXPECT_EQ(config.norm, NormKind::kLayer);
  EXPECT_TRUE(config.lm_head_bias);
  EXPECT_EQ(config.router.jitter, 0.01);
  const nn::Rotary& rotary = attention_of(config).rotary;
  EXPECT_EQ(rotary.factor, 1.25);
  const nn::Rotary plain = nn::plain_rotary(8, 1e4);
  EXPECT_FLOAT_EQ(rotary.inverse_frequencies[3], plain.inverse_frequencies[3] / 2);
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
      {"v2_norm", deepseek_v2, "norm_topk_prob", true, {"norm_topk_prob", "true", "false"}},
      {"v2_method", deepseek_v2, "topk_method", "noaux_tc", {"topk_method", "noaux_tc", "greedy"}},
      {"v2_no_method", deepseek_v2, "topk_method", gone, {"topk_method"}},
      {"v2_no_query_rank", deepseek_v2, "q_lora_rank", gone, {"q_lora_rank"}},
      {"v2_freq", deepseek_v2, "moe_layer_freq", 2, {"moe_layer_freq", "2", "1"}},
      {"v3_softmax", deepseek_v3, "scoring_func", "softmax", {"scoring_func", "softmax"}},
      {"v3_groups", deepseek_v3, "n_group", 3, {"groups", "3", "8"}},
      {"v3_more_groups", deepseek_v3, "topk_group", 5, {"topk_group", "5"}},
      {"v3_groups_of_one", deepseek_v3, "n_group", 8, {"group_score"}},
      {"v3_no_scale", deepseek_v3, "routed_scaling_factor", gone, {"routed_scaling_factor"}},
      {"v3_kv_heads", deepseek_v3, "num_key_value_heads", 2, {"num_key_value_heads", "2", "4"}},
      {"v3_bias", deepseek_v3, "attention_bias", true, {"attention_bias", "true"}},
      {"v3_odd_rotation", deepseek_v3, "qk_rope_head_dim", 5, {"qk_rope_head_dim", "5", "even"}},
      {"v3_linear", deepseek_v3, "rope_scaling", {{"type", "linear"}}, {"type", "linear", "yarn"}},
      {"v3_layer_types", deepseek_v3, "mlp_layer_types", {"dense"}, {"mlp_layer_types", "4"}},
      {"dsa_no_limit", glm_moe_dsa, "index_topk", gone, {"index_topk"}},
      {"dsa_halves", glm_moe_dsa, "rope_interleave", false, {"rope_interleave", "false"}},
      {"kimi_no_decoder", kimi_k25, "text_config", gone, {"text_config"}},
      {"kimi_other_decoder",
       kimi_k25,
       "text_config",
       {{"model_type", "llama"}},
       {"text_config", "model_type", "llama", "kimi_k2 or deepseek_v3"}},
      {"glm_no_bias_key", glm4_moe, "attention_bias", gone, {"attention_bias"}},
      {"glm_no_norm_key", glm4_moe, "use_qk_norm", gone, {"use_qk_norm"}},
      {"glm_no_rotary_key", glm4_moe, "partial_rotary_factor", gone, {"partial_rotary_factor"}},
      {"glm_odd_part", glm4_moe, "partial_rotary_factor", 0.3, {"partial_rotary_factor", "0.3"}},
      {"minimax_linear_layers", minimax_m2, "attn_type_list", {1, 0}, {"attn_type_list", "ones"}},
      {"minimax_shared", minimax_m2, "shared_intermediate_size", 8, {"shared_intermediate_size"}},
      {"minimax_contradiction",
       minimax_m2,
       "partial_rotary_factor",
       1.0,
       {"rotary_dim", "8", "16", "partial_rotary_factor"}},
      {"ernie_bias", ernie4_5_moe, "use_bias", true, {"use_bias", "true"}},
      {"ernie_no_layers", ernie4_5_moe, "moe_layer_end_index", 0, {"moe_layer_interval"}},
      {"ernie_top_k", ernie4_5_moe, "moe_k", 9, {"moe_k", "9"}},
      {"dots_bias", dots1, "attention_bias", true, {"attention_bias"}},
      {"dots_early_window", dots1, "max_window_layers", 3, {"sliding_window", "8", "64"}},
      {"dots_window", dots1, "layer_types", {"sliding_attention"}, {"layer_types"}},
      {"gpt_oss_layers", gpt_oss, "layer_types", {"full_attention"}, {"layer_types", "4 layers"}},
      {"gpt_oss_layer",
       gpt_oss,
       "layer_types",
       {"linear_attention", "full_attention", "full_attention", "full_attention"},
       {"layer_types", "linear_attention"}},
      {"gpt_oss_no_rotation", gpt_oss, "rope_scaling", gone, {"rope_scaling", "rope_type"}},
      {"gpt_oss_no_window", gpt_oss, "sliding_window", gone, {"sliding_window"}},
      {"gpt_oss_window_zero", gpt_oss, "sliding_window", 0, {"sliding_window", "0"}},
      {"gpt_oss_limit", gpt_oss, "swiglu_limit", -1, {"swiglu_limit", "-1"}},
      {"gpt_oss_experts", gpt_oss, "num_experts", 9, {"num_experts", "9", "num_local_experts"}},
      {"gpt_oss_longrope",
       gpt_oss,
       "rope_scaling",
       {{"rope_type", "longrope"}},
       {"rope_scaling", "rope_type", "longrope"}},
      {"granite_gelu", granitemoe, "hidden_act", "gelu", {"hidden_act", "gelu"}},
      {"granite_scaling", granitemoe, "logits_scaling", 0, {"logits_scaling", "0"}},
      {"granite_llama3",
       granitemoe,
       "rope_scaling",
       {{"rope_type", "llama3"},
        {"factor", 8},
        {"low_freq_factor", 4},
        {"high_freq_factor", 4},
        {"original_max_position_embeddings", 64}},
       {"high_freq_factor", "4"}},
      {"phi_top_k", phimoe, "num_experts_per_tok", 1, {"1 of 8 experts", "2"}},
      {"phi_factors",
       phimoe,
       "rope_scaling",
       {{"type", "longrope"}, {"short_factor", {1.0}}},
       {"rope_scaling", "short_factor", "4 numbers"}},
      {"phi_window", phimoe, "sliding_window", 32, {"sliding_window", "32"}},
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

// Counts as the model cards and reports state them, in billions. Of the active ones some count the
// embedding and the output layer, some only one of the two, some neither: where the published
// number leaves one out (37, 32, 40 and 10 of DeepSeek-V3, GLM-4.7, GLM-5 and MiniMax-M2, 2.4 of
// V2-Lite), this one is counted by hand with both.
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
  // How the file keeps its matrices changes nothing.
  Json json = read_json(real_configs() / GetParam().file);
  json.erase("quantization_config");
  if (json.contains("text_config")) json["text_config"].erase("quantization_config");
  const ModelSummary summary = summarize(parse(json));
  EXPECT_NEAR(static_cast<double>(summary.total) / 1e9, GetParam().total, 0.01 * GetParam().total);
  EXPECT_NEAR(static_cast<double>(summary.active) / 1e9, GetParam().active,
              0.01 * GetParam().active);
}

INSTANTIATE_TEST_SUITE_P(Table, RealConfigTest,
                         ::testing::Values(RealModel{"Mixtral-8x7B-v0.1.json", 46.7, 12.9},
                                           RealModel{"OLMoE-1B-7B-0125.json", 6.92, 1.28},
                                           RealModel{"Qwen1.5-MoE-A2.7B.json", 14.3, 2.7},
                                           RealModel{"Qwen3-30B-A3B.json", 30.5, 3.35},
                                           // Its card rounds to 2.8.
                                           RealModel{"deepseek-moe-16b-base.json", 16.4, 2.83},
                                           RealModel{"Phi-3.5-MoE-instruct.json", 41.9, 6.6},
                                           // Its card leaves the embedding, 0.58, out of the
                                           // active ones.
                                           RealModel{"gpt-oss-20b.json", 20.9, 3.61 + 0.58},
                                           RealModel{"gpt-oss-120b.json", 116.8, 5.13 + 0.58},
                                           RealModel{"DeepSeek-V2-Lite.json", 15.7, 2.66},
                                           RealModel{"DeepSeek-V3.json", 671, 37.55},
                                           RealModel{"DeepSeek-V3.2.json", 671, 37.55},
                                           RealModel{"Kimi-K2-Instruct.json", 1026, 32.6},
                                           RealModel{"Kimi-K2.5.json", 1026, 32.6},
                                           RealModel{"GLM-4.7-Flash.json", 30, 3.90},
                                           RealModel{"GLM-4.7.json", 355, 33.63},
                                           RealModel{"GLM-5.json", 744, 41.05},
                                           RealModel{"MiniMax-M2.7.json", 230, 11.03}));

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
