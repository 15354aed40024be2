#include "engine/engine.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/types.h>

#include "base/random.h"
#include "nn/router.h"
#include "routing_recorder.h"
#include "support/temporary_folder.h"
#include "support/test_files.h"
#include "tensor/dtype.h"
#include "tensor/files/safetensors.h"
#include "test_models.h"

namespace foregate::engine {
namespace {

using ::testing::ElementsAre;
using testing::error_of;
using testing::goldens;
using ::testing::HasSubstr;
using testing::RoutingRecorder;

std::vector<int32_t> random_text(Random& random, int length, int vocab = 96) {
  std::vector<int32_t> ids(length);
  for (int32_t& id : ids) id = static_cast<int32_t>(random.below(vocab));
  return ids;
}

TEST(Engine, TellsItsGeometry) {
  const Engine engine(goldens() / "mixed-dense", {});
  const trace::Geometry geometry = engine.geometry();
  EXPECT_THAT(geometry.moe_layers, ElementsAre(1, 5));
  EXPECT_EQ(geometry.num_moe_layers, 2);
  EXPECT_EQ(geometry.num_decoder_layers, 7);
  EXPECT_EQ(geometry.num_experts, 8);
  EXPECT_EQ(geometry.top_k, 2);
  EXPECT_EQ(geometry.hidden_size, 32);
  EXPECT_EQ(geometry.vocab_size, 96);
  EXPECT_EQ(engine.max_positions(), 64);
  EXPECT_EQ(engine.model_type(), "qwen2_moe");
}

TEST(Engine, CallsTheObserverLayerByLayer) {
  Engine engine(goldens() / "mixed-dense", {});
  StepBatch batch;
  batch.add(std::vector<int32_t>{5, 6, 7});
  batch.add(std::vector<int32_t>{8});
  RoutingRecorder recorder;
  engine.step(batch, recorder);
  EXPECT_THAT(recorder.moe_layers, ElementsAre(0, 1));
  ASSERT_EQ(recorder.residuals.size(), 2U);
  EXPECT_EQ(recorder.residuals[1].sizes(), (std::vector<int64_t>{4, 32}));
  EXPECT_EQ(recorder.router_inputs[0].sizes(), (std::vector<int64_t>{4, 32}));
  EXPECT_EQ(recorder.logits[0].sizes(), (std::vector<int64_t>{4, 8}));
  EXPECT_EQ(recorder.experts[0].sizes(), (std::vector<int64_t>{4, 2}));
  EXPECT_EQ(recorder.experts[0].scalar_type(), torch::kInt64);
  EXPECT_EQ(recorder.gate_weights[0].scalar_type(), torch::kFloat32);
}

class PackingTest : public ::testing::TestWithParam<const char*> {};

// A text's routing does not depend on what it is packed with.
TEST_P(PackingTest, TextsAloneAndPackedRouteAlike) {
  Engine engine(goldens() / "plain", {.compute = {.dtype = tensor::parse_dtype(GetParam())}});
  Random random(3);
  StepBatch packed;
  std::vector<std::vector<int32_t>> texts;
  for (const int length : {1, 31, 2, 32, 33, 64, 17, 5}) {
    texts.push_back(random_text(random, length));
    packed.add(texts.back());
  }
  RoutingRecorder together;
  engine.step(packed, together);
  const bool exact = std::string(GetParam()) == "float32";
  for (size_t i = 0; i < texts.size(); ++i) {
    StepBatch single;
    single.add(texts[i]);
    RoutingRecorder alone;
    engine.step(single, alone);
    for (size_t layer = 0; layer < alone.logits.size(); ++layer) {
      const torch::Tensor part =
          together.logits[layer].slice(0, packed.cu_seqlens[i], packed.cu_seqlens[i + 1]);
      EXPECT_TRUE(
          torch::allclose(part, alone.logits[layer], exact ? 1e-4 : 0.1, exact ? 1e-5 : 0.2));
      if (!exact) continue;
      const torch::Tensor experts =
          together.experts[layer].slice(0, packed.cu_seqlens[i], packed.cu_seqlens[i + 1]);
      EXPECT_TRUE(torch::equal(experts, alone.experts[layer]))
          << "text " << i << " layer " << layer;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Dtypes, PackingTest, ::testing::Values("float32", "bfloat16"));

class ControlTest : public ::testing::TestWithParam<const char*> {};

// The own-router control: decisions come back from the recorded router inputs, bit for bit, in any
// batch.
TEST_P(ControlTest, DecisionsFollowFromRouterInputs) {
  Engine engine(goldens() / "plain", {.compute = {.dtype = tensor::parse_dtype(GetParam())}});
  Random random(4);
  StepBatch batch;
  for (const int length : {40, 9, 64, 1, 50}) batch.add(random_text(random, length));
  RoutingRecorder recorder;
  engine.step(batch, recorder);
  const nn::Routers routers = engine.routers();
  for (size_t layer = 0; layer < recorder.logits.size(); ++layer) {
    for (int64_t first = 0; first < batch.num_tokens(); first += 7) {
      const torch::Tensor rows = recorder.router_inputs[layer].slice(0, first, first + 7).clone();
      const torch::Tensor logits = nn::router_logits(rows, routers.weight[layer]);
      EXPECT_TRUE(torch::equal(logits, recorder.logits[layer].slice(0, first, first + 7)));
      EXPECT_TRUE(torch::equal(nn::route(logits, {}, {}, 2).experts,
                               recorder.experts[layer].slice(0, first, first + 7)));
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Dtypes, ControlTest, ::testing::Values("float32", "bfloat16", "float16"));

TEST(Engine, RouterWeightsAreThoseOfTheCheckpoint) {
  const nn::Routers routers =
      Engine(goldens() / "mixed-dense", {.compute = {.dtype = torch::kBFloat16}}).routers();
  EXPECT_EQ(routers.weight.sizes(), (std::vector<int64_t>{2, 8, 32}));
  EXPECT_EQ(routers.weight.scalar_type(), torch::kFloat32);
  EXPECT_EQ(routers.norm_weight.sizes(), (std::vector<int64_t>{2, 32}));
  EXPECT_EQ(routers.norm_epsilon, 1e-6);
  const tensor::SafetensorsFile file(goldens() / "mixed-dense/model.safetensors");
  EXPECT_TRUE(torch::equal(routers.weight[1],
                           file.tensor("model.layers.5.mlp.gate.weight").to(torch::kFloat32)));
}

TEST(Engine, RefusesIdsOutsideTheVocabulary) {
  Engine engine(goldens() / "plain", {});
  RoutingRecorder recorder;
  for (const int32_t id : {96, -1, 1 << 30}) {
    StepBatch batch;
    batch.add(std::vector<int32_t>{1});
    batch.add(std::vector<int32_t>{2, id});
    EXPECT_THAT(error_of([&] { engine.step(batch, recorder); }),
                HasSubstr("text 1 of the batch, token 1: id " + std::to_string(id)));
  }
  EXPECT_TRUE(recorder.logits.empty());
}

TEST(Engine, RefusesTextsThatAreTooLong) {
  Engine engine(goldens() / "plain", {});
  RoutingRecorder recorder;
  StepBatch batch;
  batch.add(std::vector<int32_t>(65, 1));
  EXPECT_THAT(error_of([&] { engine.step(batch, recorder); }), HasSubstr("65 tokens"));
}

TEST(Engine, AnEmptyBatchIsNothing) {
  Engine engine(goldens() / "plain", {});
  RoutingRecorder recorder;
  engine.step(StepBatch{}, recorder);
  EXPECT_TRUE(recorder.logits.empty());
}

TEST(Engine, NamesWhatItCannotLoad) {
  const testing::TemporaryFolder folder;
  EXPECT_THROW(Engine(folder.path(), {}), EnvironmentError);
  testing::write_text(folder / "config.json", R"({"model_type": "gpt2"})");
  EXPECT_THAT(error_of([&] { Engine engine(folder.path(), {}); }), HasSubstr("qwen2_moe"));
}

}  // namespace
}  // namespace foregate::engine
