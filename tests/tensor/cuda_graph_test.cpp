#include "tensor/device/cuda_graph.h"

#include <gtest/gtest.h>
#include <torch/cuda.h>
#include <torch/types.h>

#include <vector>

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

}  // namespace
}  // namespace foregate::tensor
