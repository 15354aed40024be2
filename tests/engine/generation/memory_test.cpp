#include "engine/generation/memory.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "../test_models.h"
#include "base/error.h"
#include "base/json.h"
#include "engine/kv_cache.h"
#include "models/benchmark_models.h"
#include "models/registry.h"
#include "support/test_files.h"

namespace foregate::engine {
namespace {

using ::testing::AllOf;
using testing::error_of;
using ::testing::HasSubstr;
using ::testing::Not;

models::ModelConfig qwen() {
  const Json json = parse_json(models::benchmark_config("qwen1.5-moe-a2.7b"), "geometry");
  const JsonReader reader(json, "geometry");
  return models::parse_config(models::known_architectures().find(reader), reader);
}

tensor::Compute in_nf4() {
  return {.device = torch::Device(torch::kCUDA, 0),
          .dtype = torch::kBFloat16,
          .quantization = tensor::Quantization::kNf4};
}

GenerationLoad load_of(const tensor::Compute& compute, int64_t tokens) {
  return {.cache_bytes = tokens * bytes_per_token(kv_layout(qwen()), compute.cache_dtype()),
          .step_tokens = 512,
          .sequences = 1};
}

// By hand: 24 layers of attention and experts in four bits and a float32 scale for 64 weights, two
// tables of 151,936 rows and the vectors in bfloat16, routers in float32.
TEST(GenerationNeeds, OfQwen15MoeInNf4) {
  const int64_t hidden = 2048;
  const int64_t matrices = 24 * (4 * hidden * hidden + 60 * 3 * 1408 * hidden + 3 * 5632 * hidden);
  const int64_t vectors = 24 * (2 * hidden + 3 * hidden + hidden) + hidden;
  const int64_t kept = 2 * 151936 * hidden * 2 + vectors * 2 + 24 * 60 * hidden * 4;
  const GenerationNeeds needs = generation_needs(qwen(), in_nf4(), load_of(in_nf4(), 8192));
  EXPECT_EQ(needs.weights, matrices / 2 + matrices / 64 * 4 + kept);
  EXPECT_EQ(needs.cache, int64_t{8192} * 24 * 16 * 2 * 128 * 2);
  // At least a layer's gate and up rows, which prefill dequantises.
  EXPECT_GT(needs.step, 60 * 2 * 1408 * hidden * 2);
}

TEST(GenerationNeeds, SaysWhatDoesNotFit) {
  const std::string message = error_of([] {
    require_memory(qwen(), in_nf4(), load_of(in_nf4(), 8192), 8'000'000'000, "the-model");
  });
  EXPECT_THAT(message, AllOf(HasSubstr("the-model does not fit into 8.0 GB on cuda:0"),
                             HasSubstr("weights in nf4 take 9"),
                             HasSubstr("8,192 tokens in bfloat16 1.6 GB"), HasSubstr("are missing"),
                             HasSubstr("--kv-dtype int8"), Not(HasSubstr("--quantize"))));
  EXPECT_NO_THROW(
      require_memory(qwen(), in_nf4(), load_of(in_nf4(), 8192), 12'000'000'000, "the-model"));
}

// Bytes of a file's tensors: what follows the header, whose length comes first.
int64_t tensor_bytes(const std::filesystem::path& safetensors) {
  uint64_t header = 0;
  std::ifstream(safetensors, std::ios::binary)
      .read(reinterpret_cast<char*>(&header), sizeof header);
  return static_cast<int64_t>(std::filesystem::file_size(safetensors) - sizeof header - header);
}

// In float32 each value takes four bytes, of which the file has two or all.
TEST(GenerationNeeds, WeightsAreThoseOfTheFile) {
  EXPECT_EQ(
      generation_needs(models::read_model_config(testing::goldens() / "plain"), {}, {}).weights,
      tensor_bytes(testing::goldens() / "plain/model.safetensors"));
  for (const char* name : {"mixed-dense", "mixtral", "deepseek", "deepseek_v2", "deepseek_v3",
                           "glm4_moe", "minimax_m2", "ernie4_5_moe", "gpt-oss"}) {
    const std::filesystem::path model = testing::goldens() / name;
    const GenerationNeeds needs = generation_needs(models::read_model_config(model), {}, {});
    EXPECT_EQ(needs.weights, 2 * tensor_bytes(model / "model.safetensors")) << name;
  }
}

}  // namespace
}  // namespace foregate::engine
