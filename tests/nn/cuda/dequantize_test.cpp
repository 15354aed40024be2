#include "gpu_test.h"
#include "nn/linear.h"

namespace foregate {
namespace {

class DequantizeOnGpu : public testing::GpuTest {};

// One formula, in float32 and rounded once: not close, equal.
TEST_P(DequantizeOnGpu, HasTheBitsOfTheCpu) {
  for (const tensor::Quantization quantization :
       {tensor::Quantization::kInt8, tensor::Quantization::kNf4}) {
    for (const int64_t rows : {1, 33, 500}) {
      for (const int64_t columns : {1, 31, 33, 64, 80, 2048}) {
        tensor::Weight on_cpu =
            tensor::Weight::empty({3, rows, columns}, quantization, torch::kCPU, GetParam());
        on_cpu.assign(torch::randn({3, rows, columns}), "test");
        const tensor::Weight on_gpu(quantization, testing::gpu(on_cpu.codes()),
                                    testing::gpu(on_cpu.scales()), columns);
        const torch::Tensor expected = nn::compute_weight(on_cpu, GetParam());
        EXPECT_TRUE(torch::equal(nn::compute_weight(on_gpu, GetParam()).cpu(), expected))
            << tensor::quantization_name(quantization) << ", " << rows << " x " << columns;
        EXPECT_TRUE(torch::equal(nn::compute_weight(on_gpu[1], GetParam()).cpu(), expected[1]));
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Dtypes, DequantizeOnGpu, testing::compute_dtypes());

}  // namespace
}  // namespace foregate
