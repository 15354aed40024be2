#include "collect/sizing.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/torch.h>

#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/json.h"
#include "engine/memory_needs.h"
#include "models/geometries.h"
#include "models/registry.h"

namespace foregate {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

ModelConfig qwen() {
  const Json json = parse_json(geometry_config("qwen1.5-moe-a2.7b"), "geometry");
  const JsonReader reader(json, "geometry");
  return find_architecture(reader).parse_config(reader);
}

SizingRequest request(int64_t memory) {
  SizingRequest request;
  request.dtype = torch::kBFloat16;
  request.longest_text = 512;
  request.memory = memory;
  return request;
}

MemoryNeeds needs(Quantization quantization) {
  return memory_needs(qwen(), quantization, torch::kBFloat16, torch::kCPU);
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
  EXPECT_EQ(needs(Quantization::kNone).weights, 2 * matrices + kept);
  const int64_t rows = 24 * 4 * hidden + 23 * (60 * (2 * 1408 + hidden) + 2 * 5632 + hidden);
  EXPECT_EQ(needs(Quantization::kInt8).weights, matrices + 4 * rows + kept);
  // All widths are multiples of 64.
  EXPECT_EQ(needs(Quantization::kNf4).weights, matrices / 2 + matrices / 64 * 4 + kept);
}

TEST(Sizing, TakesTheFirstThatFits) {
  const ModelConfig config = qwen();
  const auto chosen = [&](int64_t memory) {
    return choose_sizing(config, request(memory), "m").quantization;
  };
  EXPECT_EQ(chosen(60'000'000'000), Quantization::kNone);
  EXPECT_EQ(chosen(24'000'000'000), Quantization::kInt8);
  EXPECT_EQ(chosen(12'000'000'000), Quantization::kNf4);
  const int64_t least = needs(Quantization::kInt8).with_batch(512);
  EXPECT_EQ(chosen(least), Quantization::kInt8);
  EXPECT_EQ(chosen(least - 1), Quantization::kNf4);
}

TEST(Sizing, TheBatchFillsWhatIsLeft) {
  const ModelConfig config = qwen();
  EXPECT_EQ(choose_sizing(config, request(60'000'000'000), "m").batch_tokens, 4096);
  SizingRequest tight = request(needs(Quantization::kNone).with_batch(1100));
  tight.quantization = Quantization::kNone;
  EXPECT_EQ(choose_sizing(config, tight, "m").batch_tokens, 1024);
  tight.memory = needs(Quantization::kNone).with_batch(600);
  EXPECT_EQ(choose_sizing(config, tight, "m").batch_tokens, 512);
  tight.batch_tokens = 77;
  const Sizing asked = choose_sizing(config, tight, "m");
  EXPECT_EQ(asked.batch_tokens, 77);
  EXPECT_EQ(asked.weight_bytes + asked.batch_bytes, needs(Quantization::kNone).with_batch(77));
}

TEST(Sizing, QuantisedCheckpointsStayAsTheyAre) {
  ModelConfig config = qwen();
  config.storage.kind = WeightStorage::Kind::kForegate;
  config.storage.quantization = Quantization::kNf4;
  EXPECT_EQ(choose_sizing(config, request(60'000'000'000), "m").quantization, Quantization::kNf4);
}

std::string error_of(const SizingRequest& request) {
  try {
    choose_sizing(qwen(), request, "the-model");
  } catch (const EnvironmentError& error) {
    return error.what();
  }
  return "no error";
}

TEST(Sizing, StreamsTheExpertsOfAsFewLayersAsItCan) {
  const ModelConfig config = qwen();
  const auto needs_on_gpu = [&](Quantization quantization) {
    return memory_needs(config, quantization, torch::kBFloat16, torch::kCUDA);
  };
  SizingRequest wanted = request(8'000'000'000);
  wanted.device = torch::Device(torch::kCUDA, 0);
  wanted.host_memory = 60'000'000'000;
  const Sizing small = choose_sizing(config, wanted, "m");
  EXPECT_EQ(small.quantization, Quantization::kNf4);
  EXPECT_GE(small.streamed_layers, 3);
  EXPECT_GE(small.batch_tokens, 16384);
  EXPECT_LE(small.weight_bytes + small.batch_bytes, wanted.memory);
  const MemoryNeeds nf4 = needs_on_gpu(Quantization::kNf4);
  EXPECT_EQ(small.weight_bytes, nf4.weights - (small.streamed_layers - 2) * nf4.layer_experts);
  EXPECT_EQ(small.host_bytes, small.streamed_layers * nf4.layer_experts);
  EXPECT_GT(nf4.streamed(small.streamed_layers - 1).with_batch(16384), wanted.memory);

  // What was asked for stays; what fits needs no streaming.
  wanted.memory = 24'000'000'000;
  EXPECT_EQ(choose_sizing(config, wanted, "m").streamed_layers, 0);
  wanted.quantization = Quantization::kNone;
  const Sizing whole = choose_sizing(config, wanted, "m");
  EXPECT_EQ(whole.quantization, Quantization::kNone);
  EXPECT_GE(whole.streamed_layers, 3);

  // The host has limits too, and a CPU nowhere to stream from.
  wanted.host_memory = 3'000'000'000;
  EXPECT_THAT(error_of(wanted), AllOf(HasSubstr("--quantize int8 fits"),
                                      HasSubstr("where there are 3.0 GB, experts would be")));
  wanted.host_memory = 60'000'000'000;
  wanted.device = torch::kCPU;
  EXPECT_THROW(choose_sizing(config, wanted, "m"), EnvironmentError);
}

TEST(Sizing, StreamsWithSmallBatchesWhereLargeOnesDoNotFit) {
  const ModelConfig config = qwen();
  const MemoryNeeds needs =
      memory_needs(config, Quantization::kNf4, torch::kBFloat16, torch::kCUDA);
  EXPECT_EQ(needs.expert_layers, 23);
  SizingRequest wanted = request(needs.streamed(23).with_batch(2000));
  wanted.device = torch::Device(torch::kCUDA, 0);
  wanted.host_memory = 60'000'000'000;
  const Sizing sizing = choose_sizing(config, wanted, "m");
  EXPECT_EQ(sizing.streamed_layers, 23);
  EXPECT_GE(sizing.batch_tokens, 512);
  EXPECT_LT(sizing.batch_tokens, 2000);
}

TEST(Sizing, SaysWhatWouldFit) {
  EXPECT_THAT(error_of(request(5'000'000'000)),
              AllOf(HasSubstr("the-model"), HasSubstr("5.0 GB"), HasSubstr("nf4"),
                    HasSubstr("use a device with at least")));
  SizingRequest whole = request(24'000'000'000);
  whole.quantization = Quantization::kNone;
  EXPECT_THAT(error_of(whole), HasSubstr("--quantize int8 fits"));
}

}  // namespace
}  // namespace foregate
