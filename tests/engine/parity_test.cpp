// The engine against transformers, by the goldens of tests/models/goldens.

#include <gtest/gtest.h>
#include <torch/types.h>

#include <string>

#include "model_test.h"
#include "routing_recorder.h"
#include "tensor/dtype.h"
#include "tensor/files/safetensors.h"

namespace foregate::engine {
namespace {

using testing::RoutingRecorder;

struct Golden {
  explicit Golden(const std::string& name) {
    const tensor::SafetensorsFile file(testing::goldens() / name / "golden.safetensors");
    const torch::Tensor ids = file.tensor("token_ids");
    const torch::Tensor ends = file.tensor("cu_seqlens");
    batch.token_ids = {ids.const_data_ptr<int32_t>(), ids.const_data_ptr<int32_t>() + ids.numel()};
    batch.cu_seqlens = {ends.const_data_ptr<int32_t>(),
                        ends.const_data_ptr<int32_t>() + ends.numel()};
    logits = file.tensor("logits");
    experts = file.tensor("experts");
    gate_weights = file.tensor("gate_weights");
    next_token_logits = file.tensor("next_token_logits");
  }
  StepBatch batch;
  torch::Tensor logits, experts, gate_weights, next_token_logits;
};

// Largest difference relative to the largest expected value.
double relative_error(const torch::Tensor& actual, const torch::Tensor& expected) {
  return (actual - expected).abs().max().item<double>() / expected.abs().max().item<double>();
}

class ParityTest : public testing::ModelTest {};

TEST_P(ParityTest, Float32EqualsTransformers) {
  const Golden golden(GetParam());
  Engine engine(directory_, {.routing_only = false});
  RoutingRecorder recorder;
  const StepResult result = engine.step(golden.batch, recorder);
  ASSERT_EQ(static_cast<int64_t>(recorder.logits.size()), golden.logits.size(0));
  for (size_t layer = 0; layer < recorder.logits.size(); ++layer) {
    EXPECT_LE(relative_error(recorder.logits[layer], golden.logits[layer]), 1e-5)
        << "layer " << layer;
    // By expert: a router that adds a bias to choose ranks otherwise than by gate weight.
    const auto [experts, order] = recorder.experts[layer].sort();
    const auto [expected, expected_order] = golden.experts[layer].sort();
    EXPECT_TRUE(torch::equal(experts, expected)) << "layer " << layer;
    EXPECT_LE(relative_error(recorder.gate_weights[layer].gather(-1, order),
                             golden.gate_weights[layer].gather(-1, expected_order)),
              1e-4)
        << "layer " << layer;
  }
  EXPECT_LE(relative_error(result.next_token_logits, golden.next_token_logits), 1e-5);
}

TEST_P(ParityTest, RoutingOnlyGivesTheSameBits) {
  const Golden golden(GetParam());
  RoutingRecorder whole;
  RoutingRecorder routing;
  Engine(directory_, {.routing_only = false}).step(golden.batch, whole);
  const StepResult result = Engine(directory_, {.routing_only = true}).step(golden.batch, routing);
  EXPECT_TRUE(torch::equal(torch::stack(whole.logits), torch::stack(routing.logits)));
  EXPECT_FALSE(result.next_token_logits.defined());
}

TEST_P(ParityTest, HalfPrecisionMostlyAgrees) {
  const Golden golden(GetParam());
  for (const torch::ScalarType dtype : {torch::kBFloat16, torch::kFloat16}) {
    RoutingRecorder recorder;
    Engine(directory_, {.compute = {.dtype = dtype}}).step(golden.batch, recorder);
    int64_t agreed = 0;
    for (size_t layer = 0; layer < recorder.experts.size(); ++layer) {
      const torch::Tensor chosen = std::get<0>(recorder.experts[layer].sort());
      const torch::Tensor expected = std::get<0>(golden.experts[layer].sort());
      agreed += (chosen == expected).all(-1).sum().item<int64_t>();
    }
    const double share = static_cast<double>(agreed) /
                         static_cast<double>(golden.experts.size(0) * golden.experts.size(1));
    RecordProperty(tensor::dtype_name(dtype) + "_agreement", std::to_string(share));
    EXPECT_GE(share, 0.8) << dtype;
  }
}

INSTANTIATE_TEST_SUITE_P(Random, ParityTest,
                         ::testing::Values("plain", "mixed-dense", "tied-fused", "sharded",
                                           "mixtral", "olmoe", "qwen3", "deepseek", "deepseek_v2",
                                           "deepseek_v3", "glm4_moe", "minimax_m2", "ernie4_5_moe",
                                           "gpt-oss"),
                         testing::test_name);
INSTANTIATE_TEST_SUITE_P(Trained, ParityTest,
                         ::testing::Values("seed-geometry", "mini-qwen", "mini-deepseek"),
                         testing::test_name);

}  // namespace
}  // namespace foregate::engine
