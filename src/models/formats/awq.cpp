#include "tensor/formats/awq.h"

#include <fmt/core.h>

#include <algorithm>
#include <cctype>

#include "base/error.h"
#include "models/formats/config_readers.h"
#include "models/formats/matrix_format.h"

namespace foregate::models {
namespace {

std::string describe_awq(const CheckpointFormat& format) {
  const int64_t size = format.awq.group_size;
  return fmt::format("awq 4-bit, {}", size < 0 ? "one group" : fmt::format("groups of {}", size));
}

bool is_awq(const StoredMatrix& matrix) {
  return matrix.shape.size() == 2 && !matrix.is_left_dense();
}

std::vector<StoredTensor> awq_parts(const StoredMatrix& matrix) {
  if (!is_awq(matrix)) return kDenseMatrices.parts(matrix);
  constexpr int64_t kPerWord = tensor::AwqFormat::kPerWord;
  const int64_t size = matrix.format.awq.inputs_per_group(matrix.inputs());
  if (matrix.inputs() % size != 0 || matrix.outputs() % kPerWord != 0) {
    throw DataError(
        fmt::format("{} is [{}, {}]; expected outputs by {} and inputs by the group_size {} of "
                    "config.json, or such a matrix to be left as floats",
                    matrix.what(), matrix.outputs(), matrix.inputs(), kPerWord, size));
  }
  const std::string module = matrix.module();
  const int64_t groups = matrix.inputs() / size;
  return {
      {module + ".qweight", {matrix.inputs(), matrix.outputs() / kPerWord}, torch::kInt32},
      {module + ".qzeros", {groups, matrix.outputs() / kPerWord}, torch::kInt32},
      {module + ".scales", {groups, matrix.outputs()}},
  };
}

void read_awq(const StoredMatrix& matrix, const RowConsumer& consume) {
  if (!is_awq(matrix)) return kDenseMatrices.read(matrix, consume);
  const std::string module = matrix.module();
  const tensor::AwqTensors tensors{matrix.checkpoint.tensor(module + ".qweight"),
                                   matrix.checkpoint.tensor(module + ".qzeros"),
                                   matrix.checkpoint.tensor(module + ".scales")};
  read_decoded(
      matrix, {module + ".qweight", module + ".qzeros", module + ".scales"},
      [&](int64_t first, int64_t count) {
        return tensor::dequantize_awq(tensors, matrix.format.awq, first, count);
      },
      consume);
}

}  // namespace

void read_awq_config(const JsonReader& reader, CheckpointFormat& format) {
  format.kind = CheckpointFormat::Kind::kAwq;
  // AutoAWQ's own names came before those of transformers.
  const char* bits = reader.has("w_bit") ? "w_bit" : "bits";
  if (reader.integer(bits, 1, 32) != tensor::AwqFormat::kBits) {
    reader.fail(bits, "4, the only one supported");
  }
  const char* group_size = reader.has("q_group_size") ? "q_group_size" : "group_size";
  format.awq.group_size = reader.integer(group_size, -1, INT32_MAX);
  if (format.awq.group_size == 0) reader.fail(group_size, "at least 1, or -1 for one group");
  std::string version = reader.string("version", "gemm");
  std::ranges::transform(version, version.begin(),
                         [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  if (version != "gemm") reader.fail("version", "gemm, the only one supported");
  if (!reader.boolean("zero_point", true)) {
    reader.fail("zero_point", "true, the only value supported");
  }
  read_skipped_modules(reader, format);
  // AutoAWQ and vLLM skip what an entry is any part of ("shared_experts"), transformers does not.
  if (!format.left_dense) return;
  for (const std::string& entry : reader.strings("modules_to_not_convert")) {
    format.perhaps_dense.add_part(entry);
  }
}

constexpr MatrixFormat kAwqMatrices{CheckpointFormat::Kind::kAwq, describe_awq, awq_parts,
                                    read_awq};

}  // namespace foregate::models
