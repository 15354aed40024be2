// Every format of quantised checkpoints against the package that defines it: see
// goldens/formats/make_format_goldens.py.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/types.h>

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "base/json.h"
#include "models/weights/checkpoint_format.h"
#include "models/weights/stored_weight.h"
#include "support/temporary_folder.h"
#include "tensor/files/safetensors.h"

namespace foregate::models {
namespace {

namespace fs = std::filesystem;

const fs::path kGoldens = fs::path(FOREGATE_SOURCE_DIR) / "tests/models/goldens/formats";

std::vector<std::string> cases() {
  std::vector<std::string> names;
  for (const auto& entry : fs::directory_iterator(kGoldens)) {
    if (entry.is_directory()) names.push_back(entry.path().filename().string());
  }
  std::ranges::sort(names);
  return names;
}

class FormatTest : public ::testing::TestWithParam<std::string> {
 protected:
  fs::path folder_ = kGoldens / GetParam();
  CheckpointFormat format_ = [&] {
    const fs::path path = folder_ / "config.json";
    const Json json = read_json(path);
    return read_weight_storage(JsonReader(json, path.string()));
  }();
  tensor::Checkpoint checkpoint_{folder_};
  tensor::SafetensorsFile expected_{folder_ / "expected.safetensors"};
};

torch::Tensor read(const tensor::Checkpoint& checkpoint, const CheckpointFormat& format,
                   const std::string& name, const std::vector<int64_t>& shape) {
  torch::Tensor values = torch::full(shape, -77.0F);
  int64_t next = 0;
  read_stored(checkpoint, format, name, shape, [&](int64_t first, const tensor::Weight& rows) {
    EXPECT_EQ(first, next);
    next += rows.size(0);
    values.narrow(0, first, rows.size(0)).copy_(rows.dequantize(torch::kFloat32));
  });
  EXPECT_EQ(next, shape.front());
  return values;
}

// Bit by bit, but that one NaN is as good as another.
int64_t different(const torch::Tensor& actual, const torch::Tensor& expected) {
  const torch::Tensor same =
      (actual.view(torch::kInt32) == expected.contiguous().view(torch::kInt32))
          .logical_or(actual.isnan() & expected.isnan());
  return same.logical_not().sum().item<int64_t>();
}

TEST_P(FormatTest, EqualsItsPackage) {
  ASSERT_FALSE(expected_.entries().empty());
  for (const tensor::TensorEntry& entry : expected_.entries()) {
    for (const StoredTensor& part : stored_parts(checkpoint_, format_, entry.name, entry.shape)) {
      const tensor::TensorEntry* stored = checkpoint_.find(part.name);
      ASSERT_TRUE(stored != nullptr || !part.required) << part.name;
      if (stored == nullptr) continue;
      EXPECT_EQ(stored->shape, part.shape) << part.name;
      if (part.dtype != torch::ScalarType::Undefined) {
        EXPECT_EQ(stored->dtype, part.dtype) << part.name;
      }
    }
    const torch::Tensor values = read(checkpoint_, format_, entry.name, entry.shape);
    EXPECT_EQ(different(values, expected_.tensor(entry.name)), 0)
        << entry.name << " of " << format_.description();
  }
}

// Larger than a window: blocks of rows and of values go on in the next one.
TEST(LargeMatrix, IsReadInWindows) {
  const int64_t rows = 2100;
  const int64_t columns = 4101;
  torch::manual_seed(3);
  const torch::Tensor codes = torch::randint(256, {rows, columns}, torch::kUInt8);
  const torch::Tensor scales = torch::rand({17, 33});
  const testing::TemporaryFolder folder;
  tensor::write_safetensors(
      folder / "model.safetensors",
      {{"a.weight", codes.view(torch::kFloat8_e4m3fn)}, {"a.weight_scale_inv", scales}});
  const Json config = {
      {"quantization_config", {{"quant_method", "fp8"}, {"weight_block_size", {128, 128}}}}};
  const CheckpointFormat format = read_weight_storage(JsonReader(config, "config.json"));
  int windows = 0;
  read_stored(tensor::Checkpoint(folder.path()), format, "a.weight", {rows, columns},
              [&](int64_t /*first*/, const tensor::Weight& /*rows*/) { ++windows; });
  EXPECT_EQ(windows, 2);
  const torch::Tensor spread = scales.repeat_interleave(128, 0)
                                   .narrow(0, 0, rows)
                                   .repeat_interleave(128, 1)
                                   .narrow(1, 0, columns);
  const torch::Tensor expected = codes.view(torch::kFloat8_e4m3fn).to(torch::kFloat32).mul(spread);
  EXPECT_EQ(different(read(tensor::Checkpoint(folder.path()), format, "a.weight", {rows, columns}),
                      expected),
            0);
}

// The standard's NaN; there is none in transformers, whose goldens leave it out.
TEST(Mxfp4, AScaleOf255IsNan) {
  const testing::TemporaryFolder folder;
  torch::Tensor scales = torch::full({2, 1, 1}, 127, torch::kUInt8);
  scales[1] = 255;
  tensor::write_safetensors(
      folder / "model.safetensors",
      {{"e_blocks", torch::full({2, 1, 1, 16}, 0x21, torch::kUInt8)}, {"e_scales", scales}});
  const Json config = {{"quantization_config", {{"quant_method", "mxfp4"}}}};
  const CheckpointFormat format = read_weight_storage(JsonReader(config, "config.json"));
  const torch::Tensor values = read(tensor::Checkpoint(folder.path()), format, "e", {2, 1, 32});
  EXPECT_TRUE(torch::equal(values[0][0].narrow(0, 0, 4), torch::tensor({0.5F, 1.0F, 0.5F, 1.0F})));
  EXPECT_TRUE(values[1].isnan().all().item<bool>());
}

INSTANTIATE_TEST_SUITE_P(Goldens, FormatTest, ::testing::ValuesIn(cases()), [](const auto& test) {
  std::string name = test.param;
  std::ranges::replace(name, '-', '_');
  return name;
});

}  // namespace
}  // namespace foregate::models
