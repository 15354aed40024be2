#include "collect/recorder.h"

#include <gtest/gtest.h>

namespace foregate::collect {
namespace {

trace::Geometry small_geometry() {
  trace::Geometry geometry;
  geometry.num_moe_layers = 2;
  geometry.num_experts = 4;
  geometry.top_k = 1;
  geometry.hidden_size = 3;
  geometry.moe_layers = {0, 1};
  return geometry;
}

engine::RouterEvent event_of(int layer, int64_t tokens) {
  engine::RouterEvent event;
  event.moe_layer = layer;
  event.router_input = torch::arange(tokens * 3, torch::kFloat32).view({tokens, 3}) + 100 * layer;
  event.logits = torch::rand({tokens, 4});
  event.experts = torch::full({tokens, 1}, layer + 1, torch::kInt64);
  event.gate_weights = torch::full({tokens, 1}, 0.5 + 0.25 * layer);
  return event;
}

TEST(Recorder, KeepsEveryLayerOfEveryToken) {
  Recorder recorder(small_geometry(), {.logits = true, .features = false});
  recorder.begin(5, torch::empty({0}, torch::kInt64));
  for (const int layer : {0, 1}) recorder.on_router(event_of(layer, 5));
  BatchResult result;
  recorder.finish(result);
  EXPECT_EQ(result.experts.sizes(), (torch::IntArrayRef{5, 2, 1}));
  EXPECT_EQ(result.experts[4][1][0].item<int>(), 2);
  EXPECT_EQ(result.gate_weights.scalar_type(), torch::kFloat16);
  EXPECT_EQ(result.gate_weights[0][1][0].item<float>(), 0.75f);
  EXPECT_EQ(result.router_logits.sizes(), (torch::IntArrayRef{5, 2, 4}));
  EXPECT_FALSE(result.router_inputs.defined());
}

TEST(Recorder, KeepsHiddenStatesOfChosenTokensOnly) {
  Recorder recorder(small_geometry(), {.logits = false, .features = true});
  recorder.begin(5, torch::tensor({1, 4}, torch::kInt64));
  for (const int layer : {0, 1}) {
    recorder.on_layer_input(layer, torch::full({5, 3}, 7.0 + layer));
    recorder.on_router(event_of(layer, 5));
  }
  BatchResult result;
  recorder.finish(result);
  ASSERT_EQ(result.router_inputs.sizes(), (torch::IntArrayRef{2, 2, 3}));
  EXPECT_EQ(result.router_inputs[1][1][0].item<float>(), 112.0f);
  EXPECT_EQ(result.residual.scalar_type(), torch::kBFloat16);
  EXPECT_EQ(result.residual[0][1][2].item<float>(), 8.0f);
  EXPECT_FALSE(result.router_logits.defined());
}

TEST(Recorder, ForgetsTheBatchBefore) {
  Recorder recorder(small_geometry(), {.logits = false, .features = true});
  recorder.begin(2, torch::tensor({0}, torch::kInt64));
  recorder.on_router(event_of(0, 2));  // a batch that ran out of memory in the middle
  recorder.begin(3, torch::empty({0}, torch::kInt64));
  for (const int layer : {0, 1}) recorder.on_router(event_of(layer, 3));
  BatchResult result;
  recorder.finish(result);
  EXPECT_EQ(result.experts.size(0), 3);
  EXPECT_FALSE(result.router_inputs.defined());
}

}  // namespace
}  // namespace foregate::collect
