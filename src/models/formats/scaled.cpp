#include <fmt/core.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <numeric>

#include "base/error.h"
#include "models/formats/matrix_format.h"
#include "tensor/formats/code_values.h"

namespace foregate::models {
namespace {

using tensor::ScaledFormat;
using Shape = std::vector<int64_t>;

std::string describe_scaled(const CheckpointFormat& format) {
  std::string text;
  for (const ScaledGroup& group : format.scaled) {
    text += fmt::format("{}{}", text.empty() ? "" : "; ", group.scheme.description());
  }
  return text;
}

// The matrix's scheme; nullptr: it is left as floats.
const ScaledScheme* scheme_of(const StoredMatrix& matrix) {
  const ScaledScheme* scheme =
      matrix.is_left_dense() ? nullptr : scaled_scheme_of(matrix.format, matrix.module());
  const bool is_stack = matrix.shape.size() > 2;
  return scheme == nullptr || (scheme->layout->only_stacks && !is_stack) ? nullptr : scheme;
}

// A stack's leading dimensions, then these.
Shape stacked(const StoredMatrix& matrix, Shape last) {
  Shape shape(matrix.shape.begin(), matrix.shape.end() - 2);
  shape.insert(shape.end(), last.begin(), last.end());
  return shape;
}

int64_t elements(const Shape& shape) {
  return std::accumulate(shape.begin(), shape.end(), int64_t{1}, std::multiplies<>());
}

// The tensor's own shape if it only differs from the expected one in dimensions of 1, in which
// writers differ.
Shape shape_but_for_ones(const tensor::Checkpoint& checkpoint, const std::string& name,
                         const Shape& expected) {
  const auto without_ones = [](Shape shape) {
    std::erase(shape, 1);
    return shape;
  };
  const tensor::TensorEntry* entry = checkpoint.find(name);
  const bool same = entry != nullptr && without_ones(entry->shape) == without_ones(expected);
  return same ? entry->shape : expected;
}

torch::ScalarType codes_dtype(ScaledFormat::Codes codes) {
  switch (codes) {
    case ScaledFormat::Codes::kE4m3:
      return torch::kFloat8_e4m3fn;
    case ScaledFormat::Codes::kInt8:
      return torch::kInt8;
    case ScaledFormat::Codes::kPackedInt:
      return torch::kInt32;
    case ScaledFormat::Codes::kE2m1:
      return torch::kUInt8;
  }
  __builtin_unreachable();
}

// The one to expect of those that the layout allows: the tensor's own if it is among them.
torch::ScalarType scales_dtype(const tensor::Checkpoint& checkpoint, const std::string& name,
                               ScaledLayout::Scales scales) {
  const tensor::TensorEntry* entry = checkpoint.find(name);
  const bool is_byte = entry != nullptr && entry->dtype == torch::kUInt8;
  const bool is_e8m0 = entry != nullptr && entry->dtype == torch::kFloat8_e8m0fnu;
  switch (scales) {
    case ScaledLayout::Scales::kFloat:
      return torch::ScalarType::Undefined;
    case ScaledLayout::Scales::kFloatOrE8m0:
      return is_byte || is_e8m0 ? entry->dtype : torch::ScalarType::Undefined;
    case ScaledLayout::Scales::kE4m3:
      return torch::kFloat8_e4m3fn;
    case ScaledLayout::Scales::kE8m0:
      return is_e8m0 ? entry->dtype : torch::kUInt8;
  }
  __builtin_unreachable();
}

Shape codes_shape(const StoredMatrix& matrix, const ScaledScheme& scheme) {
  const ScaledFormat& format = scheme.format;
  if (!scheme.layout->in_blocks) {
    return stacked(matrix, {matrix.outputs(), format.row_codes(matrix.inputs())});
  }
  return stacked(matrix, {matrix.outputs(), format.scale_columns(matrix.inputs()),
                          format.row_codes(format.block_columns)});
}

// Blocks that a last, shorter one would follow are only known of rectangles.
void require_whole_groups(const StoredMatrix& matrix, const ScaledScheme& scheme) {
  const ScaledFormat& format = scheme.format;
  const int64_t even = format.codes == ScaledFormat::Codes::kE2m1 ? 2 : 1;
  const int64_t multiple =
      format.block_rows == 1 && format.block_columns > 0 ? format.block_columns : even;
  if (matrix.inputs() % multiple == 0) return;
  throw DataError(fmt::format(
      "{} has {} inputs; expected a multiple of {} for {}, or such a matrix to be left as floats",
      matrix.what(), matrix.inputs(), multiple, scheme.description()));
}

std::vector<StoredTensor> scaled_parts(const StoredMatrix& matrix) {
  const ScaledScheme* scheme = scheme_of(matrix);
  if (scheme == nullptr) return kDenseMatrices.parts(matrix);
  require_whole_groups(matrix, *scheme);
  const ScaledLayout& layout = *scheme->layout;
  const ScaledFormat& format = scheme->format;
  const tensor::Checkpoint& checkpoint = matrix.checkpoint;
  std::vector<StoredTensor> parts = {
      {matrix.name + layout.codes, codes_shape(matrix, *scheme), codes_dtype(format.codes)}};
  const std::string scales = matrix.name + layout.scales;
  const Shape grid = {format.scale_rows(matrix.outputs()), format.scale_columns(matrix.inputs())};
  parts.push_back({scales, shape_but_for_ones(checkpoint, scales, stacked(matrix, grid)),
                   scales_dtype(checkpoint, scales, layout.scale_dtype)});
  if (format.zeros != ScaledFormat::Zeros::kNone) {
    const bool packed = format.zeros == ScaledFormat::Zeros::kPackedInt;
    const int64_t rows = packed ? tensor::packed_words(grid[0], format.bits) : grid[0];
    const std::string zeros = matrix.name + layout.zeros;
    parts.push_back({zeros, shape_but_for_ones(checkpoint, zeros, stacked(matrix, {rows, grid[1]})),
                     packed ? torch::kInt32 : torch::kInt8});
  }
  if (layout.global != nullptr) {
    const std::string global = matrix.name + layout.global;
    parts.push_back({global, shape_but_for_ones(checkpoint, global, {}), torch::kFloat32});
  }
  if (layout.shape != nullptr) {
    const std::string shape = matrix.name + layout.shape;
    const tensor::TensorEntry* entry = checkpoint.find(shape);
    const bool narrow = entry != nullptr && entry->dtype == torch::kInt32;
    parts.push_back({shape,
                     {static_cast<int64_t>(matrix.shape.size())},
                     narrow ? torch::kInt32 : torch::kInt64});
  }
  return parts;
}

// The shape that the writer noted must be the one that config.json gives.
void check_noted_shape(const StoredMatrix& matrix, const std::string& name) {
  const torch::Tensor noted = matrix.checkpoint.tensor(name).to(torch::kInt64).contiguous();
  const auto* size = noted.const_data_ptr<int64_t>();
  const Shape shape(size, size + noted.numel());
  if (shape == matrix.shape) return;
  throw DataError(fmt::format("{}: {} is [{}]; expected [{}], by the sizes in config.json",
                              matrix.checkpoint.directory().string(), name, fmt::join(shape, ", "),
                              fmt::join(matrix.shape, ", ")));
}

void read_scaled(const StoredMatrix& matrix, const RowConsumer& consume) {
  const ScaledScheme* scheme = scheme_of(matrix);
  if (scheme == nullptr) return kDenseMatrices.read(matrix, consume);
  const ScaledLayout& layout = *scheme->layout;
  const ScaledFormat& format = scheme->format;
  const tensor::Checkpoint& checkpoint = matrix.checkpoint;
  if (layout.shape != nullptr) check_noted_shape(matrix, matrix.name + layout.shape);
  const std::string codes = matrix.name + layout.codes;
  const std::string scales = matrix.name + layout.scales;
  tensor::ScaledTensors tensors{{}, checkpoint.tensor(scales), {}, {}};
  std::vector<std::string> parts = {codes, scales};
  if (format.zeros != ScaledFormat::Zeros::kNone) {
    parts.push_back(matrix.name + layout.zeros);
    tensors.zeros = checkpoint.tensor(parts.back());
  }
  if (layout.global != nullptr) tensors.global = checkpoint.tensor(matrix.name + layout.global);
  // Of a stack, the first dimension counts whole matrices.
  const int64_t rows_each = elements(matrix.shape) / matrix.inputs() / matrix.shape.front();
  read_decoded(
      matrix, parts,
      [&](int64_t first, int64_t count) {
        if (first > 0) checkpoint.release_rows(codes, 0, first);
        tensors.codes = checkpoint.rows(codes, first, count);
        Shape shape = matrix.shape;
        shape.front() = count;
        return tensor::dequantize_scaled(tensors, format, matrix.outputs(), matrix.inputs(),
                                         first * rows_each, count * rows_each)
            .view(shape);
      },
      consume);
}

}  // namespace

const ScaledScheme* scaled_scheme_of(const CheckpointFormat& format, const std::string& module) {
  for (const ScaledGroup& group : format.scaled) {
    if (!group.modules || group.modules->matches(module)) return &group.scheme;
  }
  return nullptr;
}

constexpr MatrixFormat kScaledMatrices{CheckpointFormat::Kind::kScaled, describe_scaled,
                                       scaled_parts, read_scaled};

}  // namespace foregate::models
