#include "models/weights/layer_spec.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/types.h>

#include <numeric>

#include "models/registry.h"

namespace foregate::models {
namespace {

using ::testing::ElementsAre;

// Two dense and two sparse layers with everything that an architecture may have.
ModelConfig rich_config() {
  ModelConfig config;
  config.vocab_size = 10;
  config.hidden_size = 8;
  config.num_layers = 4;
  config.attention = GroupedQueryConfig{.num_heads = 4,
                                        .num_kv_heads = 2,
                                        .head_dim = 6,
                                        .qkv_bias = true,
                                        .qk_norm = QkNorm::kProjection};
  config.dense_intermediate_size = 9;
  config.moe_layers = {1, 3};
  config.num_experts = 3;
  config.top_k = 2;
  config.expert_intermediate_size = 5;
  config.shared_intermediate_size = 7;
  config.shared_expert_gate = true;
  return config;
}

WeightNames rich_names() {
  WeightNames names = llama_weight_names();
  add_qk_norm_names(names);
  add_dense_mlp_names(names);
  add_mlp_expert_names(names);
  names.shared_gate = "shared.{L}.gate";
  names.shared_up = "shared.{L}.up";
  names.shared_down = "shared.{L}.down";
  names.shared_expert_gate = "shared.{L}.scale";
  return names;
}

std::vector<std::string> names_of(const std::vector<WeightSpec>& specs) {
  std::vector<std::string> names;
  for (const PartTensor& tensor : tensors_of(specs)) names.push_back(tensor.name());
  return names;
}

TEST(DescribeLayer, ListsTensorsInTheOrderOfCheckpoints) {
  const std::string layer = "model.layers.3.";
  EXPECT_THAT(
      names_of(describe_layer(rich_config(), rich_names(), 3)),
      ElementsAre(layer + "input_layernorm.weight", layer + "self_attn.q_proj.weight",
                  layer + "self_attn.q_proj.bias", layer + "self_attn.k_proj.weight",
                  layer + "self_attn.k_proj.bias", layer + "self_attn.v_proj.weight",
                  layer + "self_attn.v_proj.bias", layer + "self_attn.q_norm.weight",
                  layer + "self_attn.k_norm.weight", layer + "self_attn.o_proj.weight",
                  layer + "post_attention_layernorm.weight", layer + "mlp.gate.weight",
                  layer + "mlp.experts.0.gate_proj.weight", layer + "mlp.experts.0.up_proj.weight",
                  layer + "mlp.experts.0.down_proj.weight",
                  layer + "mlp.experts.1.gate_proj.weight", layer + "mlp.experts.1.up_proj.weight",
                  layer + "mlp.experts.1.down_proj.weight",
                  layer + "mlp.experts.2.gate_proj.weight", layer + "mlp.experts.2.up_proj.weight",
                  layer + "mlp.experts.2.down_proj.weight", "shared.3.gate", "shared.3.up",
                  "shared.3.down", "shared.3.scale"));
}

TEST(DescribeLayer, DenseLayersHaveOneMlp) {
  const std::vector<WeightSpec> specs = describe_layer(rich_config(), rich_names(), 2);
  const std::vector<std::string> names = names_of(specs);
  EXPECT_THAT(
      std::vector<std::string>(names.end() - 3, names.end()),
      ElementsAre("model.layers.2.mlp.gate_proj.weight", "model.layers.2.mlp.up_proj.weight",
                  "model.layers.2.mlp.down_proj.weight"));
  for (const WeightSpec& spec : specs) EXPECT_EQ(spec.role, Role::kRouting);
}

TEST(DescribeLayer, FusedExpertsAreTwoTensors) {
  const std::vector<WeightSpec> specs =
      describe_layer(rich_config(), rich_names(), 1, {.fused = true});
  std::vector<std::vector<int64_t>> shapes;
  for (const PartTensor& tensor : tensors_of(specs)) {
    if (tensor.weight->role == Role::kRoutedExperts) shapes.push_back(tensor.shape());
  }
  EXPECT_THAT(shapes, ElementsAre(ElementsAre(3, 10, 8), ElementsAre(3, 8, 5)));
}

TEST(DescribeLayer, FusedExpertsMayLieTransposed) {
  ModelConfig config = rich_config();
  config.expert_bias = true;
  const std::vector<WeightSpec> specs = describe_layer(
      config, rich_names(), 1,
      {.fused = true, .transposed = true, .interleaved = true, .bias_interleaved = true});
  std::vector<std::vector<int64_t>> shapes;
  std::vector<bool> interleaved;
  for (const PartTensor& tensor : tensors_of(specs)) {
    if (tensor.weight->role != Role::kRoutedExperts) continue;
    shapes.push_back(tensor.shape());
    interleaved.push_back(tensor.part->arrangement.interleaved);
  }
  EXPECT_THAT(shapes, ElementsAre(ElementsAre(3, 8, 10), ElementsAre(3, 5, 8), ElementsAre(3, 10),
                                  ElementsAre(3, 8)));
  EXPECT_THAT(interleaved, ElementsAre(true, false, true, false));
}

// However a checkpoint is cut up: all of every weight comes from somewhere, nothing twice.
TEST(DescribeLayer, TensorsFillTheirWeightsExactly) {
  for (const int64_t layer : {0, 1}) {
    for (const bool fused : {false, true}) {
      const std::vector<WeightSpec> specs =
          describe_layer(rich_config(), rich_names(), layer, {.fused = fused});
      for (const WeightSpec& spec : specs) {
        const torch::Tensor filled = torch::zeros(spec.shape);
        for (const PartTensor& tensor : tensors_of({&spec, 1})) {
          tensor::Weight rows = tensor.rows_of(filled);
          ASSERT_EQ(rows.sizes(), tensor.shape());
          rows.dense().add_(1);
        }
        EXPECT_TRUE(filled.eq(1).all().item<bool>());
      }
    }
  }
}

TEST(DescribeLayer, EveryWeightHasItsPlace) {
  LayerWeights layer;
  for (const WeightSpec& spec : describe_layer(rich_config(), rich_names(), 1)) {
    spec.set(layer, torch::zeros(spec.shape));
  }
  const auto& attention = std::get<GroupedQueryAttention>(layer.attention);
  EXPECT_EQ(attention.qkv.sizes(), (std::vector<int64_t>{48, 8}));
  EXPECT_EQ(attention.key_norm.sizes(), (std::vector<int64_t>{12}));
  EXPECT_EQ(attention.output.sizes(), (std::vector<int64_t>{8, 24}));
  ASSERT_NE(layer.moe(), nullptr);
  EXPECT_EQ(layer.moe()->router.sizes(), (std::vector<int64_t>{3, 8}));
  EXPECT_EQ(layer.moe()->experts.down.sizes(), (std::vector<int64_t>{3, 8, 5}));
  EXPECT_EQ(layer.moe()->shared.gate_up.sizes(), (std::vector<int64_t>{14, 8}));
  EXPECT_EQ(layer.moe()->shared_gate.sizes(), (std::vector<int64_t>{1, 8}));
}

TEST(DescribeLayer, OnlyTheLargeMatricesAreQuantizable) {
  std::vector<size_t> dimensions;
  for (const WeightSpec& spec : describe_layer(rich_config(), rich_names(), 1)) {
    if (spec.keep == Keep::kQuantizable) dimensions.push_back(spec.shape.size());
    if (spec.keep == Keep::kFloat32) {
      EXPECT_THAT(spec.shape, ElementsAre(3, 8));
    }
  }
  EXPECT_THAT(dimensions, ElementsAre(2, 2, 3, 3, 2, 2));  // qkv, o, experts, shared expert
}

}  // namespace
}  // namespace foregate::models
