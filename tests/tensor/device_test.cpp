#include "tensor/device/device.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/cuda.h>

#include "base/containers/safetensors_header.h"
#include "support/test_files.h"
#include "tensor/device/gpus.h"
#include "tensor/dtype.h"

namespace foregate::tensor {
namespace {

using testing::error_of;
using ::testing::HasSubstr;

TEST(ParseDevice, Cpu) {
  EXPECT_EQ(parse_device("cpu"), torch::Device(torch::kCPU));
}

TEST(ParseDevice, RefusesOtherSpellings) {
  for (const char* name : {"", "CPU", "cpu:0", "gpu", "tpu", "cuda:", "cuda:-1", "cuda:x",
                           "cuda:1x", "cuda1", "cuda:99999999999"}) {
    EXPECT_THROW(parse_device(name), UsageError) << name;
  }
}

TEST(ParseDevice, CudaThatIsNotThere) {
  if (torch::cuda::is_available()) GTEST_SKIP() << "this machine has a CUDA device";
  EXPECT_THROW(parse_device("cuda"), DeviceError);
  EXPECT_THAT(error_of([] { parse_device("cuda:1"); }), HasSubstr("device \"cuda:1\""));
}

TEST(ParseDevice, CudaThatIsThere) {
  if (!torch::cuda::is_available()) GTEST_SKIP() << "this machine has no CUDA device";
  EXPECT_EQ(parse_device("cuda"), torch::Device(torch::kCUDA, 0));
  EXPECT_THROW(parse_device("cuda:4096"), DeviceError);
}

TEST(ChooseDevice, LeavesTheCpuAndChecksTheRest) {
  EXPECT_EQ(choose_device("cpu", silent_run().log), torch::Device(torch::kCPU));
  EXPECT_THROW(choose_device("gpu", silent_run().log), UsageError);
  if (!torch::cuda::is_available()) return;
  EXPECT_EQ(choose_device("cuda", silent_run().log).str().substr(0, 5), "cuda:");
}

TEST(Gpus, TheFreestIsTheFirstOfEquals) {
  const std::vector<Gpu> gpus = {
      {.index = 0, .free = 5}, {.index = 1, .free = 9}, {.index = 2, .free = 9}};
  EXPECT_EQ(freest_gpu(gpus).index, 1);
  EXPECT_EQ(freest_gpu({{.index = 3}}).index, 3);
}

TEST(Gpus, MachineCodeRunsWithinItsGeneration) {
  const auto runs = [](const char* architectures, int major, int minor) {
    return runs_on(architectures, {.major = major, .minor = minor});
  };
  EXPECT_TRUE(runs("80-real,86-real,89-real,90a-real", 8, 0));
  EXPECT_TRUE(runs("80-real", 8, 9));
  EXPECT_TRUE(runs("80-real,90a-real", 9, 0));
  EXPECT_TRUE(runs("90a", 9, 0));
  EXPECT_TRUE(runs("120", 12, 1));
  EXPECT_FALSE(runs("89-real", 8, 6));
  EXPECT_FALSE(runs("80,86,89,90a", 7, 5));
  EXPECT_FALSE(runs("80,86,89,90a", 10, 0));
  EXPECT_FALSE(runs("100a-real", 10, 3));
  EXPECT_FALSE(runs("native", 9, 0));
  EXPECT_FALSE(runs("", 9, 0));
}

TEST(ParseDtype, KnowsTheComputeDtypes) {
  for (const char* name : {"float32", "bfloat16", "float16"}) {
    EXPECT_EQ(dtype_name(parse_dtype(name)), name);
  }
  EXPECT_THAT(error_of([] { parse_dtype("int8"); }), HasSubstr("float32, bfloat16 or float16"));
  EXPECT_THROW(parse_dtype("F32"), UsageError);
  EXPECT_THROW(parse_dtype("int3"), UsageError);
}

TEST(SafetensorsDtype, RefusesWhatTheFormatDoesNotHave) {
  EXPECT_EQ(safetensors_dtype(torch::kBFloat16), "BF16");
  EXPECT_THROW(safetensors_dtype(torch::kQInt8), DataError);
  EXPECT_FALSE(dtype_from_safetensors("f32").has_value());
}

TEST(SafetensorsDtype, HasTheSizeThatTheHeaderCountsWith) {
  for (const auto dtype :
       {torch::kFloat64, torch::kFloat32, torch::kFloat16, torch::kBFloat16, torch::kInt64,
        torch::kInt32, torch::kInt16, torch::kInt8, torch::kUInt64, torch::kUInt32, torch::kUInt16,
        torch::kUInt8, torch::kBool, torch::kComplexFloat, torch::kFloat8_e4m3fn,
        torch::kFloat8_e5m2}) {
    EXPECT_EQ(safetensors_element_size(safetensors_dtype(dtype)), c10::elementSize(dtype));
  }
  EXPECT_EQ(safetensors_element_size("F31"), 0U);
}

}  // namespace
}  // namespace foregate::tensor
