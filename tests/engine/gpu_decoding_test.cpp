#include <gtest/gtest.h>
#include <torch/cuda.h>
#include <torch/types.h>
#include <torch/utils.h>

#include <cstdio>
#include <string>
#include <vector>

#include "base/random.h"
#include "engine/engine.h"
#include "routing_recorder.h"
#include "test_models.h"

// Decoding on a GPU: beside the CPU, recorded steps beside steps that the host launches, and tokens
// one by one beside the same tokens at once.

namespace foregate::engine {
namespace {

using tensor::Quantization;
using testing::RoutingRecorder;

const torch::Device kGpu(torch::kCUDA, 0);

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
    if (testing::model_directory(GetParam()).empty()) {
      GTEST_SKIP() << "no model " << GetParam() << "; set FOREGATE_SHARED";
    }
  }
  Engine engine(torch::Device device, torch::ScalarType dtype,
                Quantization quantization = Quantization::kNone) const {
    return {testing::model_directory(GetParam()),
            {.compute = {.device = device, .dtype = dtype, .quantization = quantization},
             .routing_only = false}};
  }
};

// Texts of unequal prompts, continued greedily; more than a page.
std::vector<std::vector<int32_t>> continued(Engine engine, int tokens) {
  Random random(1);
  NoObserver nobody;
  Growing growing(engine);
  for (const int64_t length : {1, 5, 60, 130}) growing.open(engine.vocab_size(), length, random);
  growing.add(engine.step(growing.prompts(), nobody, &growing.cache).next_token_logits);
  for (int i = 1; i < tokens; ++i) {
    growing.add(engine.step(growing.next(), nobody, &growing.cache).next_token_logits);
  }
  return growing.texts;
}

TEST_P(GpuDecoding, Float32ContinuesAsTheCpu) {
  EXPECT_EQ(continued(engine(kGpu, torch::kFloat32), 80),
            continued(engine(torch::kCPU, torch::kFloat32), 80));
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
                         testing::named_by_model);

}  // namespace
}  // namespace foregate::engine
