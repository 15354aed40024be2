#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/types.h>

#include <nlohmann/json.hpp>

#include "models/gguf/gguf_checkpoint.h"
#include "models/gguf/gguf_config.h"
#include "models/model_files.h"
#include "models/registry.h"
#include "models/weights/weight_digests.h"
#include "models/weights/weight_plan.h"
#include "support/gguf_bytes.h"
#include "support/temporary_folder.h"
#include "support/test_files.h"

namespace foregate::models {
namespace {

using ::testing::AllOf;
using testing::error_of;
using testing::GgufBytes;
using ::testing::HasSubstr;
using testing::ramp;

/// Mixtral in miniature: 2 layers, hidden 4, 2 heads of 2, 2 experts of 3.
class GgufModelTest : public ::testing::Test {
 protected:
  static GgufBytes keys(const char* without = "") {
    GgufBytes builder;
    builder.string("general.architecture", "llama");
    const auto integer = [&](const std::string& key, uint32_t value) {
      if (key != without) builder.integer(key, value);
    };
    integer("llama.block_count", 2);
    integer("llama.context_length", 64);
    integer("llama.embedding_length", 4);
    integer("llama.feed_forward_length", 3);
    integer("llama.attention.head_count", 2);
    integer("llama.attention.head_count_kv", 1);
    integer("llama.expert_count", 2);
    integer("llama.expert_used_count", 1);
    builder.number("llama.attention.layer_norm_rms_epsilon", 1e-5F);
    builder.number("llama.rope.freq_base", 1e6F);
    builder.integer("tokenizer.ggml.eos_token_id", 2);
    return builder;
  }
  static void add_outer(GgufBytes& builder) {
    builder.floats("token_embd.weight", {5, 4}, ramp(20))
        .floats("output_norm.weight", {4}, ramp(4));
  }
  static void add_layer(GgufBytes& builder, int layer, const std::string& without = "") {
    const auto add = [&](const std::string& name, const std::vector<uint64_t>& shape,
                         size_t count) {
      if (name != without) {
        builder.floats("blk." + std::to_string(layer) + "." + name, shape, ramp(count));
      }
    };
    add("attn_norm.weight", {4}, 4);
    add("attn_q.weight", {4, 4}, 16);
    add("attn_k.weight", {2, 4}, 8);
    add("attn_v.weight", {2, 4}, 8);
    add("attn_output.weight", {4, 4}, 16);
    add("ffn_norm.weight", {4}, 4);
    add("ffn_gate_inp.weight", {2, 4}, 8);
    add("ffn_gate_exps.weight", {2, 3, 4}, 24);
    add("ffn_up_exps.weight", {2, 3, 4}, 24);
    add("ffn_down_exps.weight", {2, 4, 3}, 24);
  }
  std::filesystem::path write(const GgufBytes& builder, const char* name = "m.gguf") {
    return folder_.write(name, builder.bytes());
  }
  std::filesystem::path write_whole(GgufBytes builder = keys()) {
    add_outer(builder);
    for (const int layer : {0, 1}) add_layer(builder, layer);
    return write(builder);
  }
  static std::string refusal(const std::filesystem::path& path) {
    return error_of([&] {
      const ModelConfig config = read_model_config(path);
      const tensor::Checkpoint checkpoint = open_checkpoint(path, config);
      const WeightNames names = choose_names(config, checkpoint);
      verify_weights(checkpoint, plan_weights(config, names, checkpoint, false), config, names);
    });
  }

  testing::TemporaryFolder folder_;
};

TEST_F(GgufModelTest, KeysAreReadAsAConfig) {
  const ModelConfig config = read_model_config(write_whole());
  EXPECT_EQ(config.model_type, "mixtral");
  EXPECT_EQ(config.vocab_size, 5);
  EXPECT_EQ(config.hidden_size, 4);
  EXPECT_EQ(config.num_layers, 2);
  EXPECT_EQ(config.max_positions, 64);
  EXPECT_EQ(config.rms_norm_epsilon, 1e-5);
  EXPECT_TRUE(config.tie_word_embeddings);
  EXPECT_EQ(config.num_experts, 2);
  EXPECT_EQ(config.top_k, 1);
  EXPECT_EQ(config.expert_intermediate_size, 3);
  const auto& attention = std::get<GroupedQueryConfig>(config.attention);
  EXPECT_EQ(attention.num_heads, 2);
  EXPECT_EQ(attention.num_kv_heads, 1);
  EXPECT_EQ(attention.head_dim, 2);
  EXPECT_EQ(attention.rotary, nn::plain_rotary(2, 1e6));
  EXPECT_EQ(read_config(folder_ / "m.gguf").json->at("eos_token_id"), Json::array({2}));
}

TEST_F(GgufModelTest, ExpertsAreCutFromTheirStacks) {
  const auto path = write_whole();
  const ModelConfig config = read_model_config(path);
  const tensor::Checkpoint checkpoint = open_checkpoint(path, config);
  const std::string expert = "model.layers.1.block_sparse_moe.experts.1.";
  EXPECT_TRUE(torch::equal(checkpoint.tensor(expert + "w1.weight"),
                           torch::arange(12.0F, 24.0F).view({3, 4})));
  EXPECT_TRUE(torch::equal(checkpoint.tensor(expert + "w2.weight"),
                           torch::arange(12.0F, 24.0F).view({4, 3})));
  EXPECT_TRUE(torch::equal(checkpoint.rows(expert + "w3.weight", 1, 2),
                           torch::arange(16.0F, 24.0F).view({2, 4})));
}

TEST_F(GgufModelTest, RowsOfHeadsComeInOrder) {
  GgufBytes builder = keys();
  builder.integer("llama.attention.key_length", 4);
  add_outer(builder);
  // Row r holds r: two heads of four.
  std::vector<float> rows;
  for (int row = 0; row < 8; ++row) rows.insert(rows.end(), 4, static_cast<float>(row));
  builder.floats("blk.0.attn_q.weight", {8, 4}, rows);
  const auto path = write(builder);
  const ModelConfig config = read_model_config(path);
  const tensor::Checkpoint checkpoint = open_checkpoint(path, config);
  const std::string name = "model.layers.0.self_attn.q_proj.weight";
  const torch::Tensor ordered = torch::tensor({0.0F, 2.0F, 1.0F, 3.0F, 4.0F, 6.0F, 5.0F, 7.0F});
  EXPECT_TRUE(torch::equal(checkpoint.tensor(name).select(1, 0), ordered));
  for (int64_t first = 0; first < 8; ++first) {
    for (int64_t count = 1; first + count <= 8; ++count) {
      EXPECT_TRUE(torch::equal(checkpoint.rows(name, first, count).select(1, 3),
                               ordered.narrow(0, first, count)));
      checkpoint.release_rows(name, first, count);
    }
  }
}

TEST_F(GgufModelTest, AWholeModelIsAccepted) {
  EXPECT_EQ(refusal(write_whole()), "no error");
}

TEST_F(GgufModelTest, MissingTensorsGoByTheirNamesInTheFile) {
  GgufBytes builder = keys();
  add_outer(builder);
  add_layer(builder, 0, "attn_k.weight");
  add_layer(builder, 1, "ffn_up_exps.weight");
  EXPECT_THAT(refusal(write(builder)),
              AllOf(HasSubstr("its header describes"), HasSubstr("2 missing"),
                    HasSubstr("blk.0.attn_k.weight"), HasSubstr("blk.1.ffn_up_exps.weight")));
}

TEST_F(GgufModelTest, UnknownTensorsAreRefusedButBehindTheLastLayer) {
  GgufBytes builder = keys();
  builder.floats("blk.2.nextn.eh_proj.weight", {2, 2}, ramp(4));
  EXPECT_EQ(refusal(write_whole(builder)), "no error");
  builder.floats("blk.1.attn_sinks.weight", {2}, ramp(2));
  EXPECT_THAT(
      refusal(write_whole(builder)),
      HasSubstr("tensor \"blk.1.attn_sinks.weight\" is none that models of architecture llama"));
  EXPECT_THAT(refusal(write_whole(keys().floats("blk.0.attn_k_b.weight", {2, 4, 3}, ramp(24)))),
              HasSubstr("tensor \"blk.0.attn_k_b.weight\" is none that models of"));
  builder = keys();
  builder.floats("rope_freqs.weight", {1}, ramp(1));
  EXPECT_THAT(refusal(write_whole(builder)), HasSubstr("tensor \"rope_freqs.weight\""));
}

TEST_F(GgufModelTest, MissingKeysAreNamed) {
  for (const char* key : {"llama.block_count", "llama.context_length", "llama.embedding_length",
                          "llama.feed_forward_length", "llama.attention.head_count",
                          "llama.expert_count", "llama.expert_used_count"}) {
    EXPECT_THAT(refusal(write_whole(keys(key))), HasSubstr(key));
  }
}

TEST_F(GgufModelTest, WhatIsNotImplementedIsRefused) {
  GgufBytes other;
  other.string("general.architecture", "gemma3").floats("token_embd.weight", {5, 4}, ramp(20));
  EXPECT_THAT(refusal(write(other)), AllOf(HasSubstr("general.architecture is \"gemma3\""),
                                           HasSubstr("qwen2moe"), HasSubstr("deepseek")));
  EXPECT_THAT(refusal(write_whole(keys("llama.expert_count").integer("llama.expert_count", 0))),
              HasSubstr("llama.expert_count is 0; expected a number of experts"));
  EXPECT_THAT(refusal(write_whole(keys().integer("llama.expert_gating_func", 2))),
              HasSubstr("llama.expert_gating_func is 2"));
  EXPECT_THAT(refusal(write_whole(keys().number("llama.expert_weights_scale", 2.5F))),
              HasSubstr("llama.expert_weights_scale is 2.5"));
  EXPECT_THAT(refusal(write_whole(keys().string("llama.rope.scaling.type", "linear"))),
              HasSubstr("\"linear\""));
  EXPECT_THAT(refusal(write_whole(keys().integer("llama.attention.sliding_window", 16))),
              HasSubstr("'sliding_window' is 16"));
  EXPECT_THAT(refusal(write(keys())), HasSubstr("there is no matrix token_embd.weight"));
}

TEST_F(GgufModelTest, ASplitModelIsOneModel) {
  GgufBytes first = keys();
  first.integer("split.count", 2).integer("split.no", 0);
  add_outer(first);
  add_layer(first, 0);
  GgufBytes second;
  second.integer("split.count", 2).integer("split.no", 1);
  add_layer(second, 1);
  write(first, "m-00001-of-00002.gguf");
  EXPECT_THAT(refusal(folder_ / "m-00001-of-00002.gguf"),
              HasSubstr("part m-00002-of-00002.gguf is missing"));
  const auto path = write(second, "m-00002-of-00002.gguf");
  EXPECT_EQ(refusal(path), "no error");
  EXPECT_EQ(refusal(folder_ / "m-00001-of-00002.gguf"), "no error");
  const ModelConfig config = read_model_config(path);
  EXPECT_EQ(weight_digests(path, config).size(), 2U);
  EXPECT_EQ(config_digest(path), config_digest(folder_ / "m-00001-of-00002.gguf"));
  write(first, "m-00002-of-00002.gguf");
  EXPECT_THAT(refusal(path), HasSubstr("split.no is 0; expected 1"));
  write(first, "alone.gguf");
  EXPECT_THAT(refusal(folder_ / "alone.gguf"), HasSubstr("split.count is 2; expected 1"));
}

TEST_F(GgufModelTest, DigestsNoticeOneNumberOfARouter) {
  GgufBytes builder = keys();
  add_outer(builder);
  add_layer(builder, 0);
  add_layer(builder, 1);
  std::string bytes = builder.bytes();
  const auto path = folder_.write("m.gguf", bytes);
  const ModelConfig config = read_model_config(path);
  const auto before = weight_digests(path, config);
  ASSERT_EQ(before.size(), 1U);
  EXPECT_EQ(before[0].file, "m.gguf");
  EXPECT_EQ(weight_digests(path, config), before);
  const GgufHeader header(bytes, "m");
  const auto router =
      std::ranges::find(header.tensors(), "blk.1.ffn_gate_inp.weight", &GgufTensor::name);
  bytes[router->end - 2] ^= 1;
  folder_.write("m.gguf", bytes);
  EXPECT_NE(weight_digests(path, config), before);
}

}  // namespace
}  // namespace foregate::models
