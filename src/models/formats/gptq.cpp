#include "tensor/formats/gptq.h"

#include <fmt/core.h>

#include <nlohmann/json.hpp>

#include "base/error.h"
#include "models/formats/config_readers.h"
#include "models/formats/matrix_format.h"

namespace foregate::models {
namespace {

std::string describe_gptq(const CheckpointFormat& format) {
  const int64_t size = format.gptq.group_size;
  return fmt::format("gptq {}-bit, {}{}", format.gptq.bits,
                     size < 0 ? "one group" : fmt::format("groups of {}", size),
                     format.gptq_overrides.empty() ? "" : ", with other settings for some modules");
}

bool is_gptq(const StoredMatrix& matrix) {
  return matrix.shape.size() == 2 && !matrix.is_left_dense() &&
         gptq_format_of(matrix.format, matrix.module()).has_value();
}

std::vector<StoredTensor> gptq_parts(const StoredMatrix& matrix) {
  if (!is_gptq(matrix)) return kDenseMatrices.parts(matrix);
  const std::string module = matrix.module();
  const tensor::GptqFormat format = *gptq_format_of(matrix.format, module);
  if (matrix.inputs() * format.bits % 32 != 0 || matrix.outputs() * format.bits % 32 != 0) {
    throw DataError(
        fmt::format("{} is [{}, {}], which {}-bit numbers do not pack into whole 32-bit words; "
                    "expected such a matrix to be left as floats",
                    matrix.what(), matrix.outputs(), matrix.inputs(), format.bits));
  }
  const int64_t groups = format.groups(matrix.inputs());
  return {
      {module + ".qweight", {matrix.inputs() * format.bits / 32, matrix.outputs()}, torch::kInt32},
      {module + ".qzeros", {groups, matrix.outputs() * format.bits / 32}, torch::kInt32},
      {module + ".scales", {groups, matrix.outputs()}},
      {module + ".g_idx",
       {matrix.inputs()},
       torch::kInt32,
       /*required=*/format.act_order && groups > 1}};
}

void read_gptq(const StoredMatrix& matrix, const RowConsumer& consume) {
  if (!is_gptq(matrix)) return kDenseMatrices.read(matrix, consume);
  const std::string module = matrix.module();
  const tensor::GptqFormat format = *gptq_format_of(matrix.format, module);
  const tensor::Checkpoint& checkpoint = matrix.checkpoint;
  tensor::GptqTensors tensors{checkpoint.tensor(module + ".qweight"),
                              checkpoint.tensor(module + ".qzeros"),
                              checkpoint.tensor(module + ".scales"),
                              {}};
  const std::string g_idx = module + ".g_idx";
  if (checkpoint.find(g_idx) != nullptr) tensors.g_idx = checkpoint.tensor(g_idx);
  read_decoded(
      matrix, {module + ".qweight", module + ".qzeros", module + ".scales", g_idx},
      [&](int64_t first, int64_t count) {
        return tensor::dequantize_gptq(tensors, format, matrix.what(), first, count);
      },
      consume);
}

// Some settings, in place of those that `format` has.
void read_gptq_settings(const JsonReader& reader, tensor::GptqFormat& format) {
  format.bits = reader.integer("bits", 1, 32, format.bits);
  if (format.bits < 2 || (format.bits > 4 && format.bits != 8)) {
    reader.fail("bits", "2, 3, 4 or 8, the ones supported");
  }
  format.group_size = reader.integer("group_size", -1, INT32_MAX, format.group_size);
  if (format.group_size == 0) reader.fail("group_size", "at least 1, or -1 for one group");
  format.act_order = reader.boolean("desc_act", format.act_order);
  if (reader.has("sym")) format.symmetric = reader.boolean("sym");
}

// GPTQModel's: {"+:EXPRESSION": {settings}, "-:EXPRESSION": {}}; the first that matches counts, and
// "-" leaves the module as floats.
void read_gptq_overrides(const JsonReader& reader, CheckpointFormat& format) {
  const JsonReader dynamic = reader.object("dynamic");
  for (const auto& [key, value] : dynamic.json().items()) {
    const bool negative = key.starts_with("-:");
    GptqOverride other{.modules = {}, .format = std::nullopt};
    other.modules.add_regex(negative || key.starts_with("+:") ? key.substr(2) : key,
                            dynamic.where());
    if (!negative) {
      other.format = format.gptq;
      read_gptq_settings(dynamic.object(key.c_str()), *other.format);
    }
    format.gptq_overrides.push_back(std::move(other));
  }
}

}  // namespace

void read_gptq_config(const JsonReader& reader, CheckpointFormat& format) {
  format.kind = CheckpointFormat::Kind::kGptq;
  reader.integer("bits", 1, 32);
  reader.integer("group_size", -1, INT32_MAX);
  read_gptq_settings(reader, format.gptq);
  const std::string version = reader.string("checkpoint_format", "gptq");
  if (version != "gptq" && version != "gptq_v2") {
    reader.fail("checkpoint_format", "gptq or gptq_v2, the ones supported");
  }
  format.gptq.zeros_minus_one = version == "gptq";
  if (reader.boolean("is_marlin_format", false)) {
    reader.fail("is_marlin_format", "false: weights packed for Marlin are not supported");
  }
  if (reader.has("dynamic")) read_gptq_overrides(reader, format);
}

std::optional<tensor::GptqFormat> gptq_format_of(const CheckpointFormat& format,
                                                 const std::string& module) {
  for (const GptqOverride& other : format.gptq_overrides) {
    if (other.modules.matches(module)) return other.format;
  }
  return format.gptq;
}

constexpr MatrixFormat kGptqMatrices{CheckpointFormat::Kind::kGptq, describe_gptq, gptq_parts,
                                     read_gptq};

}  // namespace foregate::models
