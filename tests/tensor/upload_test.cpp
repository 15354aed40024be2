#include "tensor/upload.h"

#include <gtest/gtest.h>
#include <torch/torch.h>

namespace foregate {
namespace {

torch::Device device_here() {
  return torch::cuda::is_available() ? torch::Device(torch::kCUDA, 0) : torch::Device(torch::kCPU);
}

// On the GPU where there is one. The largest takes more than both buffers.
TEST(Uploader, BringsEveryByte) {
  Uploader uploader(device_here());
  for (const int64_t size : {0, 1, 31, 33, 300'000, 40'000'000}) {
    const torch::Tensor source = torch::arange(size, torch::kInt32).to(torch::kFloat32);
    const torch::Tensor destination =
        torch::full({size}, -1, source.options().device(device_here()));
    uploader.copy(source, destination);
    EXPECT_TRUE(torch::equal(destination.cpu(), source)) << size;
  }
}

TEST(Uploader, ConvertsAndFillsParts) {
  Uploader uploader(device_here());
  const torch::Tensor source = torch::arange(24, torch::kFloat32).view({4, 6});
  torch::Tensor whole =
      torch::zeros({8, 6}, torch::TensorOptions().dtype(torch::kBFloat16).device(device_here()));
  uploader.copy(source, whole.narrow(0, 2, 4));
  EXPECT_TRUE(torch::equal(whole.cpu().narrow(0, 2, 4), source.to(torch::kBFloat16)));
  EXPECT_EQ(whole.cpu().to(torch::kFloat32).sum().item<float>(), source.sum().item<float>());
  const torch::Tensor columns = torch::zeros({6, 4}, source.options().device(device_here()));
  uploader.copy(source, columns.t());
  EXPECT_TRUE(torch::equal(columns.cpu(), source.t()));
}

}  // namespace
}  // namespace foregate
