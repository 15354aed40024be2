#include <gtest/gtest.h>
#include <torch/cuda.h>
#include <torch/types.h>
#include <torch/utils.h>

#include <span>
#include <string>

#include "engine/engine.h"
#include "model_test.h"
#include "nn/router.h"
#include "routing_recorder.h"

// The engine on a GPU beside the engine on the CPU, on trained models.

namespace foregate::engine {
namespace {

using testing::RoutingRecorder;

constexpr int kTexts = 40;
const torch::Device kGpu(torch::kCUDA, 0);

StepBatch random_batch(int64_t vocab_size) {
  torch::manual_seed(1);
  StepBatch batch;
  for (int text = 0; text < kTexts; ++text) {
    const torch::Tensor ids = torch::randint(vocab_size, {1 + 12 * text}, torch::kInt32);
    batch.add(std::span(ids.const_data_ptr<int32_t>(), static_cast<size_t>(ids.numel())));
  }
  return batch;
}

// Share of decisions whose sets of experts are the same.
double agreement(const RoutingRecorder& a, const RoutingRecorder& b) {
  const auto sets = [](const RoutingRecorder& recorder) {
    return std::get<0>(torch::stack(recorder.experts).sort(-1));
  };
  return (sets(a) == sets(b)).all(-1).to(torch::kFloat64).mean().item<double>();
}

class GpuEngine : public ::testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    if (!torch::cuda::is_available()) GTEST_SKIP() << "no CUDA device that this libtorch can use";
    if (testing::model_directory(GetParam()).empty()) {
      GTEST_SKIP() << "no model " << GetParam() << "; set FOREGATE_SHARED";
    }
  }
  RoutingRecorder run(torch::Device device, torch::ScalarType dtype) const {
    return run({.compute = {.device = device, .dtype = dtype}});
  }
  RoutingRecorder run(const EngineOptions& options) const {
    Engine engine(testing::model_directory(GetParam()), options);
    RoutingRecorder recorder;
    engine.step(random_batch(engine.geometry().vocab_size), recorder);
    return recorder;
  }
};

TEST_P(GpuEngine, Float32RoutesAsTheCpu) {
  EXPECT_GE(agreement(run(kGpu, torch::kFloat32), run(torch::kCPU, torch::kFloat32)), 0.999);
}

TEST_P(GpuEngine, SixteenBitsRouteNearlyAsFloat32) {
  const RoutingRecorder reference = run(torch::kCPU, torch::kFloat32);
  const double gpu = agreement(run(kGpu, torch::kBFloat16), reference);
  const double cpu = agreement(run(torch::kCPU, torch::kBFloat16), reference);
  std::printf(
      "%s: bfloat16 and float32 choose the same experts in %.2f%% of decisions on the GPU, "
      "%.2f%% on the CPU\n",
      GetParam(), 100 * gpu, 100 * cpu);
  EXPECT_GE(gpu, cpu - 0.005);
}

// Over several batches: the last layer's experts make room for the first one's.
TEST_P(GpuEngine, StreamedExpertsRouteAsThoseOnTheGpu) {
  using tensor::Quantization;
  for (const Quantization quantization :
       {Quantization::kNone, Quantization::kInt8, Quantization::kNf4}) {
    EngineOptions options{
        .compute = {.device = kGpu, .dtype = torch::kBFloat16, .quantization = quantization}};
    const RoutingRecorder reference = run(options);
    for (const int64_t streamed : {3, 5, 7}) {
      options.offloaded_layers = streamed;
      Engine engine(testing::model_directory(GetParam()), options);
      for (int batch = 0; batch < 3; ++batch) {
        RoutingRecorder recorder;
        engine.step(random_batch(engine.geometry().vocab_size), recorder);
        ASSERT_EQ(recorder.logits.size(), reference.logits.size());
        for (size_t layer = 0; layer < recorder.logits.size(); ++layer) {
          EXPECT_TRUE(torch::equal(recorder.logits[layer], reference.logits[layer]))
              << tensor::quantization_name(quantization) << ", " << streamed << " streamed, batch "
              << batch << ", layer " << layer;
        }
      }
    }
  }
}

// What the evaluation demands of recorded features, exactly.
TEST_P(GpuEngine, DecisionsFollowFromTheRouterInputs) {
  for (const torch::ScalarType dtype : {torch::kFloat32, torch::kBFloat16}) {
    Engine engine(testing::model_directory(GetParam()),
                  {.compute = {.device = kGpu, .dtype = dtype}});
    RoutingRecorder recorder;
    engine.step(random_batch(engine.geometry().vocab_size), recorder);
    const torch::Tensor routers = engine.routers().weight;
    for (size_t layer = 0; layer < recorder.experts.size(); ++layer) {
      const torch::Tensor logits =
          nn::router_logits(recorder.router_inputs[layer], routers[static_cast<int64_t>(layer)]);
      EXPECT_TRUE(torch::equal(logits, recorder.logits[layer])) << dtype << ", layer " << layer;
      const int64_t k = recorder.experts[layer].size(1);
      EXPECT_TRUE(torch::equal(nn::route(logits, {}, {}, k).experts, recorder.experts[layer]));
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Trained, GpuEngine, ::testing::Values("seed-geometry", "mini-qwen"),
                         testing::test_name);

}  // namespace
}  // namespace foregate::engine
