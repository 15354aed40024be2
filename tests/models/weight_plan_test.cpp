#include "models/weights/weight_plan.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/types.h>

#include <algorithm>

#include "models/registry.h"
#include "models/weights/loader.h"
#include "support/recorded_run.h"
#include "support/temporary_folder.h"
#include "support/test_files.h"
#include "tensor/files/safetensors.h"

namespace foregate::models {
namespace {

using ::testing::AllOf;
using testing::error_of;
using ::testing::HasSubstr;
using ::testing::Not;
using testing::TemporaryFolder;

ModelConfig small_config() {
  ModelConfig config;
  config.model_type = "qwen2_moe";
  config.vocab_size = 10;
  config.hidden_size = 8;
  config.num_layers = 2;
  config.max_positions = 16;
  config.attention =
      GroupedQueryConfig{.num_heads = 2, .num_kv_heads = 2, .head_dim = 4, .qkv_bias = true};
  config.dense_intermediate_size = 6;
  config.moe_layers = {1};
  config.num_experts = 3;
  config.top_k = 1;
  config.expert_intermediate_size = 5;
  config.shared_intermediate_size = 7;
  config.shared_expert_gate = true;
  config.spellings = known_architectures().find("qwen2_moe").spellings;
  return config;
}

const GroupedQueryAttention& attention_of(const DecoderWeights& weights, size_t layer) {
  return std::get<GroupedQueryAttention>(weights.layers[layer].attention);
}

using Tensors = std::vector<std::pair<std::string, torch::Tensor>>;

class WeightPlanTest : public ::testing::Test {
 protected:
  void SetUp() override {
    tensor::write_safetensors(folder_ / "model.safetensors", {{"none", torch::zeros({1})}});
    for (const auto& tensor :
         plan_weights(config_, names_, tensor::Checkpoint(folder_.path()), false)) {
      tensors_.emplace_back(tensor.name, torch::randn(tensor.shape));
    }
  }
  void remove(const std::string& name) {
    std::erase_if(tensors_, [&](const auto& tensor) { return tensor.first == name; });
  }
  std::string load_error(bool routing_only = true) {
    tensor::write_safetensors(folder_ / "model.safetensors", tensors_);
    return error_of([&] { load_weights(folder_.path(), config_, {.routing_only = routing_only}); });
  }

  TemporaryFolder folder_;
  ModelConfig config_ = small_config();
  WeightNames names_ = config_.spellings.front();
  Tensors tensors_;
};

TEST_F(WeightPlanTest, CompleteCheckpointLoads) {
  EXPECT_EQ(load_error(false), "no error");
  EXPECT_EQ(tensors_.size(), 1U + 2 * 9 + 3 + (1 + 9 + 3 + 1) + 2);
}

TEST_F(WeightPlanTest, RoutingNeedsNoHead) {
  remove("lm_head.weight");
  EXPECT_EQ(load_error(true), "no error");
  EXPECT_THAT(load_error(false), HasSubstr("1 missing: lm_head.weight"));
  config_.tie_word_embeddings = true;
  EXPECT_EQ(load_error(false), "no error");
}

TEST_F(WeightPlanTest, NamesMissingTensors) {
  for (int expert = 0; expert < 3; ++expert) {
    for (const char* part : {"gate_proj", "up_proj"}) {
      remove("model.layers.1.mlp.experts." + std::to_string(expert) + "." + part + ".weight");
    }
  }
  EXPECT_THAT(load_error(),
              AllOf(HasSubstr("6 missing: model.layers.1.mlp.experts.0.gate_proj.weight"),
                    HasSubstr("and 2 more")));
}

TEST_F(WeightPlanTest, NamesUnexpectedTensors) {
  tensors_.emplace_back("model.layers.0.self_attn.q_norm.weight", torch::ones({4}));
  tensors_.emplace_back("model.layers.0.self_attn.rotary_emb.inv_freq", torch::ones({2}));
  EXPECT_THAT(load_error(), AllOf(HasSubstr("1 unexpected: model.layers.0.self_attn.q_norm.weight"),
                                  Not(HasSubstr("inv_freq"))));
}

TEST_F(WeightPlanTest, NamesWrongShapesAndDtypes) {
  for (auto& [name, tensor] : tensors_) {
    if (name == "model.norm.weight") tensor = torch::ones({9});
    if (name == "model.layers.1.mlp.gate.weight") tensor = tensor.to(torch::kInt32);
  }
  EXPECT_THAT(load_error(), AllOf(HasSubstr("2 of the wrong shape or dtype"),
                                  HasSubstr("model.norm.weight is F32 [9], expected a float [8]"),
                                  HasSubstr("model.layers.1.mlp.gate.weight is I32 [3, 8]")));
}

TEST_F(WeightPlanTest, FusesWhatIsMultipliedTogether) {
  tensor::write_safetensors(folder_ / "model.safetensors", tensors_);
  const DecoderWeights weights = load_weights(folder_.path(), config_, {.routing_only = false});
  const auto tensor = [&](const std::string& name) {
    return std::find_if(tensors_.begin(), tensors_.end(),
                        [&](const auto& t) { return t.first == name; })
        ->second;
  };
  const std::string experts = "model.layers.1.mlp.experts.";
  const auto& gate_up = weights.layers[1].moe()->experts.gate_up.dense();
  EXPECT_TRUE(torch::equal(gate_up[2].slice(0, 0, 5), tensor(experts + "2.gate_proj.weight")));
  EXPECT_TRUE(torch::equal(gate_up[2].slice(0, 5), tensor(experts + "2.up_proj.weight")));
  EXPECT_TRUE(torch::equal(attention_of(weights, 0).qkv.dense().slice(0, 8, 16),
                           tensor("model.layers.0.self_attn.k_proj.weight")));
  EXPECT_TRUE(torch::equal(attention_of(weights, 0).qkv_bias.slice(0, 16),
                           tensor("model.layers.0.self_attn.v_proj.bias")));
}

TEST_F(WeightPlanTest, QuantizesMatricesAndNothingElse) {
  tensor::write_safetensors(folder_ / "model.safetensors", tensors_);
  const DecoderWeights plain = load_weights(folder_.path(), config_, {.routing_only = false});
  for (const tensor::Quantization kind :
       {tensor::Quantization::kInt8, tensor::Quantization::kNf4}) {
    const DecoderWeights weights =
        load_weights(folder_.path(), config_, {.quantization = kind, .routing_only = false});
    const auto expect_quantized = [&](const tensor::Weight& actual, const tensor::Weight& source) {
      tensor::Weight expected =
          tensor::Weight::empty(source.sizes(), kind, torch::kCPU, torch::kFloat32);
      expected.assign(source, "expected");
      ASSERT_EQ(actual.quantization(), kind);
      EXPECT_TRUE(torch::equal(actual.codes(), expected.codes()));
      EXPECT_TRUE(torch::equal(actual.scales(), expected.scales()));
    };
    for (size_t i = 0; i < 2; ++i) {
      expect_quantized(attention_of(weights, i).qkv, attention_of(plain, i).qkv);
      expect_quantized(attention_of(weights, i).output, attention_of(plain, i).output);
      EXPECT_TRUE(torch::equal(attention_of(weights, i).qkv_bias, attention_of(plain, i).qkv_bias));
    }
    expect_quantized(std::get<nn::MlpWeights>(weights.layers[0].mlp).gate_up,
                     std::get<nn::MlpWeights>(plain.layers[0].mlp).gate_up);
    const MoeWeights& moe = *weights.layers[1].moe();
    const MoeWeights& plain_moe = *plain.layers[1].moe();
    expect_quantized(moe.experts.gate_up, plain_moe.experts.gate_up);
    expect_quantized(moe.experts.down, plain_moe.experts.down);
    expect_quantized(moe.shared.down, plain_moe.shared.down);
    EXPECT_TRUE(torch::equal(moe.router, plain_moe.router));
    EXPECT_TRUE(torch::equal(moe.shared_gate, plain_moe.shared_gate));
    EXPECT_TRUE(torch::equal(weights.embedding, plain.embedding));
    EXPECT_TRUE(torch::equal(weights.lm_head, plain.lm_head));
  }
}

TEST_F(WeightPlanTest, NamesTheTensorThatCannotBeQuantized) {
  for (auto& [name, tensor] : tensors_) {
    if (name == "model.layers.0.mlp.up_proj.weight") tensor[1][2] = INFINITY;
  }
  tensor::write_safetensors(folder_ / "model.safetensors", tensors_);
  EXPECT_THAT(error_of([&] {
                load_weights(folder_.path(), config_,
                             {.quantization = tensor::Quantization::kInt8});
              }),
              AllOf(HasSubstr("model.layers.0.mlp.up_proj.weight"), HasSubstr("not finite")));
}

TEST_F(WeightPlanTest, RoutingLeavesOutTheLastExperts) {
  tensor::write_safetensors(folder_ / "model.safetensors", tensors_);
  const DecoderWeights weights = load_weights(folder_.path(), config_, {.routing_only = true});
  EXPECT_FALSE(weights.layers[1].moe()->experts.gate_up.defined());
  EXPECT_FALSE(weights.layers[1].moe()->shared.gate_up.defined());
  EXPECT_FALSE(weights.lm_head.defined());
}

// What the checkpoint has beyond the config: whether it loads, and what is said.
TEST_F(WeightPlanTest, WhatRoutingDoesNotNeedIsPassedOver) {
  const std::vector<std::string> unneeded = {"mtp.layers.0.mlp.gate.weight",
                                             "model.layers.2.self_attn.q_proj.weight",
                                             "model.layers.61.embed_tokens.weight",
                                             "v_head.summary.weight",
                                             "score.weight",
                                             "lm_head.bias",
                                             "visual.blocks.0.attn.qkv.weight",
                                             "model.visual.merger.mlp.0.weight",
                                             "model.mtp.norm.weight",
                                             "optimizer.step"};
  for (const std::string& name : unneeded) tensors_.emplace_back(name, torch::ones({2}));
  tensor::write_safetensors(folder_ / "model.safetensors", tensors_);
  testing::RecordedRun run;
  load_weights(folder_.path(), config_, {.log = &run.context().log});
  ASSERT_EQ(run.messages().size(), 1U);
  EXPECT_THAT(run.messages()[0],
              AllOf(HasSubstr("10 tensors that routing does not need are passed over"),
                    HasSubstr("lm_head.bias"), HasSubstr("and 6 more")));
}

// DeepSeek-V3.2's indexer is known, and nothing else in the layers.
TEST_F(WeightPlanTest, WhatAnArchitectureLeavesUnreadIsPassedOver) {
  config_.spellings.front().unread = {"model.layers.{L}.self_attn.indexer."};
  tensors_.emplace_back("model.layers.1.self_attn.indexer.wk.weight", torch::ones({2}));
  EXPECT_EQ(load_error(), "no error");
  tensors_.emplace_back("model.layers.1.self_attn.index.wk.weight", torch::ones({2}));
  EXPECT_THAT(load_error(), HasSubstr("1 unexpected: model.layers.1.self_attn.index.wk.weight"));
}

TEST_F(WeightPlanTest, WhatMayConcernRoutingIsRefused) {
  const Tensors complete = tensors_;
  for (const std::string name :
       {"model.layers.1.mlp.experts.3.gate_proj.weight", "model.layers.0.mlp.gate.weight",
        "model.layers.1.mlp.gate.e_score_correction_bias", "model.layers.1.mlp.gate.bias",
        "model.layers.0.self_attn.o_proj.bias", "model.layers.x.weight", "model.embed_norm.weight",
        "model.layers.0.self_attn.q_proj.lora_A.weight",
        "base_model.model.model.layers.0.self_attn.q_proj.lora_B.weight",
        "model.layers.1.mlp.experts.0.gate_proj.qweight"}) {
    tensors_.emplace_back(name, torch::ones({2}));
    EXPECT_THAT(load_error(), HasSubstr("1 unexpected: " + name));
    tensors_ = complete;
  }
}

TEST_F(WeightPlanTest, OtherNamesAreShownWhereTensorsAreMissing) {
  for (auto& [name, tensor] : tensors_) name = "language_model." + name;
  EXPECT_THAT(load_error(), AllOf(HasSubstr("missing: model.embed_tokens.weight"),
                                  HasSubstr("of other names: language_model.")));
}

TEST_F(WeightPlanTest, AHeadOfAnotherSizeIsNoMatterOfRouting) {
  remove("lm_head.weight");
  tensors_.emplace_back("lm_head.weight", torch::ones({12, 8}));
  EXPECT_EQ(load_error(true), "no error");
  EXPECT_THAT(load_error(false),
              HasSubstr("lm_head.weight is F32 [12, 8], expected a float [10, 8]"));
}

/// A GPTQ checkpoint with one matrix, its zeros stored as `zero`.
class GptqLabelTest : public ::testing::Test {
 protected:
  CheckpointFormat settle(int64_t bits, int64_t zero, bool minus_one,
                          std::optional<bool> symmetric) {
    int64_t word = 0;
    for (int64_t at = 0; at < 32; at += bits) word |= zero << at;
    tensor::write_safetensors(
        folder_ / "model.safetensors",
        {{"m.qzeros",
          torch::full({2, 3}, static_cast<int32_t>(static_cast<uint32_t>(word)), torch::kInt32)}});
    CheckpointFormat storage{.kind = CheckpointFormat::Kind::kGptq};
    storage.gptq.group_size = -1;
    storage.gptq.bits = bits;
    storage.gptq.zeros_minus_one = minus_one;
    storage.gptq.symmetric = symmetric;
    const std::vector<ExpectedTensor> plan = {
        {.name = "n.weight", .shape = {8, 8}, .quantizable = true},
        {.name = "m.weight", .shape = {8, 8}, .quantizable = true}};
    return settled_storage(tensor::Checkpoint(folder_.path()), plan, storage, run_.context().log);
  }

  TemporaryFolder folder_;
  testing::RecordedRun run_;
};

TEST_F(GptqLabelTest, ZerosOfSymmetricCheckpointsTellTheVersion) {
  for (const int64_t bits : {4, 8}) {
    const int64_t middle = int64_t{1} << (bits - 1);
    for (const std::optional<bool> symmetric : {std::optional<bool>(true), std::optional<bool>()}) {
      EXPECT_TRUE(settle(bits, middle - 1, true, symmetric).gptq.zeros_minus_one);
      EXPECT_FALSE(settle(bits, middle, false, symmetric).gptq.zeros_minus_one);
      EXPECT_TRUE(run_.messages().empty());
    }
  }
  EXPECT_FALSE(settle(4, 8, true, true).gptq.zeros_minus_one);
  ASSERT_EQ(run_.messages().size(), 1U);
  EXPECT_THAT(run_.messages()[0], AllOf(HasSubstr("m.qzeros stores every zero as 8"),
                                        HasSubstr("gptq_v2"), HasSubstr("checkpoint_format")));
  EXPECT_TRUE(settle(4, 7, false, true).gptq.zeros_minus_one);
  EXPECT_EQ(run_.messages().size(), 2U);
}

TEST_F(GptqLabelTest, ALabelWithoutPackedMatricesIsTold) {
  tensor::write_safetensors(folder_ / "model.safetensors", {{"m.weight", torch::ones({8, 8})}});
  CheckpointFormat storage{.kind = CheckpointFormat::Kind::kGptq};
  storage.gptq.group_size = -1;
  settled_storage(tensor::Checkpoint(folder_.path()),
                  {{.name = "m.weight", .shape = {8, 8}, .quantizable = true}}, storage,
                  run_.context().log);
  ASSERT_EQ(run_.messages().size(), 1U);
  EXPECT_THAT(run_.messages()[0], HasSubstr("every matrix is stored as floats"));
}

TEST_F(GptqLabelTest, OtherZerosTellNothing) {
  EXPECT_TRUE(settle(4, 8, true, false).gptq.zeros_minus_one);  // said to be asymmetric
  EXPECT_TRUE(settle(4, 3, true, true).gptq.zeros_minus_one);   // refused when the matrix is read
  EXPECT_TRUE(run_.messages().empty());
}

}  // namespace
}  // namespace foregate::models
