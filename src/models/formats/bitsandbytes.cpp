#include "tensor/formats/bitsandbytes.h"

#include <fmt/core.h>
#include <fmt/ranges.h>

#include <array>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "models/formats/config_readers.h"
#include "models/formats/matrix_format.h"
#include "tensor/weight/quantized_rows.h"

namespace foregate::models {
namespace {

/// A kind of 4-bit number.
struct FourBit {
  const char* name;
  std::array<float, 16> values;
};

// bitsandbytes 0.50, functional.get_4bit_type.
constexpr std::array kFourBits = {
    FourBit{"nf4", tensor::kNf4Values},
    FourBit{"fp4",
            {0.0F, 0.0052083334885537624F, 0.6666666865348816F, 1.0F, 0.3333333432674408F, 0.5F,
             0.1666666716337204F, 0.25F, 0.0F, -0.0052083334885537624F, -0.6666666865348816F, -1.0F,
             -0.3333333432674408F, -0.5F, -0.1666666716337204F, -0.25F}},
};

std::string describe_bitsandbytes(const CheckpointFormat& /*format*/) {
  return "bitsandbytes 4-bit";
}

bool is_four_bit(const StoredMatrix& matrix) {
  return matrix.shape.size() == 2 && !matrix.is_left_dense();
}

std::string state_name(const StoredMatrix& matrix, const FourBit& kind) {
  return fmt::format("{}.quant_state.bitsandbytes__{}", matrix.name, kind.name);
}

// The kind that the checkpoint has a state of; nf4 if it has none.
const FourBit& kind_of(const StoredMatrix& matrix) {
  for (const FourBit& kind : kFourBits) {
    if (matrix.checkpoint.find(state_name(matrix, kind)) != nullptr) return kind;
  }
  return kFourBits.front();
}

/// What a matrix's quant_state says: JSON in a tensor of bytes.
struct FourBitState {
  int64_t block = 64;
  bool nested = false;
  int64_t nested_block = 256;
  float nested_offset = 0;
};

FourBitState read_state(const StoredMatrix& matrix, const std::string& name) {
  const std::string where = matrix.checkpoint.directory().string() + ": " + name;
  const torch::Tensor bytes = matrix.checkpoint.tensor(name).contiguous();
  const Json json = parse_json(
      {static_cast<const char*>(bytes.const_data_ptr()), static_cast<size_t>(bytes.nbytes())},
      where);
  const JsonReader reader(json, where);
  const std::vector<int64_t> shape = reader.integers("shape");
  if (shape != matrix.shape) {
    reader.fail("shape",
                fmt::format("[{}], by the sizes in config.json", fmt::join(matrix.shape, ", ")));
  }
  FourBitState state;
  state.block = reader.integer("blocksize", 1, INT32_MAX);
  state.nested = reader.has("nested_offset") || reader.has("nested_blocksize");
  if (!state.nested) return state;
  state.nested_block = reader.integer("nested_blocksize", 1, INT32_MAX);
  state.nested_offset = static_cast<float>(reader.number("nested_offset", -1e30, 1e30));
  return state;
}

int64_t blocks(int64_t count, int64_t block) {
  return (count + block - 1) / block;
}

std::vector<StoredTensor> bitsandbytes_parts(const StoredMatrix& matrix) {
  if (!is_four_bit(matrix)) return kDenseMatrices.parts(matrix);
  const std::string name = state_name(matrix, kind_of(matrix));
  const tensor::TensorEntry* stored = matrix.checkpoint.find(name);
  const bool readable = stored != nullptr && stored->dtype == torch::kUInt8;
  const FourBitState state = readable ? read_state(matrix, name) : FourBitState{};
  const int64_t count = matrix.outputs() * matrix.inputs();
  const int64_t scales = blocks(count, state.block);
  std::vector<StoredTensor> parts = {
      {matrix.name, {blocks(count, 2), 1}, torch::kUInt8},
      {matrix.name + ".absmax", {scales}, state.nested ? torch::kUInt8 : torch::kFloat32},
      {matrix.name + ".quant_map", {16}, torch::kFloat32},
      {name, stored != nullptr ? stored->shape : std::vector<int64_t>{1}, torch::kUInt8}};
  if (state.nested) {
    parts.push_back(
        {matrix.name + ".nested_absmax", {blocks(scales, state.nested_block)}, torch::kFloat32});
    parts.push_back({matrix.name + ".nested_quant_map", {256}, torch::kFloat32});
  }
  return parts;
}

// The kernels of bitsandbytes know the values of a kind by themselves, whatever the file says.
void check_quant_map(const StoredMatrix& matrix, const torch::Tensor& map, const FourBit& kind) {
  const torch::Tensor stored = map.contiguous();
  const auto* value = stored.const_data_ptr<float>();
  for (size_t code = 0; code < kind.values.size(); ++code) {
    if (value[code] == kind.values[code]) continue;
    throw DataError(fmt::format("{}: {}.quant_map[{}] is {}; expected {}, as {} has it",
                                matrix.checkpoint.directory().string(), matrix.name, code,
                                value[code], kind.values[code], kind.name));
  }
}

void read_bitsandbytes(const StoredMatrix& matrix, const RowConsumer& consume) {
  if (!is_four_bit(matrix)) return kDenseMatrices.read(matrix, consume);
  const tensor::Checkpoint& checkpoint = matrix.checkpoint;
  const std::string& name = matrix.name;
  const FourBit& kind = kind_of(matrix);
  const FourBitState state = read_state(matrix, state_name(matrix, kind));
  tensor::BitsandbytesTensors tensors{.codes = checkpoint.tensor(name),
                                      .quant_map = checkpoint.tensor(name + ".quant_map"),
                                      .block = state.block,
                                      .absmax = checkpoint.tensor(name + ".absmax"),
                                      .nested_map = {},
                                      .nested_absmax = {},
                                      .nested_block = state.nested_block,
                                      .nested_offset = state.nested_offset};
  check_quant_map(matrix, tensors.quant_map, kind);
  if (state.nested) {
    tensors.nested_map = checkpoint.tensor(name + ".nested_quant_map");
    tensors.nested_absmax = checkpoint.tensor(name + ".nested_absmax");
  }
  read_decoded(
      matrix, {name, name + ".absmax"},
      [&](int64_t first, int64_t count) {
        return tensor::dequantize_bitsandbytes(tensors, matrix.inputs(), first, count);
      },
      consume);
}

}  // namespace

void read_bitsandbytes_config(const JsonReader& reader, CheckpointFormat& format) {
  format.kind = CheckpointFormat::Kind::kBitsandbytes;
  if (reader.boolean("load_in_8bit", false) || !reader.boolean("load_in_4bit", true)) {
    reader.fail(reader.has("load_in_8bit") ? "load_in_8bit" : "load_in_4bit",
                "4 bits (load_in_4bit), the ones supported");
  }
  const std::string kind = reader.string("bnb_4bit_quant_type", "nf4");
  if (kind != "nf4" && kind != "fp4") {
    reader.fail("bnb_4bit_quant_type", "nf4 or fp4, the ones supported");
  }
  if (reader.string("bnb_4bit_quant_storage", "uint8") != "uint8") {
    reader.fail("bnb_4bit_quant_storage", "uint8, the only one supported");
  }
}

constexpr MatrixFormat kBitsandbytesMatrices{CheckpointFormat::Kind::kBitsandbytes,
                                             describe_bitsandbytes, bitsandbytes_parts,
                                             read_bitsandbytes};

}  // namespace foregate::models
