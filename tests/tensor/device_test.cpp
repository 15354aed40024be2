#include "tensor/device.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/cuda.h>

#include "tensor/dtype.h"
#include "test_files.h"

namespace foregate {
namespace {

using testing::error_of;
using ::testing::HasSubstr;

TEST(ParseDevice, Cpu) {
  EXPECT_EQ(parse_device("cpu"), torch::Device(torch::kCPU));
}

TEST(ParseDevice, RefusesOtherSpellings) {
  for (const char* name : {"", "CPU", "cpu:0", "gpu", "cuda:", "cuda:-1", "cuda:x", "cuda:1x",
                           "cuda1", "cuda:99999999999"}) {
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

TEST(ParseDtype, KnowsTheComputeDtypes) {
  for (const char* name : {"float32", "bfloat16", "float16"}) {
    EXPECT_EQ(dtype_name(parse_dtype(name)), name);
  }
  EXPECT_THAT(error_of([] { parse_dtype("int8"); }), HasSubstr("float32, bfloat16 or float16"));
  EXPECT_THROW(parse_dtype("F32"), UsageError);
}

TEST(SafetensorsDtype, RefusesWhatTheFormatDoesNotHave) {
  EXPECT_EQ(safetensors_dtype(torch::kBFloat16), "BF16");
  EXPECT_THROW(safetensors_dtype(torch::kQInt8), DataError);
  EXPECT_FALSE(dtype_from_safetensors("f32").has_value());
}

}  // namespace
}  // namespace foregate
