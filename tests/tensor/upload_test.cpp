#include "tensor/device/upload.h"

#include <gtest/gtest.h>
#include <torch/cuda.h>
#include <torch/types.h>

namespace foregate::tensor {
namespace {

// On the GPU where there is one. The largest takes more than both buffers.
TEST(Uploader, BringsEveryByte) {
  const torch::Device device =
      torch::cuda::is_available() ? torch::Device(torch::kCUDA, 0) : torch::Device(torch::kCPU);
  Uploader uploader(device);
  for (const int64_t size : {0, 1, 31, 33, 300'000, 40'000'000}) {
    const torch::Tensor source = torch::arange(size, torch::kInt32);
    const torch::Tensor there = uploader.upload(source);
    EXPECT_EQ(there.device(), device);
    EXPECT_TRUE(torch::equal(there.cpu(), source)) << size;
  }
  const torch::Tensor columns = torch::randn({6, 4}).to(torch::kBFloat16).t();
  EXPECT_TRUE(torch::equal(uploader.upload(columns).cpu(), columns));
}

}  // namespace
}  // namespace foregate::tensor
