// Latent attention and gpt-oss in GGUF, whose tensors lie otherwise than in checkpoints.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/types.h>

#include <map>
#include <nlohmann/json.hpp>

#include "models/model_files.h"
#include "models/registry.h"
#include "support/gguf_bytes.h"
#include "support/temporary_folder.h"
#include "support/test_files.h"

namespace foregate::models {
namespace {

using testing::error_of;
using testing::GgufBytes;
using ::testing::HasSubstr;
using testing::ramp;

class GgufFamiliesTest : public ::testing::Test {
 protected:
  std::filesystem::path write(const GgufBytes& builder) {
    return folder_.write("m.gguf", builder.bytes());
  }
  std::string refusal(const GgufBytes& builder) {
    const auto path = write(builder);
    return error_of([&] { open_checkpoint(path, read_model_config(path)); });
  }

  testing::TemporaryFolder folder_;
};

/// DeepSeek-V2 in miniature, but for its layers: hidden 4, 2 heads of 3 + 2 with values of 1,
/// latents of 4.
GgufBytes latent_keys(uint32_t gating) {
  GgufBytes builder;
  builder.string("general.architecture", "deepseek2");
  builder.integer("deepseek2.block_count", 2)
      .integer("deepseek2.context_length", 64)
      .integer("deepseek2.embedding_length", 4)
      .integer("deepseek2.feed_forward_length", 6)
      .integer("deepseek2.leading_dense_block_count", 1)
      .integer("deepseek2.attention.head_count", 2)
      .integer("deepseek2.attention.head_count_kv", 1)
      .integer("deepseek2.attention.key_length", 6)
      .integer("deepseek2.attention.value_length", 4)
      .integer("deepseek2.attention.key_length_mla", 5)
      .integer("deepseek2.attention.value_length_mla", 1)
      .integer("deepseek2.attention.kv_lora_rank", 4)
      .integer("deepseek2.rope.dimension_count", 2)
      .integer("deepseek2.expert_count", 4)
      .integer("deepseek2.expert_used_count", 2)
      .integer("deepseek2.expert_feed_forward_length", 3)
      .integer("deepseek2.expert_shared_count", 2)
      .number("deepseek2.expert_weights_scale", 2.5F)
      .number("deepseek2.attention.layer_norm_rms_epsilon", 1e-6F);
  if (gating > 0) builder.integer("deepseek2.expert_gating_func", gating);
  builder.floats("token_embd.weight", {5, 4}, ramp(20));
  return builder;
}

TEST_F(GgufFamiliesTest, LatentAttentionIsReadAsItIs) {
  GgufBytes keys = latent_keys(0);
  keys.string("deepseek2.rope.scaling.type", "yarn")
      .number("deepseek2.rope.scaling.factor", 40)
      .integer("deepseek2.rope.scaling.original_context_length", 32)
      .number("deepseek2.rope.scaling.yarn_log_multiplier", 0.0707F);
  const ModelConfig config = read_model_config(write(keys));
  EXPECT_EQ(config.model_type, "deepseek_v2");
  EXPECT_EQ(config.moe_layers, std::vector<int>{1});
  EXPECT_EQ(config.shared_intermediate_size, 6);
  EXPECT_EQ(config.router.scale, 2.5);
  EXPECT_FALSE(config.router_choice_bias);
  const auto& attention = std::get<LatentConfig>(config.attention);
  EXPECT_EQ(attention.query_rank, 0);
  EXPECT_EQ(attention.kv_rank, 4);
  EXPECT_EQ(attention.nope_dim, 3);
  EXPECT_EQ(attention.rope_dim, 2);
  EXPECT_EQ(attention.value_dim, 1);
  const Json rope = read_config(folder_ / "m.gguf").json->at("rope_scaling");
  EXPECT_EQ(rope.at("mscale"), 0.707);
  EXPECT_EQ(rope.at("mscale_all_dim"), 0.707);
}

TEST_F(GgufFamiliesTest, TheGatingFunctionTellsDeepSeeksApart) {
  const ModelConfig v3 =
      read_model_config(write(latent_keys(2)
                                  .integer("deepseek2.expert_group_count", 2)
                                  .integer("deepseek2.expert_group_used_count", 1)
                                  .integer("deepseek2.attention.q_lora_rank", 3)
                                  .boolean("deepseek2.expert_weights_norm", true)));
  EXPECT_EQ(v3.model_type, "deepseek_v3");
  EXPECT_TRUE(v3.router_choice_bias);
  EXPECT_TRUE(v3.router.norm_topk);
  EXPECT_EQ(v3.router.groups, 2);
  EXPECT_EQ(v3.router.top_groups, 1);
  EXPECT_EQ(std::get<LatentConfig>(v3.attention).query_rank, 3);
  EXPECT_EQ(read_model_config(write(latent_keys(1))).model_type, "deepseek_v2");
  EXPECT_THAT(refusal(latent_keys(4)),
              HasSubstr("deepseek2.expert_gating_func is 4; expected 1 or 2"));
  EXPECT_THAT(refusal(latent_keys(1).boolean("deepseek2.expert_weights_norm", true)),
              HasSubstr("norm_topk_prob"));
}

TEST_F(GgufFamiliesTest, HalvesOfLatentExpansionsAreJoined) {
  GgufBytes builder = latent_keys(1);
  builder.floats("blk.0.attn_k_b.weight", {2, 4, 3}, ramp(24))
      .floats("blk.0.attn_v_b.weight", {2, 1, 4}, ramp(8, 100))
      .floats("blk.1.attn_kv_b.weight", {8, 4}, ramp(32));
  const auto path = write(builder);
  const tensor::Checkpoint checkpoint = open_checkpoint(path, read_model_config(path));
  const auto name = [](int layer) {
    return "model.layers." + std::to_string(layer) + ".self_attn.kv_b_proj.weight";
  };
  EXPECT_TRUE(torch::equal(checkpoint.tensor(name(1)), torch::arange(32.0F).view({8, 4})));
  const torch::Tensor keys = torch::arange(24.0F).view({2, 4, 3}).transpose(1, 2);
  const torch::Tensor values = torch::arange(100.0F, 108.0F).view({2, 1, 4});
  const torch::Tensor whole = torch::cat({keys, values}, 1).reshape({8, 4});
  EXPECT_TRUE(torch::equal(checkpoint.tensor(name(0)), whole));
  for (int64_t first = 0; first <= 8; ++first) {
    for (int64_t count = 0; first + count <= 8; ++count) {
      EXPECT_TRUE(
          torch::equal(checkpoint.rows(name(0), first, count), whole.narrow(0, first, count)));
      checkpoint.release_rows(name(0), first, count);
    }
  }
  checkpoint.release_pages(name(0));
}

TEST_F(GgufFamiliesTest, HalvesOfLatentExpansionsMustFit) {
  EXPECT_THAT(refusal(latent_keys(1).floats("blk.1.attn_v_b.weight", {2, 1, 4}, ramp(8))),
              HasSubstr("layer 1 has attn_v_b.weight alone"));
  EXPECT_THAT(refusal(latent_keys(1).floats("blk.1.attn_k_b.weight", {2, 3, 4}, ramp(24))),
              HasSubstr("\"blk.1.attn_k_b.weight\" is [2, 3, 4], expected [2, 4, 3]"));
}

TEST_F(GgufFamiliesTest, GptOssIsReadWithWhatNoKeySays) {
  GgufBytes builder;
  builder.string("general.architecture", "gpt-oss");
  for (const auto& [key, value] :
       std::map<std::string, uint32_t>{{"block_count", 2},
                                       {"context_length", 64},
                                       {"embedding_length", 4},
                                       {"feed_forward_length", 3},
                                       {"expert_feed_forward_length", 3},
                                       {"attention.head_count", 2},
                                       {"attention.head_count_kv", 1},
                                       {"attention.key_length", 4},
                                       {"attention.sliding_window", 16},
                                       {"expert_count", 2},
                                       {"expert_used_count", 1},
                                       {"rope.scaling.original_context_length", 32}}) {
    builder.integer("gpt-oss." + key, value);
  }
  builder.string("gpt-oss.rope.scaling.type", "yarn")
      .number("gpt-oss.rope.scaling.factor", 32)
      .number("gpt-oss.attention.layer_norm_rms_epsilon", 1e-5F)
      .floats("token_embd.weight", {5, 4}, ramp(20))
      .floats("blk.0.attn_q.bias", {8}, ramp(8))
      .floats("blk.1.ffn_gate_exps.weight", {2, 3, 4}, ramp(24))
      .floats("blk.1.ffn_gate_exps.bias", {2, 3}, ramp(6))
      .floats("blk.1.ffn_down_exps.bias", {2, 4}, ramp(8))
      .floats("blk.1.post_attention_norm.weight", {4}, ramp(4))
      .floats("blk.1.attn_sinks.weight", {2}, ramp(2));
  const auto path = write(builder);
  const ModelConfig config = read_model_config(path);
  EXPECT_EQ(config.model_type, "gpt_oss");
  EXPECT_EQ(config.router.score, trace::RouterSpec::Score::kSoftmaxOfChosen);
  EXPECT_EQ(config.expert_intermediate_size, 3);
  const auto& attention = std::get<GroupedQueryConfig>(config.attention);
  EXPECT_EQ(attention.windows, (std::vector<int64_t>{16, 0}));
  EXPECT_TRUE(attention.qkv_bias);
  EXPECT_TRUE(attention.sinks);
  EXPECT_EQ(read_config(path).json->at("rope_scaling").at("truncate"), false);
  const tensor::Checkpoint checkpoint = open_checkpoint(path, config);
  const std::string expert = "model.layers.1.mlp.experts.1.";
  EXPECT_TRUE(torch::equal(checkpoint.tensor(expert + "gate_proj.bias"),
                           torch::tensor({3.0F, 4.0F, 5.0F})));
  EXPECT_TRUE(torch::equal(checkpoint.tensor(expert + "down_proj.bias"),
                           torch::tensor({4.0F, 5.0F, 6.0F, 7.0F})));
  EXPECT_TRUE(torch::equal(checkpoint.tensor(expert + "gate_proj.weight"),
                           torch::arange(12.0F, 24.0F).view({3, 4})));
  EXPECT_NE(checkpoint.find("model.layers.1.self_attn.sinks"), nullptr);
  EXPECT_NE(checkpoint.find("model.layers.1.post_attention_layernorm.weight"), nullptr);
}

}  // namespace
}  // namespace foregate::models
