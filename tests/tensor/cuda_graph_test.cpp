#include "tensor/device/cuda_graph.h"

#include <gtest/gtest.h>
#include <torch/cuda.h>
#include <torch/types.h>

#include <memory>
#include <vector>

#include "tensor/device/device_memory.h"

namespace foregate::tensor {
namespace {

/// What each of some runs leaves behind; the input changes in place from run to run.
std::vector<double> run_all(torch::Device device, int* queued) {
  CudaGraph work(device);
  torch::Tensor input = torch::zeros({8}, device);
  torch::Tensor output = torch::zeros({}, device);
  std::vector<double> outputs;
  for (int i = 0; i < 6; ++i) {
    input.fill_(i);
    work.run([&] {
      ++*queued;
      output.copy_((input * 2).sum());
    });
    outputs.push_back(output.item<double>());
  }
  return outputs;
}

TEST(CudaGraph, RunsEachTimeOnTheCpu) {
  int queued = 0;
  EXPECT_EQ(run_all(torch::kCPU, &queued), (std::vector<double>{0, 16, 32, 48, 64, 80}));
  EXPECT_EQ(queued, 6);
}

TEST(CudaGraph, IsRecordedOnceOnAGpu) {
  if (!torch::cuda::is_available()) GTEST_SKIP() << "no CUDA device that this libtorch can use";
  int queued = 0;
  EXPECT_EQ(run_all(torch::Device(torch::kCUDA, 0), &queued),
            (std::vector<double>{0, 16, 32, 48, 64, 80}));
  EXPECT_EQ(queued, 3);
}

// Two graphs, each with 128 MB on the way, replayed by turns.
TEST(CudaGraph, GraphsShareMemory) {
  if (!torch::cuda::is_available()) GTEST_SKIP() << "no CUDA device that this libtorch can use";
  const torch::Device device(torch::kCUDA, 0);
  constexpr int64_t kValues = 1 << 24;
  CudaGraphMemory memory(device);
  const torch::Tensor input = torch::zeros({1}, device);
  std::vector<torch::Tensor> outputs(2);
  std::vector<std::unique_ptr<CudaGraph>> graphs;
  std::vector<int64_t> free;
  const auto run = [&](int which, int value) {
    input.fill_(value);
    graphs[which]->run([&] {
      const torch::Tensor large = torch::full({kValues}, which + 1.0F, input.options()) * input;
      outputs[which] = large.mean();
    });
    EXPECT_NEAR(outputs[which].item<float>(), (which + 1) * value, 1e-3);
  };
  for (int which = 0; which < 2; ++which) {
    graphs.push_back(std::make_unique<CudaGraph>(device, &memory));
    for (int value = 0; value < 4; ++value) run(which, value);
    free.push_back(device_memory(device).free);
  }
  EXPECT_LT(free[0] - free[1], kValues) << "the second has what the first had";
  for (int value = 5; value < 9; ++value) {
    for (const int which : {0, 1, 1, 0}) run(which, value);
  }
}

TEST(CudaGraph, SharedMemoryIsNothingOnTheCpu) {
  CudaGraphMemory memory(torch::kCPU);
  CudaGraph work(torch::kCPU, &memory);
  int queued = 0;
  for (int i = 0; i < 4; ++i) work.run([&] { ++queued; });
  EXPECT_EQ(queued, 4);
}

}  // namespace
}  // namespace foregate::tensor
