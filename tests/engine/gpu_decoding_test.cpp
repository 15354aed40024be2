#include <gtest/gtest.h>
#include <torch/cuda.h>
#include <torch/types.h>
#include <torch/utils.h>

#include <algorithm>
#include <cstdio>
#include <map>
#include <string>
#include <vector>

#include "base/random.h"
#include "engine/engine.h"
#include "model_test.h"
#include "random_checkpoint.h"
#include "routing_recorder.h"

// Decoding on a GPU, of trained models and random ones: beside the CPU, recorded steps beside steps
// that the host launches, and tokens one by one beside the same tokens at once.

namespace foregate::engine {
namespace {

using tensor::Quantization;
using testing::RoutingRecorder;

const torch::Device kGpu(torch::kCUDA, 0);

// Heads and matrices as wide as kernels ask for.
constexpr const char* kCommon = R"("hidden_act": "silu", "vocab_size": 384, "hidden_size": 256,
  "num_attention_heads": 4, "max_position_embeddings": 512, "rms_norm_eps": 1e-06,
  "rope_theta": 10000.0, "tie_word_embeddings": false, "num_experts_per_tok": 2,
  "num_hidden_layers": 3, )";

const std::map<std::string, std::string> kRandomModels = {
    {"random-qwen2_moe", R"("model_type": "qwen2_moe", "num_key_value_heads": 4, "num_experts": 8,
      "decoder_sparse_step": 1, "norm_topk_prob": false, "intermediate_size": 256,
      "moe_intermediate_size": 128, "shared_expert_intermediate_size": 256)"},
    {"random-deepseek", R"("model_type": "deepseek", "num_key_value_heads": 4,
      "n_routed_experts": 8, "n_shared_experts": 2, "intermediate_size": 256,
      "moe_intermediate_size": 128, "first_k_dense_replace": 1, "moe_layer_freq": 1,
      "norm_topk_prob": false, "scoring_func": "softmax")"},
    {"random-mixtral", R"("model_type": "mixtral", "num_key_value_heads": 2,
      "num_local_experts": 8, "intermediate_size": 128, "sliding_window": null)"},
    {"random-olmoe", R"("model_type": "olmoe", "num_key_value_heads": 2, "num_experts": 8,
      "intermediate_size": 128, "norm_topk_prob": false, "clip_qkv": null,
      "attention_bias": false)"},
    {"random-qwen3_moe", R"("model_type": "qwen3_moe", "num_key_value_heads": 2,
      "num_experts": 8, "intermediate_size": 256, "moe_intermediate_size": 128, "head_dim": 64,
      "norm_topk_prob": true, "decoder_sparse_step": 1, "mlp_only_layers": [],
      "attention_bias": false, "use_sliding_window": false)"},
};

// Several sequences of a cache, each with the text so far.
struct Growing {
  explicit Growing(Engine& engine)
      : cache(engine.new_cache(64 * 64 * engine.cache_bytes_per_token())) {}

  void open(int64_t vocab, int64_t length, Random& random) {
    std::vector<int32_t> text(static_cast<size_t>(length));
    for (int32_t& id : text) id = static_cast<int32_t>(random.below(vocab));
    sequences.push_back(cache.open());
    texts.push_back(std::move(text));
  }
  StepBatch prompts() const {
    StepBatch batch;
    for (size_t i = 0; i < texts.size(); ++i) batch.add(sequences[i], texts[i]);
    return batch;
  }
  StepBatch next() const {
    StepBatch batch;
    for (size_t i = 0; i < texts.size(); ++i) {
      batch.add(sequences[i], std::span(&texts[i].back(), 1));
    }
    return batch;
  }
  void add(const torch::Tensor& logits) {
    const torch::Tensor ids = logits.argmax(1).cpu();
    for (size_t i = 0; i < texts.size(); ++i) {
      texts[i].push_back(static_cast<int32_t>(ids[static_cast<int64_t>(i)].item<int64_t>()));
    }
  }

  KvCache cache;
  std::vector<KvCache::Sequence> sequences;
  std::vector<std::vector<int32_t>> texts;
};

class GpuDecoding : public ::testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    if (!torch::cuda::is_available()) GTEST_SKIP() << "no CUDA device that this libtorch can use";
    const auto random = kRandomModels.find(GetParam());
    if (random != kRandomModels.end()) {
      const std::string config = std::string("{") + kCommon + random->second + "}";
      testing::write_random_checkpoint(folder_, config, /*seed=*/1);
      directory_ = folder_.path();
    } else {
      directory_ = testing::model_directory(GetParam());
    }
    if (directory_.empty()) GTEST_SKIP() << "no model " << GetParam() << "; set FOREGATE_SHARED";
  }
  Engine engine(torch::Device device, torch::ScalarType dtype,
                Quantization quantization = Quantization::kNone,
                std::optional<torch::ScalarType> kv_dtype = std::nullopt) const {
    return {directory_,
            {.compute = {.device = device,
                         .dtype = dtype,
                         .quantization = quantization,
                         .kv_dtype = kv_dtype},
             .routing_only = false}};
  }

 private:
  testing::TemporaryFolder folder_;
  std::filesystem::path directory_;
};

// The likeliest token of each row, where no other is as likely but for rounding.
std::vector<bool> is_clear(const torch::Tensor& logits) {
  constexpr double kGap = 1e-4;
  const torch::Tensor best = std::get<0>(logits.topk(2));
  const torch::Tensor clear =
      (best.select(1, 0) - best.select(1, 1) > kGap * logits.abs().amax(1)).cpu();
  std::vector<bool> rows;
  for (int64_t i = 0; i < clear.size(0); ++i) rows.push_back(clear[i].item<bool>());
  return rows;
}

struct Continued {
  std::vector<std::vector<int32_t>> texts;
  std::vector<size_t> clear;  ///< tokens of each up to the first that rounding may turn
};

// Texts of unequal prompts, continued greedily; more than a page.
Continued continued(Engine engine, int tokens) {
  Random random(1);
  NoObserver nobody;
  Growing growing(engine);
  for (const int64_t length : {1, 5, 60, 130}) growing.open(engine.vocab_size(), length, random);
  std::vector<size_t> clear(growing.texts.size(), SIZE_MAX);
  for (int i = 0; i < tokens; ++i) {
    const torch::Tensor logits =
        engine.step(i == 0 ? growing.prompts() : growing.next(), nobody, &growing.cache)
            .next_token_logits;
    const std::vector<bool> rows = is_clear(logits);
    for (size_t s = 0; s < rows.size(); ++s) {
      if (!rows[s]) clear[s] = std::min(clear[s], growing.texts[s].size());
    }
    growing.add(logits);
  }
  for (size_t s = 0; s < clear.size(); ++s) clear[s] = std::min(clear[s], growing.texts[s].size());
  return {growing.texts, clear};
}

TEST_P(GpuDecoding, Float32ContinuesAsTheCpu) {
  const Continued cpu = continued(engine(torch::kCPU, torch::kFloat32), 256);
  const Continued gpu = continued(engine(kGpu, torch::kFloat32), 256);
  size_t compared = 0;
  for (size_t s = 0; s < cpu.texts.size(); ++s) {
    const auto same = std::ranges::mismatch(cpu.texts[s], gpu.texts[s]).in1 - cpu.texts[s].begin();
    EXPECT_GE(static_cast<size_t>(same), cpu.clear[s]) << "text " << s;
    compared += cpu.clear[s];
  }
  std::printf("%s: %zu of %d tokens compared, up to the first near tie of each text\n", GetParam(),
              compared, 4 * 256 + 196);
  EXPECT_GT(compared, 512U);
}

// The same codes, but for keys and values as close to the next code as rounding.
TEST_P(GpuDecoding, AnInt8CacheSaysWhatTheCpusDoes) {
  const auto logits_of = [&](torch::Device device) {
    Engine model = engine(device, torch::kFloat32, Quantization::kNone, torch::kInt8);
    Random random(4);
    NoObserver nobody;
    Growing growing(model);
    for (const int64_t length : {3, 70}) growing.open(model.vocab_size(), length, random);
    std::vector<torch::Tensor> logits = {
        model.step(growing.prompts(), nobody, &growing.cache).next_token_logits.cpu()};
    for (int i = 0; i < 20; ++i) {
      for (auto& text : growing.texts) {
        text.push_back(static_cast<int32_t>(random.below(model.vocab_size())));
      }
      logits.push_back(model.step(growing.next(), nobody, &growing.cache).next_token_logits.cpu());
    }
    return torch::cat(logits);
  };
  const torch::Tensor cpu = logits_of(torch::kCPU);
  const torch::Tensor gpu = logits_of(kGpu);
  const double error =
      (gpu - cpu).square().mean().sqrt().item<double>() / cpu.square().mean().sqrt().item<double>();
  std::printf("%s: int8 cache, GPU and CPU %.4f%% apart\n", GetParam(), 100 * error);
  EXPECT_LT(error, 0.03);
}

// The same kernels in the same order: the same bits. Sequences come and go between the steps.
TEST_P(GpuDecoding, RecordedStepsGiveWhatLaunchedOnesDo) {
  for (const Quantization quantization :
       {Quantization::kNone, Quantization::kInt8, Quantization::kNf4}) {
    Engine model = engine(kGpu, torch::kBFloat16, quantization);
    Random random(2);
    NoObserver nobody;
    Growing recorded(model);
    Growing launched(model);
    const auto open = [&](int64_t length) {
      Random same = random;
      recorded.open(model.vocab_size(), length, random);
      launched.open(model.vocab_size(), length, same);
    };
    for (const int64_t length : {3, 70, 64}) open(length);
    model.step(recorded.prompts(), nobody, &recorded.cache);
    RoutingRecorder watching;
    model.step(launched.prompts(), watching, &launched.cache);
    for (int i = 0; i < 24; ++i) {
      if (i == 12) {  // one leaves: another number of sequences
        for (Growing* growing : {&recorded, &launched}) {
          growing->cache.close(growing->sequences[1]);
          growing->sequences.erase(growing->sequences.begin() + 1);
          growing->texts.erase(growing->texts.begin() + 1);
        }
      }
      const torch::Tensor fast =
          model.step(recorded.next(), nobody, &recorded.cache).next_token_logits.cpu();
      RoutingRecorder recorder;
      const torch::Tensor slow =
          model.step(launched.next(), recorder, &launched.cache).next_token_logits.cpu();
      ASSERT_TRUE(torch::equal(fast, slow)) << tensor::quantization_name(quantization) << ", step "
                                            << i << ": " << (fast - slow).abs().max();
      recorded.add(fast);
      launched.add(slow);
    }
  }
}

// Each token by itself, and all at once: in float32 the same decisions, in 16 bits nearly.
TEST_P(GpuDecoding, TokensOneByOneRouteAsAllAtOnce) {
  for (const torch::ScalarType dtype : {torch::kFloat32, torch::kBFloat16}) {
    Engine model = engine(kGpu, dtype);
    Random random(3);
    Growing growing(model);
    growing.open(model.vocab_size(), 200, random);
    RoutingRecorder whole;
    StepBatch batch;
    batch.add(growing.texts[0]);
    model.step(batch, whole);
    int64_t same = 0;
    int64_t all = 0;
    for (size_t i = 0; i < growing.texts[0].size(); ++i) {
      StepBatch one;
      one.add(growing.sequences[0], std::span(&growing.texts[0][i], 1));
      RoutingRecorder recorder;
      model.step(one, recorder, &growing.cache);
      for (size_t layer = 0; layer < recorder.experts.size(); ++layer) {
        const auto sorted = [](const torch::Tensor& experts) {
          return std::get<0>(experts.sort(-1));
        };
        same += torch::equal(sorted(recorder.experts[layer][0]),
                             sorted(whole.experts[layer][static_cast<int64_t>(i)]))
                    ? 1
                    : 0;
        ++all;
      }
    }
    const double share = static_cast<double>(same) / static_cast<double>(all);
    std::printf("%s in %s: %.3f%% of decisions the same one by one as at once\n", GetParam(),
                dtype == torch::kFloat32 ? "float32" : "bfloat16", 100 * share);
    EXPECT_GE(share, dtype == torch::kFloat32 ? 1.0 : 0.93);
  }
}

INSTANTIATE_TEST_SUITE_P(Trained, GpuDecoding, ::testing::Values("seed-geometry", "mini-qwen"),
                         testing::test_name);
INSTANTIATE_TEST_SUITE_P(Random, GpuDecoding,
                         ::testing::Values("random-qwen2_moe", "random-deepseek", "random-mixtral",
                                           "random-olmoe", "random-qwen3_moe"),
                         testing::test_name);

}  // namespace
}  // namespace foregate::engine
