#include "collect/memory_plan.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/types.h>

#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/json.h"
#include "engine/memory_needs.h"
#include "models/benchmark_models.h"
#include "models/registry.h"

namespace foregate::collect {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

models::ModelConfig qwen() {
  const Json json = parse_json(models::benchmark_config("qwen1.5-moe-a2.7b"), "geometry");
  const JsonReader reader(json, "geometry");
  return parse_config(models::known_architectures().find(reader), reader);
}

MemoryPlanRequest request(int64_t memory) {
  MemoryPlanRequest request;
  request.compute.dtype = torch::kBFloat16;
  request.longest_text = 512;
  request.memory = memory;
  return request;
}

engine::MemoryNeeds needs(tensor::Quantization quantization) {
  return engine::memory_needs(qwen(), quantization, torch::kBFloat16, torch::kCPU);
}

// By hand: 23 layers with experts, 24 attentions, the embedding; see docs/quantization.md.
TEST(MemoryNeeds, WeightsOfQwen15Moe) {
  const int64_t hidden = 2048;
  const int64_t attention = 4 * hidden * hidden;
  const int64_t experts = 60 * 3 * 1408 * hidden;
  const int64_t shared = 3 * 5632 * hidden;
  const int64_t matrices = 24 * attention + 23 * (experts + shared);
  const int64_t vectors = 24 * (2 * hidden + 3 * hidden) + 23 * hidden;
  const int64_t kept = 151936 * hidden * 2 + vectors * 2 + 24 * 60 * hidden * 4;
  EXPECT_EQ(needs(tensor::Quantization::kNone).weights, 2 * matrices + kept);
  const int64_t rows = 24 * 4 * hidden + 23 * (60 * (2 * 1408 + hidden) + 2 * 5632 + hidden);
  EXPECT_EQ(needs(tensor::Quantization::kInt8).weights, matrices + 4 * rows + kept);
  // All widths are multiples of 64.
  EXPECT_EQ(needs(tensor::Quantization::kNf4).weights, matrices / 2 + matrices / 64 * 4 + kept);
}

TEST(MemoryPlan, TakesTheFirstThatFits) {
  const models::ModelConfig config = qwen();
  const auto chosen = [&](int64_t memory) {
    return choose_memory_plan(config, request(memory), "m").quantization;
  };
  EXPECT_EQ(chosen(60'000'000'000), tensor::Quantization::kNone);
  EXPECT_EQ(chosen(24'000'000'000), tensor::Quantization::kInt8);
  EXPECT_EQ(chosen(12'000'000'000), tensor::Quantization::kNf4);
  const int64_t least = needs(tensor::Quantization::kInt8).with_batch(512);
  EXPECT_EQ(chosen(least), tensor::Quantization::kInt8);
  EXPECT_EQ(chosen(least - 1), tensor::Quantization::kNf4);
}

TEST(MemoryPlan, TheBatchFillsWhatIsLeft) {
  const models::ModelConfig config = qwen();
  EXPECT_EQ(choose_memory_plan(config, request(60'000'000'000), "m").batch_tokens, 4096);
  MemoryPlanRequest tight = request(needs(tensor::Quantization::kNone).with_batch(1100));
  tight.compute.quantization = tensor::Quantization::kNone;
  EXPECT_EQ(choose_memory_plan(config, tight, "m").batch_tokens, 1024);
  tight.memory = needs(tensor::Quantization::kNone).with_batch(600);
  EXPECT_EQ(choose_memory_plan(config, tight, "m").batch_tokens, 512);
  tight.batch_tokens = 77;
  const MemoryPlan asked = choose_memory_plan(config, tight, "m");
  EXPECT_EQ(asked.batch_tokens, 77);
  EXPECT_EQ(asked.weight_bytes + asked.batch_bytes,
            needs(tensor::Quantization::kNone).with_batch(77));
}

TEST(MemoryPlan, QuantizedCheckpointsStayAsTheyAre) {
  models::ModelConfig config = qwen();
  config.storage.kind = models::CheckpointFormat::Kind::kForegate;
  config.storage.quantization = tensor::Quantization::kNf4;
  EXPECT_EQ(choose_memory_plan(config, request(60'000'000'000), "m").quantization,
            tensor::Quantization::kNf4);
}

std::string error_of(const MemoryPlanRequest& request) {
  try {
    choose_memory_plan(qwen(), request, "the-model");
  } catch (const EnvironmentError& error) {
    return error.what();
  }
  return "no error";
}

TEST(MemoryPlan, StreamsTheExpertsOfAsFewLayersAsItCan) {
  const models::ModelConfig config = qwen();
  const auto needs_on_gpu = [&](tensor::Quantization quantization) {
    return engine::memory_needs(config, quantization, torch::kBFloat16, torch::kCUDA);
  };
  MemoryPlanRequest wanted = request(8'000'000'000);
  wanted.compute.device = torch::Device(torch::kCUDA, 0);
  wanted.host_memory = 60'000'000'000;
  const MemoryPlan small = choose_memory_plan(config, wanted, "m");
  EXPECT_EQ(small.quantization, tensor::Quantization::kNf4);
  EXPECT_GE(small.offloaded_layers, 3);
  EXPECT_GE(small.batch_tokens, 16384);
  EXPECT_LE(small.weight_bytes + small.batch_bytes, wanted.memory);
  const engine::MemoryNeeds nf4 = needs_on_gpu(tensor::Quantization::kNf4);
  EXPECT_EQ(small.weight_bytes, nf4.weights - (small.offloaded_layers - 2) * nf4.layer_experts);
  EXPECT_EQ(small.host_bytes, small.offloaded_layers * nf4.layer_experts);
  EXPECT_GT(nf4.streamed(small.offloaded_layers - 1).with_batch(16384), wanted.memory);

  // What was asked for stays; what fits needs no streaming.
  wanted.memory = 24'000'000'000;
  EXPECT_EQ(choose_memory_plan(config, wanted, "m").offloaded_layers, 0);
  wanted.compute.quantization = tensor::Quantization::kNone;
  const MemoryPlan whole = choose_memory_plan(config, wanted, "m");
  EXPECT_EQ(whole.quantization, tensor::Quantization::kNone);
  EXPECT_GE(whole.offloaded_layers, 3);

  // The host has limits too, and a CPU nowhere to stream from.
  wanted.host_memory = 3'000'000'000;
  EXPECT_THAT(error_of(wanted), AllOf(HasSubstr("--quantize int8 fits"),
                                      HasSubstr("where there are 3.0 GB, experts would be")));
  wanted.host_memory = 60'000'000'000;
  wanted.compute.device = torch::kCPU;
  EXPECT_THROW(choose_memory_plan(config, wanted, "m"), EnvironmentError);
}

TEST(MemoryPlan, StreamsWithSmallBatchesWhereLargeOnesDoNotFit) {
  const models::ModelConfig config = qwen();
  const engine::MemoryNeeds needs =
      engine::memory_needs(config, tensor::Quantization::kNf4, torch::kBFloat16, torch::kCUDA);
  EXPECT_EQ(needs.expert_layers, 23);
  MemoryPlanRequest wanted = request(needs.streamed(23).with_batch(2000));
  wanted.compute.device = torch::Device(torch::kCUDA, 0);
  wanted.host_memory = 60'000'000'000;
  const MemoryPlan plan = choose_memory_plan(config, wanted, "m");
  EXPECT_EQ(plan.offloaded_layers, 23);
  EXPECT_GE(plan.batch_tokens, 512);
  EXPECT_LT(plan.batch_tokens, 2000);
}

TEST(MemoryPlan, SaysWhatWouldFit) {
  EXPECT_THAT(error_of(request(5'000'000'000)),
              AllOf(HasSubstr("the-model"), HasSubstr("5.0 GB"), HasSubstr("nf4"),
                    HasSubstr("use a device with at least")));
  MemoryPlanRequest whole = request(24'000'000'000);
  whole.compute.quantization = tensor::Quantization::kNone;
  EXPECT_THAT(error_of(whole), HasSubstr("--quantize int8 fits"));
}

}  // namespace
}  // namespace foregate::collect
