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

CheckpointFormat format_of(const Json& quantization_config) {
  const Json config = {{"quantization_config", quantization_config}};
  return read_weight_storage(JsonReader(config, "config.json"));
}

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

// Value by value: one NaN is as good as another, and zeros have no sign (GPTQ's goldens are
// products with the identity, modelopt's table has no -0).
int64_t different(const torch::Tensor& actual, const torch::Tensor& expected) {
  const torch::Tensor same = (actual == expected).logical_or(actual.isnan() & expected.isnan());
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
  const CheckpointFormat format =
      format_of({{"quant_method", "fp8"}, {"weight_block_size", {128, 128}}});
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
  const CheckpointFormat format = format_of({{"quant_method", "mxfp4"}});
  const torch::Tensor values = read(tensor::Checkpoint(folder.path()), format, "e", {2, 1, 32});
  EXPECT_TRUE(torch::equal(values[0][0].narrow(0, 0, 4), torch::tensor({0.5F, 1.0F, 0.5F, 1.0F})));
  EXPECT_TRUE(values[1].isnan().all().item<bool>());
}

// AutoAWQ and vLLM skip what an entry is a part of, transformers what begins or ends so.
TEST(Awq, WhatAnEntryIsPartOfIsWhatItsTensorsAre) {
  const testing::TemporaryFolder folder;
  const std::string floats = "model.layers.0.mlp.shared_experts.up_proj.weight";
  tensor::write_safetensors(folder / "model.safetensors", {{floats, torch::ones({8, 32})}});
  const tensor::Checkpoint checkpoint(folder.path());
  const auto first_part = [&](const char* entry, const std::string& name) {
    const CheckpointFormat format = format_of({{"quant_method", "awq"},
                                               {"bits", 4},
                                               {"group_size", 32},
                                               {"modules_to_not_convert", {entry}}});
    return stored_parts(checkpoint, format, name, {8, 32}).front().name;
  };
  const std::string packed = "model.layers.1.mlp.shared_experts.up_proj.weight";
  EXPECT_EQ(first_part("shared_experts", floats), floats);
  EXPECT_EQ(first_part("shared_experts", packed),
            "model.layers.1.mlp.shared_experts.up_proj.qweight");
  EXPECT_EQ(first_part("up_proj", packed), packed);
  EXPECT_EQ(first_part("lm_head", floats), "model.layers.0.mlp.shared_experts.up_proj.qweight");
}

// compressed_tensors.quantization.QuantizationArgs.
TEST(CompressedTensors, WhatIsNotSaidIsInferredAsThePackageDoes) {
  const auto description = [](const Json& weights) {
    return format_of({{"quant_method", "compressed-tensors"},
                      {"format", "naive-quantized"},
                      {"config_groups", {{"a", {{"targets", {"Linear"}}, {"weights", weights}}}}}})
        .description();
  };
  EXPECT_EQ(description(Json::object()), "int-quantized, a scale a matrix");
  EXPECT_EQ(description({{"group_size", -1}}), "int-quantized, a scale a row");
  EXPECT_EQ(description({{"group_size", 32}, {"strategy", nullptr}}),
            "int-quantized, groups of 32");
  EXPECT_EQ(description({{"type", "float"}, {"strategy", "block"}, {"block_structure", "128x64"}}),
            "float-quantized e4m3, blocks of 128 x 64");
}

INSTANTIATE_TEST_SUITE_P(Goldens, FormatTest, ::testing::ValuesIn(cases()), [](const auto& test) {
  std::string name = test.param;
  std::ranges::replace(name, '-', '_');
  return name;
});

}  // namespace
}  // namespace foregate::models
