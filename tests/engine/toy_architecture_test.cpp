// A new architecture is a table: here is one of the tests' own, with a router, names and keys that
// no built-in one has. It is loaded and run without a line of src/ knowing it.

#include <gtest/gtest.h>
#include <torch/types.h>
#include <torch/utils.h>

#include <nlohmann/json.hpp>

#include "base/error.h"
#include "engine/engine.h"
#include "models/registry.h"
#include "nn/router.h"
#include "random_checkpoint.h"
#include "routing_recorder.h"
#include "support/test_files.h"

namespace foregate::engine {
namespace {

using testing::RoutingRecorder;

constexpr const char* kToyConfig = R"({
  "model_type": "toy_moe", "hidden_act": "silu", "vocab_size": 40, "hidden_size": 16,
  "num_hidden_layers": 3, "num_attention_heads": 4, "num_key_value_heads": 2,
  "max_position_embeddings": 32, "rms_norm_eps": 1e-05, "rope_theta": 10000.0,
  "first_k_dense_replace": 1, "moe_layer_freq": 1, "intermediate_size": 24,
  "toy_experts": 8, "num_experts_per_tok": 3, "toy_expert_size": 12, "toy_flavour": "plain"
})";

// Experts chosen as DeepSeek-V3 does, by sigmoid, bias and groups.
models::Architecture toy_moe() {
  models::WeightNames names = models::llama_weight_names();
  add_dense_mlp_names(names);
  names.router = "model.layers.{L}.toy.which.weight";
  names.router_choice_bias = "model.layers.{L}.toy.which.lean";
  names.expert_gate = "model.layers.{L}.toy.box.{E}.a.weight";
  names.expert_up = "model.layers.{L}.toy.box.{E}.b.weight";
  names.expert_down = "model.layers.{L}.toy.box.{E}.c.weight";
  return {.model_type = "toy_moe",
          .config = {.layers = models::ConfigTable::Layers::kDenseFirst,
                     .only = {{"toy_flavour", "plain"}},
                     .num_experts = {"toy_experts"},
                     .expert_size = "toy_expert_size",
                     .router = {.score = nn::RouterSpec::Score::kSigmoid,
                                .norm_topk = true,
                                .epsilon = 1e-20,
                                .scale = 2.5,
                                .groups = 4,
                                .top_groups = 2,
                                .group_score = nn::RouterSpec::GroupScore::kSumOfTopTwo},
                     .norm_topk = nullptr,
                     .router_choice_bias = true},
          .spellings = {names}};
}

class ToyArchitectureTest : public ::testing::Test {
 protected:
  void SetUp() override {
    config_ = testing::write_random_checkpoint(folder_, kToyConfig, /*seed=*/9, registry_);
  }

  static StepBatch texts() {
    StepBatch batch;
    batch.add(std::vector<int32_t>{5, 6, 7, 8, 39});
    batch.add(std::vector<int32_t>{1});
    return batch;
  }

  testing::TemporaryFolder folder_;
  const models::Registry registry_{{toy_moe()}};
  models::ModelConfig config_;
};

TEST_F(ToyArchitectureTest, Runs) {
  Engine engine(folder_.path(), {.routing_only = false}, registry_);
  EXPECT_EQ(engine.model_type(), "toy_moe");
  EXPECT_EQ(engine.geometry().moe_layers, (std::vector<int>{1, 2}));
  RoutingRecorder recorder;
  const StepResult result = engine.step(texts(), recorder);
  ASSERT_EQ(recorder.logits.size(), 2U);
  EXPECT_EQ(recorder.experts[0].sizes(), (std::vector<int64_t>{6, 3}));
  EXPECT_TRUE(result.next_token_logits.isfinite().all().item<bool>());
}

// What the routers are is all that a decision needs: the own-router control holds for it.
TEST_F(ToyArchitectureTest, DecidesAsItsRoutersSay) {
  Engine engine(folder_.path(), {}, registry_);
  RoutingRecorder recorder;
  engine.step(texts(), recorder);
  const nn::Routers routers = engine.routers();
  EXPECT_EQ(routers.spec, toy_moe().config.router);
  bool biased = false;
  for (int64_t layer = 0; layer < 2; ++layer) {
    const torch::Tensor logits =
        nn::router_logits(recorder.router_inputs[layer], routers.weight[layer]);
    const nn::Routing routing = nn::route(logits, routers.spec, routers.biases(layer), 3);
    EXPECT_TRUE(torch::equal(routing.experts, recorder.experts[layer]));
    EXPECT_TRUE(torch::equal(routing.gate_weights, recorder.gate_weights[layer]));
    biased =
        biased || !torch::equal(nn::route(logits, routers.spec, {}, 3).experts, routing.experts);
    // 2.5 by the scale, since they are divided by their sum before.
    EXPECT_TRUE(torch::allclose(routing.gate_weights.sum(-1), torch::full({6}, 2.5)));
  }
  EXPECT_TRUE(biased) << "the bias changes nothing here: choose another seed";
}

TEST_F(ToyArchitectureTest, IsUnknownToEverybodyElse) {
  EXPECT_THROW(Engine(folder_.path(), {}), DataError);
  testing::write_text(folder_ / "config.json", R"({"model_type": "mixtral"})");
  EXPECT_THROW(Engine(folder_.path(), {}, registry_), DataError);
}

TEST_F(ToyArchitectureTest, RefusesWhatItsTableDoesNotAllow) {
  std::string text = kToyConfig;
  text.replace(text.find("plain"), 5, "fancy");
  testing::write_text(folder_ / "config.json", text);
  EXPECT_THROW(read_model_config(folder_ / "config.json", registry_), DataError);
}

}  // namespace
}  // namespace foregate::engine
